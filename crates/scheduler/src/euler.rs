use burn::tensor::Tensor;

use crate::limit::Limit;
use crate::noise_schedule::{BetaDefaults, NoiseSchedule};
use crate::prediction::{Level, Prediction};
use crate::sigmas::{SigmaSchedule, scale_to_unit};
use crate::{FinalSigmasType, Generator, Scheduler, SchedulerConfig, SchedulerError};

/// Euler's method for the probability flow, algorithm 2 of <https://arxiv.org/abs/2206.00364> without its noise.
#[derive(Debug)]
pub(crate) struct EulerDiscrete {
    schedule: SigmaSchedule,
    prediction: Prediction,
}

impl EulerDiscrete {
    pub(crate) fn new(config: &SchedulerConfig, steps: usize) -> Result<Self, SchedulerError> {
        let noise = NoiseSchedule::rescaled_finite(config, BetaDefaults::DDPM)?;
        let mut schedule = SigmaSchedule::new(&noise, config, steps, config.use_karras_sigmas == Some(true));
        if config.final_sigmas_type == Some(FinalSigmasType::SigmaMin) {
            schedule.sigmas[steps] = f64::from(noise.sigmas()[0]);
        }
        Ok(Self { schedule, prediction: Prediction::new(config, Limit::None) })
    }
}

impl Scheduler for EulerDiscrete {
    fn timesteps(&self) -> &[f64] {
        &self.schedule.timesteps
    }

    fn init_noise_sigma(&self) -> f64 {
        self.schedule.init_noise_sigma()
    }

    fn scale_model_input(&self, sample: Tensor<4>, index: usize) -> Tensor<4> {
        scale_to_unit(sample, self.schedule.sigmas[index])
    }

    fn step(&mut self, output: Tensor<4>, index: usize, sample: Tensor<4>, _: &mut Generator) -> Tensor<4> {
        let (sigma, sigma_next) = (self.schedule.sigmas[index], self.schedule.sigmas[index + 1]);
        let denoised = self.prediction.denoised(&output, &sample, Level::exploding(sigma));
        let derivative = (sample.clone() - denoised) / sigma;
        sample + derivative * (sigma_next - sigma)
    }

    fn add_noise(&self, original: Tensor<4>, noise: Tensor<4>, index: usize) -> Tensor<4> {
        original + noise * self.schedule.sigmas[index]
    }
}
