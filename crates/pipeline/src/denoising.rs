//! The denoising loop.

use std::sync::Arc;

use burn::tensor::Tensor;
use pyrograph_scheduler::{Generators, Scheduler};
use pyrograph_unet::UNet2dConditionModel;

use crate::conditioning::{Branch, Conditioning};
use crate::decode::{ADVICE, Decoder};
use crate::guidance::{Weighted, combine};
use crate::infotext::Infotext;
use crate::readback::{catch_panics, finite};
use crate::start::Start;
use crate::{Error, GeneratedImages};

/// The denoising of a request: an iterator over the steps. To show progress and previews, or to cancel, write a `for`
/// loop over it. It owns its data and can be sent to another thread.
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

/// The networks and settings of a [`Denoising`].
pub(crate) struct Parts {
    pub(crate) unet: Arc<UNet2dConditionModel>,
    pub(crate) decoder: Arc<Decoder>,
    pub(crate) scheduler: Scheduler,
    pub(crate) noise: Generators,
    pub(crate) conditioning: Conditioning,
    pub(crate) guidance_rescale: f64,
    /// The largest number of samples per call of the UNet.
    pub(crate) samples_at_once: usize,
    pub(crate) infotext: Infotext,
}

/// A finished step.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Step {
    /// Index of the step, from 0.
    pub index: usize,
    /// Number of steps. A scheduler may call the UNet more often than the request has steps.
    pub count: usize,
    /// The timestep in the noise schedule; descending, and possibly a fraction.
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

    /// The current latents; they contain noise until the last step.
    ///
    /// # Shapes
    /// `[batch, channels, height / f, width / f]`, scaled as for the UNet
    pub fn latents(&self) -> Tensor<4> {
        self.latents.clone()
    }

    /// Decodes the current latents: a preview during the steps, the result at the end. Each image comes with the
    /// parameters that reproduce it.
    ///
    /// # Errors
    /// Returns an error if the device fails, or latents or images are not finite.
    pub fn images(&self) -> Result<GeneratedImages, Error> {
        pollster::block_on(self.images_async())
    }

    /// [`images`](Self::images) for threads that must not block.
    ///
    /// # Errors
    /// The errors of [`images`](Self::images).
    pub async fn images_async(&self) -> Result<GeneratedImages, Error> {
        let images = self.decoder.images(self.latents()).await?;
        let texts = (0..images.len()).map(|index| self.infotext.of_image(index));
        Ok(GeneratedImages::new(images.into_iter().zip(texts).collect()))
    }

    /// Like [`next`](Iterator::next), for threads that must not block, such as those of browsers: makes a step and
    /// waits until the device has finished it. `None` after the last step.
    ///
    /// # Errors
    /// Returns an error if the device fails, or the latents are not finite.
    pub async fn step(&mut self) -> Option<Result<Step, Error>> {
        let (index, count) = (self.next, self.scheduler.timesteps().len());
        let timestep = *self.scheduler.timesteps().get(index)?;
        self.next += 1;
        if let Err(error) = catch_panics("denoising", || self.advance(timestep, index)) {
            return Some(Err(error));
        }
        // Latents are small. Reading them back is the only way to wait that works on all devices.
        let finished = finite("denoising", ADVICE, self.latents.clone()).await;
        Some(finished.map(|_| Step { index, count, timestep }))
    }

    fn advance(&mut self, timestep: f64, index: usize) {
        let prediction = self.predict(timestep, index);
        self.latents = self.scheduler.step(prediction, index, self.latents.clone(), &mut self.noise);
    }

    /// The combined prediction of all branches.
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

    /// The UNet's predictions, in as many calls as the device requires.
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

    /// Makes a step and waits until the device has finished it. Otherwise the reported progress would be wrong, and the
    /// queue of the device would grow.
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
