//! The loop from noise to latents.

use std::sync::Arc;

use burn::tensor::Tensor;
use pyrograph_scheduler::{Generators, Scheduler};
use pyrograph_unet::UNet2dConditionModel;

use crate::conditioning::{Branch, Conditioning};
use crate::decode::{ADVICE, Decoder};
use crate::guidance::{Weighted, combine};
use crate::infotext::Infotext;
use crate::readback::{finite, guarded};
use crate::start::Start;
use crate::{Error, Pictures};

/// A request on its way to images: an iterator over the steps, so that progress, previews and cancelling are a `for` loop. It
/// owns all that it needs, and can be sent to another thread.
///
/// ```no_run
/// # let pipeline = pyrograph::StableDiffusion::from_path("model", &pyrograph::device("cpu")?)?;
/// let request = pyrograph::Request::text("a lighthouse at dusk");
/// let mut denoising = pipeline.denoise(&request)?;
/// for step in &mut denoising {
///     let step = step?;
///     eprintln!("{} of {}", step.index + 1, step.count);
/// }
/// denoising.images()?.save("lighthouse.png")?;
/// # Ok::<(), pyrograph::Error>(())
/// ```
#[derive(Debug)]
pub struct Denoising {
    unet: Arc<UNet2dConditionModel>,
    decoder: Arc<Decoder>,
    scheduler: Scheduler,
    noise: Generators,
    conditioning: Conditioning,
    guidance_rescale: f64,
    samples_at_once: usize,
    infotext: Infotext,
    latents: Tensor<4>, // [batch, channels, height / f, width / f]
    next: usize,
}

/// The networks and the rule of a [`Denoising`].
pub(crate) struct Parts {
    pub(crate) unet: Arc<UNet2dConditionModel>,
    pub(crate) decoder: Arc<Decoder>,
    pub(crate) scheduler: Scheduler,
    pub(crate) noise: Generators,
    pub(crate) conditioning: Conditioning,
    pub(crate) guidance_rescale: f64,
    /// The most samples that a call of the UNet takes.
    pub(crate) samples_at_once: usize,
    pub(crate) infotext: Infotext,
}

/// A finished step.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Step {
    /// Number of the step, from 0.
    pub index: usize,
    /// Number of all steps; a scheduler may call the UNet more often than the request has steps.
    pub count: usize,
    /// The time in the noise schedule, falling; may be fractional.
    pub timestep: f64,
}

impl Denoising {
    pub(crate) fn new(parts: Parts, start: Start) -> Self {
        let Parts { unet, decoder, scheduler, noise, conditioning, guidance_rescale, samples_at_once, infotext } =
            parts;
        let Start { latents, first_step } = start;
        Self {
            unet,
            decoder,
            scheduler,
            noise,
            conditioning,
            guidance_rescale,
            samples_at_once,
            infotext,
            latents,
            next: first_step,
        }
    }

    /// The present latents: noisy until the iterator ends.
    ///
    /// # Shapes
    /// `[batch, channels, height / f, width / f]`, scaled as the UNet sees them
    pub fn latents(&self) -> Tensor<4> {
        self.latents.clone()
    }

    /// The images of the present latents, each with the text that makes it again: the result at the end, a preview before.
    ///
    /// # Errors
    /// When the device fails, or latents or images are not finite.
    pub fn images(&self) -> Result<Pictures, Error> {
        pollster::block_on(self.images_async())
    }

    /// [`images`](Self::images), where no thread may block.
    ///
    /// # Errors
    /// As [`images`](Self::images).
    pub async fn images_async(&self) -> Result<Pictures, Error> {
        let images = self.decoder.images(self.latents()).await?;
        let texts = (0..images.len()).map(|index| self.infotext.of_image(index));
        Ok(Pictures::new(images.into_iter().zip(texts).collect()))
    }

    /// Makes a step and waits for the device to finish it, as [`next`](Iterator::next) does where a thread may block, which in
    /// browsers none may. `None` when all steps are made.
    ///
    /// # Errors
    /// When the device fails, or the latents are not finite.
    pub async fn step(&mut self) -> Option<Result<Step, Error>> {
        let (index, count) = (self.next, self.scheduler.timesteps().len());
        let timestep = *self.scheduler.timesteps().get(index)?;
        self.next += 1;
        if let Err(error) = guarded("denoising", || self.advance(timestep, index)) {
            return Some(Err(error));
        }
        // Latents are small: reading them is the way to wait that all devices have.
        let finished = finite("denoising", ADVICE, self.latents.clone()).await;
        Some(finished.map(|_| Step { index, count, timestep }))
    }

    fn advance(&mut self, timestep: f64, index: usize) {
        let prediction = self.predict(timestep, index);
        self.latents = self.scheduler.step(prediction, index, self.latents.clone(), &mut self.noise);
    }

    /// The UNet's predictions for all branches as one.
    fn predict(&self, timestep: f64, index: usize) -> Tensor<4> {
        let input = self.scheduler.scale_model_input(self.latents.clone(), index);
        let branches = &self.conditioning.branches;
        let inputs = Tensor::cat(vec![input; branches.len()], 0); // [branches * batch, channels, height, width]
        let texts = branches.iter().map(|branch| branch.context.text.clone()).collect();
        let predictions = self.unet(inputs, timestep, Tensor::cat(texts, 0)).chunk(branches.len(), 0);
        let weighted = |(Branch { weight, .. }, prediction): (&Branch, Tensor<4>)| (*weight, prediction);
        let predictions: Vec<Weighted> = branches.iter().zip(predictions).map(weighted).collect();
        combine(&predictions, self.guidance_rescale)
    }

    /// The UNet's predictions, in as many calls as the device needs.
    ///
    /// # Shapes
    /// - `samples` and output: `[samples, channels, height, width]`
    /// - `texts`: `[samples, tokens, width]`
    fn unet(&self, samples: Tensor<4>, timestep: f64, texts: Tensor<3>) -> Tensor<4> {
        let parts = samples.split(self.samples_at_once, 0).into_iter().zip(texts.split(self.samples_at_once, 0));
        let predictions = parts.map(|(samples, texts)| self.unet.forward(samples, &[timestep], texts));
        Tensor::cat(predictions.collect(), 0)
    }
}

impl Iterator for Denoising {
    type Item = Result<Step, Error>;

    /// Makes a step and waits for the device to finish it, so that progress is true and no queue of work builds up.
    fn next(&mut self) -> Option<Self::Item> {
        pollster::block_on(self.step())
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.scheduler.timesteps().len() - self.next;
        (left, Some(left))
    }
}

impl ExactSizeIterator for Denoising {}

#[cfg(test)]
mod tests {
    use super::Denoising;

    #[test]
    fn a_denoising_can_move_to_another_thread() {
        fn movable<T: Send + 'static>() {}
        movable::<Denoising>();
    }
}
