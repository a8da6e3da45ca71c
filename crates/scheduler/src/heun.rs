use burn::tensor::Tensor;

use crate::limit::Limit;
use crate::noise_schedule::{BetaDefaults, NoiseSchedule};
use crate::prediction::{Level, Prediction};
use crate::sigmas::{SigmaSchedule, scale_to_unit};
use crate::{Generator, Scheduler, SchedulerConfig, SchedulerError};

/// Heun's method, algorithm 1 of <https://arxiv.org/abs/2206.00364>: each step but the last calls the model twice.
#[derive(Debug)]
pub(crate) struct HeunDiscrete {
    schedule: SigmaSchedule,
    init_noise_sigma: f64,
    prediction: Prediction,
    /// Between the two calls of a step: sample and derivative at its start.
    start: Option<(Tensor<4>, Tensor<4>)>,
}

impl HeunDiscrete {
    pub(crate) fn new(config: &SchedulerConfig, steps: usize) -> Result<Self, SchedulerError> {
        let noise = NoiseSchedule::new(config, BetaDefaults::KARRAS)?;
        let mut schedule = SigmaSchedule::new(&noise, config, steps, config.use_karras_sigmas == Some(true));
        let init_noise_sigma = schedule.init_noise_sigma();
        schedule.timesteps = SigmaSchedule::doubled(&schedule.timesteps);
        schedule.sigmas = SigmaSchedule::doubled(&schedule.sigmas);
        let prediction = Prediction::new(config, Limit::clip(config, false));
        Ok(Self { schedule, init_noise_sigma, prediction, start: None })
    }
}

impl Scheduler for HeunDiscrete {
    fn timesteps(&self) -> &[f64] {
        &self.schedule.timesteps
    }

    fn init_noise_sigma(&self) -> f64 {
        self.init_noise_sigma
    }

    fn scale_model_input(&self, sample: Tensor<4>, index: usize) -> Tensor<4> {
        scale_to_unit(sample, self.schedule.sigmas[index])
    }

    fn step(&mut self, output: Tensor<4>, index: usize, sample: Tensor<4>, _: &mut Generator) -> Tensor<4> {
        let sigmas = &self.schedule.sigmas;
        let denoised = self.prediction.denoised(&output, &sample, Level::exploding(sigmas[index]));
        let derivative = (sample.clone() - denoised) / sigmas[index];
        if let Some((start, first)) = self.start.take() {
            return start + (first + derivative) / 2.0 * (sigmas[index] - sigmas[index - 1]);
        }
        self.start = Some((sample.clone(), derivative.clone()));
        sample + derivative * (sigmas[index + 1] - sigmas[index])
    }

    fn add_noise(&self, original: Tensor<4>, noise: Tensor<4>, index: usize) -> Tensor<4> {
        original + noise * self.schedule.sigmas[index]
    }
}
