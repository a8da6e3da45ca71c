use burn::tensor::Tensor;

use crate::prediction::Prediction;
use crate::sampler::{Call, Sampler};
use crate::schedule::Schedule;
use crate::{Noise, SchedulerError};

/// An algorithm in one run: it turns a network's outputs into ever less noisy samples.
///
/// A run is a sequence of calls of the network. `index` is a call's position in [`timesteps`](Self::timesteps), since
/// timesteps may repeat. A run may begin at any position that is a multiple of [`order`](Self::order), such as
/// [`first_step`](Self::first_step) gives, and then takes one call after the other to the end.
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

    /// The network's time inputs in the order of the calls. There may be more of them than steps, some may be fractional.
    pub fn timesteps(&self) -> &[f64] {
        &self.schedule.timesteps
    }

    /// Calls of the network in a step: 2 for Heun and both KDPM2, 1 for all others. The last step of those is one call.
    pub fn order(&self) -> usize {
        self.schedule.order
    }

    /// The standard deviation of the first sample of a whole run: standard normal noise is multiplied with it.
    pub fn init_noise_sigma(&self) -> f64 {
        self.schedule.init_noise_sigma
    }

    /// The position of the first call of a run that changes an image by `strength`: of N steps it makes the last
    /// floor(N * `strength`), as diffusers' image-to-image pipelines do (`get_timesteps`). The run begins with
    /// [`add_noise`](Self::add_noise) at that position. PNDM has more calls than steps and keeps those: one, or nine with
    /// Runge-Kutta.
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

    /// The network's input for this sample: scaled to unit variance.
    ///
    /// # Shapes
    /// - sample and output: `[batch, channels, height, width]`
    pub fn scale_model_input(&self, sample: Tensor<4>, index: usize) -> Tensor<4> {
        self.schedule.levels[index].scale_to_unit(sample)
    }

    /// `original` at the noise level of the position `index`, where the number of timesteps stands for the level after
    /// the last call. Between the two calls of a step it is the level at the end of the step, as in diffusers'
    /// inpainting, which after the last call takes the original as it is.
    ///
    /// # Shapes
    /// - `original`, `noise` and output: `[batch, channels, height, width]`
    pub fn add_noise(&self, original: Tensor<4>, noise: Tensor<4>, index: usize) -> Tensor<4> {
        self.schedule.level_to_noise(index).add_noise(original, noise)
    }

    /// The sample without noise as the network's output for it has it, for previews.
    ///
    /// # Shapes
    /// - `output` (any float type), `sample` and result (the sample's type): `[batch, channels, height, width]`
    pub fn denoised(&self, output: Tensor<4>, index: usize, sample: Tensor<4>) -> Tensor<4> {
        self.prediction.denoised(output.cast(sample.dtype()), sample, self.schedule.levels[index])
    }

    /// One call's step towards less noise. Stochastic samplers draw from `noise` as diffusers does.
    ///
    /// # Shapes
    /// - `output` (any float type), `sample` and result (the sample's type): `[batch, channels, height, width]`
    ///
    /// # Panics
    /// When a run begins between the calls of a step, or leaves a call out.
    pub fn step(&mut self, output: Tensor<4>, index: usize, sample: Tensor<4>, noise: &mut dyn Noise) -> Tensor<4> {
        let due = self.next.unwrap_or_else(|| index - index % self.order());
        assert_eq!(index, due, "a run begins with the first call of a step and leaves no call out");
        self.next = Some(index + 1);
        let output = output.cast(sample.dtype());
        let (schedule, prediction) = (&self.schedule, self.prediction);
        self.sampler.step(Call { schedule, prediction, index, sample, output, noise })
    }
}
