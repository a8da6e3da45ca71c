use burn::tensor::Tensor;

use crate::limit::Limit;
use crate::noise_schedule::{BetaDefaults, NoiseSchedule};
use crate::prediction::{Level, Prediction};
use crate::sigmas::{SigmaSchedule, scale_to_unit};
use crate::{Generator, Scheduler, SchedulerConfig, SchedulerError};

/// Euler's method that goes below the next noise level and comes back with fresh noise: the ancestral sampling of
/// <https://arxiv.org/abs/2006.11239> in the sigmas of <https://arxiv.org/abs/2206.00364>.
#[derive(Debug)]
pub(crate) struct EulerAncestralDiscrete {
    schedule: SigmaSchedule,
    prediction: Prediction,
}

impl EulerAncestralDiscrete {
    pub(crate) fn new(config: &SchedulerConfig, steps: usize) -> Result<Self, SchedulerError> {
        let noise = NoiseSchedule::rescaled_finite(config, BetaDefaults::DDPM)?;
        let schedule = SigmaSchedule::new(&noise, config, steps, false);
        Ok(Self { schedule, prediction: Prediction::new(config, Limit::None) })
    }
}

/// The level to go down to and the noise to add, so that both together make `to`. In float32 as diffusers has it: where
/// `from` is much larger than `to`, the difference of the squares keeps few digits.
pub(crate) fn ancestral_step(from: f64, to: f64) -> (f64, f64) {
    let (from, to) = (from as f32, to as f32);
    let sigma_up = (to * to * (from * from - to * to) / (from * from)).sqrt();
    let sigma_down = (to * to - sigma_up * sigma_up).max(0.0).sqrt();
    (f64::from(sigma_down), f64::from(sigma_up))
}

impl Scheduler for EulerAncestralDiscrete {
    fn timesteps(&self) -> &[f64] {
        &self.schedule.timesteps
    }

    fn init_noise_sigma(&self) -> f64 {
        self.schedule.init_noise_sigma()
    }

    fn scale_model_input(&self, sample: Tensor<4>, index: usize) -> Tensor<4> {
        scale_to_unit(sample, self.schedule.sigmas[index])
    }

    fn step(&mut self, output: Tensor<4>, index: usize, sample: Tensor<4>, generator: &mut Generator) -> Tensor<4> {
        let sigma = self.schedule.sigmas[index];
        let denoised = self.prediction.denoised(&output, &sample, Level::exploding(sigma));
        let (sigma_down, sigma_up) = ancestral_step(sigma, self.schedule.sigmas[index + 1]);
        let derivative = (sample.clone() - denoised) / sigma;
        let noise = generator.randn_tensor(sample.dims(), &sample.device()); // drawn also when sigma_up is zero
        sample + derivative * (sigma_down - sigma) + noise * sigma_up
    }

    fn add_noise(&self, original: Tensor<4>, noise: Tensor<4>, index: usize) -> Tensor<4> {
        original + noise * self.schedule.sigmas[index]
    }
}
