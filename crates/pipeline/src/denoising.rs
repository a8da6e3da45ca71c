//! The loop from noise to latents.

use burn::tensor::Tensor;
use pyrograph_scheduler::{Generator, Scheduler};

use crate::guidance::guide;
use crate::stable_diffusion::finite;
use crate::{Error, StableDiffusion};

/// What may help where latents are not finite.
pub(crate) const ADVICE: &str = "another scheduler, more steps, or f32 may help";

/// A picture in the making: an iterator over the steps, so that progress, previews and cancelling are a `for` loop.
///
/// ```no_run
/// # let pipeline = pyrograph::StableDiffusion::from_path("model", &pyrograph::device("cpu")?)?;
/// let request = pyrograph::TextToImage::new("a lighthouse at dusk");
/// let mut denoising = pipeline.denoise(&request)?;
/// for step in &mut denoising {
///     let step = step?;
///     eprintln!("{} of {}", step.index + 1, step.count);
/// }
/// pipeline.decode(denoising.latents())?;
/// # Ok::<(), pyrograph::Error>(())
/// ```
#[derive(Debug)]
pub struct Denoising<'a> {
    pub(crate) pipeline: &'a StableDiffusion,
    pub(crate) scheduler: Box<dyn Scheduler + Send>,
    pub(crate) generator: Generator,
    pub(crate) latents: Tensor<4>, // [batch, channels, height / f, width / f]
    pub(crate) text: Tensor<3>,    // [batch or 2 * batch, tokens, width]
    pub(crate) guidance: Option<(f64, f64)>,
    pub(crate) next: usize,
}

/// A step that was made.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    /// Its number, from 0.
    pub index: usize,
    /// How many there are; a scheduler may need more calls of the UNet than the request has steps.
    pub count: usize,
    /// The time in the noise schedule, falling; may be fractional.
    pub timestep: f64,
}

impl Denoising<'_> {
    /// The latents as they are now: noisy until the iterator ends.
    ///
    /// # Shapes
    /// `[batch, channels, height / f, width / f]`, scaled as the UNet sees them
    pub fn latents(&self) -> Tensor<4> {
        self.latents.clone()
    }

    /// Makes a step and waits for the device to finish it, as [`next`](Iterator::next) does where a thread may block, which in
    /// browsers none may. `None` when all steps are made.
    ///
    /// # Errors
    /// When the device fails, or the latents are not finite.
    pub async fn step(&mut self) -> Option<Result<Step, Error>> {
        let (index, count) = (self.next, self.scheduler.timesteps().len());
        let timestep = *self.scheduler.timesteps().get(index)?;
        let prediction = self.predict(timestep, index);
        self.latents = self.scheduler.step(prediction, index, self.latents.clone(), &mut self.generator);
        self.next += 1;
        // Latents are small: reading them is the way to wait that all devices have.
        let finished = finite("denoising", ADVICE, self.latents.clone()).await;
        Some(finished.map(|_| Step { index, count, timestep }))
    }

    fn predict(&self, timestep: f64, index: usize) -> Tensor<4> {
        let input = self.scheduler.scale_model_input(self.latents.clone(), index);
        match self.guidance {
            None => self.pipeline.unet.forward(input, &[timestep], self.text.clone()),
            Some((scale, rescale)) => {
                let both = Tensor::cat(vec![input.clone(), input], 0); // [2 * batch, channels, height, width]
                guide(self.pipeline.unet.forward(both, &[timestep], self.text.clone()), scale, rescale)
            }
        }
    }
}

impl Iterator for Denoising<'_> {
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

impl ExactSizeIterator for Denoising<'_> {}
