use burn::tensor::Tensor;

use crate::prediction::Prediction;
use crate::sampler::{Call, Sampler};
use crate::schedule::Schedule;
use crate::{Noise, SchedulerError};

/// An algorithm in one run. It turns the network's outputs into samples with less and less noise.
///
/// A run is a sequence of calls of the network. `index` is the position of a call in [`timesteps`](Self::timesteps),
/// because timesteps may repeat. A run may begin at any position that is a multiple of [`order`](Self::order), such as
/// that of [`first_step`](Self::first_step). It then makes every call up to the end in order.
#[derive(Debug)]
pub struct Scheduler {
    schedule: Schedule,
    prediction: Prediction,
    sampler: Box<dyn Sampler>,
    /// The position of the next call; `None` before the first one.
    next: Option<usize>,
}

impl Scheduler {
    pub(crate) fn new(schedule: Schedule, prediction: Prediction, sampler: impl Sampler + 'static) -> Self {
        Self { schedule, prediction, sampler: Box::new(sampler), next: None }
    }

    /// The network's time inputs in the order of the calls. There may be more of them than steps, and some may be
    /// fractions.
    pub fn timesteps(&self) -> &[f64] {
        &self.schedule.timesteps
    }

    /// Calls of the network per step: 2 for Heun and both KDPM2, else 1. Their last step has one call.
    pub fn order(&self) -> usize {
        self.schedule.order
    }

    /// The standard deviation of the first sample of a whole run, which is the factor of standard normal noise.
    pub fn init_noise_sigma(&self) -> f64 {
        self.schedule.init_noise_sigma
    }

    /// The position of the first call of a run that changes an image by `strength`. Of N steps, the run makes the last
    /// floor(N * `strength`), as in diffusers' image-to-image pipelines (`get_timesteps`). It begins with
    /// [`add_noise`](Self::add_noise) at this position. PNDM has more calls than steps and keeps the additional ones:
    /// one, or nine with Runge-Kutta.
    ///
    /// # Errors
    /// A strength outside of 0 to 1, or one that leaves no call.
    pub fn first_step(&self, strength: f64) -> Result<usize, SchedulerError> {
        let steps = self.schedule.steps;
        if !(0.0..=1.0).contains(&strength) {
            return Err(SchedulerError::Strength { strength });
        }
        let kept = (steps as f64 * strength) as usize;
        let first = (steps - kept) * self.order();
        if first < self.timesteps().len() { Ok(first) } else { Err(SchedulerError::NoStep { strength, steps }) }
    }

    /// The network's input for a sample, scaled to unit variance.
    ///
    /// # Shapes
    /// - sample and output: `[batch, channels, height, width]`
    pub fn scale_model_input(&self, sample: Tensor<4>, index: usize) -> Tensor<4> {
        self.schedule.levels[index].scale_to_unit(sample)
    }

    /// `original` at the noise level of position `index`. The position equal to the number of timesteps stands for the
    /// level after the last call. Between the two calls of a step, it is the level at the end of the step, as in
    /// diffusers' inpainting, which uses the unchanged original after the last call.
    ///
    /// # Shapes
    /// - `original`, `noise` and output: `[batch, channels, height, width]`
    pub fn add_noise(&self, original: Tensor<4>, noise: Tensor<4>, index: usize) -> Tensor<4> {
        self.schedule.level_to_noise(index).add_noise(original, noise)
    }

    /// The denoised sample according to the network's output, for previews.
    ///
    /// # Shapes
    /// - `output` (any float type), `sample` and result (the sample's type): `[batch, channels, height, width]`
    pub fn denoised(&self, output: Tensor<4>, index: usize, sample: Tensor<4>) -> Tensor<4> {
        self.prediction.denoised(output.cast(sample.dtype()), sample, self.schedule.levels[index])
    }

    /// The step of one call towards less noise. Stochastic samplers draw from `noise` as in diffusers.
    ///
    /// # Shapes
    /// - `output` (any float type), `sample` and result (the sample's type): `[batch, channels, height, width]`
    ///
    /// # Panics
    /// When a run begins between the calls of a step, or omits a call.
    pub fn step(&mut self, output: Tensor<4>, index: usize, sample: Tensor<4>, noise: &mut dyn Noise) -> Tensor<4> {
        let due = self.next.unwrap_or_else(|| index - index % self.order());
        assert_eq!(index, due, "a run begins with the first call of a step and leaves no call out");
        self.next = Some(index + 1);
        let output = output.cast(sample.dtype());
        let (schedule, prediction) = (&self.schedule, self.prediction);
        self.sampler.step(Call { schedule, prediction, index, sample, output, noise })
    }
}
