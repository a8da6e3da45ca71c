use burn::tensor::Tensor;

use crate::euler_ancestral::ancestral_step;
use crate::kdpm2::with_midpoints;
use crate::limit::Limit;
use crate::noise_schedule::{BetaDefaults, NoiseSchedule};
use crate::prediction::{Level, Prediction};
use crate::sigmas::{SigmaSchedule, scale_to_unit};
use crate::{Generator, Scheduler, SchedulerConfig, SchedulerError};

/// DPM-Solver-2 (<https://arxiv.org/abs/2206.00927>, algorithm 1) that steps below the next level and adds fresh noise, in
/// the sigmas of <https://arxiv.org/abs/2206.00364>. The last step is Euler's and adds none.
#[derive(Debug)]
pub(crate) struct Kdpm2AncestralDiscrete {
    schedule: SigmaSchedule,
    init_noise_sigma: f64,
    prediction: Prediction,
    /// Between the two calls of a step: the sample at its start.
    start: Option<Tensor<4>>,
}

impl Kdpm2AncestralDiscrete {
    pub(crate) fn new(config: &SchedulerConfig, steps: usize) -> Result<Self, SchedulerError> {
        let noise = NoiseSchedule::new(config, BetaDefaults::KARRAS)?;
        let karras = config.use_karras_sigmas == Some(true);
        let schedule = SigmaSchedule::new(&noise, config, steps, karras);
        let init_noise_sigma = schedule.init_noise_sigma();
        let midpoint = |sigma: f64, sigma_next: f64| (sigma * ancestral_step(sigma, sigma_next).0).sqrt();
        let schedule = with_midpoints(schedule, karras, midpoint);
        Ok(Self { schedule, init_noise_sigma, prediction: Prediction::new(config, Limit::None), start: None })
    }
}

impl Scheduler for Kdpm2AncestralDiscrete {
    fn timesteps(&self) -> &[f64] {
        &self.schedule.timesteps
    }

    fn init_noise_sigma(&self) -> f64 {
        self.init_noise_sigma
    }

    fn scale_model_input(&self, sample: Tensor<4>, index: usize) -> Tensor<4> {
        scale_to_unit(sample, self.schedule.sigmas[index])
    }

    fn step(&mut self, output: Tensor<4>, index: usize, sample: Tensor<4>, generator: &mut Generator) -> Tensor<4> {
        let sigmas = &self.schedule.sigmas;
        let denoised = self.prediction.denoised(&output, &sample, Level::exploding(sigmas[index]));
        let derivative = (sample.clone() - denoised) / sigmas[index];
        if let Some(start) = self.start.take() {
            let (sigma_down, sigma_up) = ancestral_step(sigmas[index - 1], sigmas[index + 1]);
            let noise = generator.randn_tensor(sample.dims(), &sample.device());
            return start + derivative * (sigma_down - sigmas[index - 1]) + noise * sigma_up;
        }
        self.start = Some(sample.clone());
        sample + derivative * (sigmas[index + 1] - sigmas[index])
    }

    fn add_noise(&self, original: Tensor<4>, noise: Tensor<4>, index: usize) -> Tensor<4> {
        original + noise * self.schedule.sigmas[index]
    }
}
