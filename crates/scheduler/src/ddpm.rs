use burn::tensor::Tensor;

use crate::limit::Limit;
use crate::noise_schedule::{BetaDefaults, NoiseSchedule};
use crate::prediction::{Prediction, weighted_sum};
use crate::timesteps::spaced_integers;
use crate::{Generator, Scheduler, SchedulerConfig, SchedulerError, TimestepSpacing, VarianceType};

/// Ancestral sampling, <https://arxiv.org/abs/2006.11239>, algorithm 2, on a subset of the timesteps.
#[derive(Debug)]
pub(crate) struct Ddpm {
    noise: NoiseSchedule,
    timesteps: Vec<f64>,
    prediction: Prediction,
    variance_type: VarianceType,
}

impl Ddpm {
    pub(crate) fn new(config: &SchedulerConfig, steps: usize) -> Result<Self, SchedulerError> {
        let noise = NoiseSchedule::rescaled(config, BetaDefaults::DDPM)?;
        let spacing = config.timestep_spacing.unwrap_or(TimestepSpacing::Leading);
        let offset = config.steps_offset.unwrap_or(0);
        let timesteps = spaced_integers(spacing, noise.train_steps(), steps, offset);
        noise.check_timesteps(&timesteps, offset)?;
        let prediction = Prediction::new(config, Limit::threshold_or_clip(config, true));
        let variance_type = config.variance_type.unwrap_or(VarianceType::FixedSmall);
        Ok(Self { noise, timesteps, prediction, variance_type })
    }

    /// The standard deviation of the noise that a step adds, from beta and from beta-tilde of equation 7.
    fn deviation(&self, beta: f64, beta_tilde: f64) -> f64 {
        match self.variance_type {
            VarianceType::FixedSmall | VarianceType::FixedSmallLog => beta_tilde.max(1e-20).sqrt(),
            VarianceType::FixedLarge | VarianceType::FixedLargeLog => beta.sqrt(),
        }
    }
}

impl Scheduler for Ddpm {
    fn timesteps(&self) -> &[f64] {
        &self.timesteps
    }

    fn step(&mut self, output: Tensor<4>, index: usize, sample: Tensor<4>, generator: &mut Generator) -> Tensor<4> {
        let timestep = self.timesteps[index];
        let alpha_bar = self.noise.alpha_cumprod(timestep);
        let alpha_bar_next = self.timesteps.get(index + 1).map_or(1.0, |&next| self.noise.alpha_cumprod(next));
        let alpha = alpha_bar / alpha_bar_next;
        let (beta, shrink) = (1.0 - alpha, (1.0 - alpha_bar_next) / (1.0 - alpha_bar));
        let denoised = self.prediction.denoised(&output, &sample, self.noise.level(timestep));
        let of_denoised = alpha_bar_next.sqrt() * beta / (1.0 - alpha_bar);
        let (shape, device) = (sample.dims(), sample.device());
        let mean = weighted_sum([(of_denoised, denoised), (alpha.sqrt() * shrink, sample)]);
        if timestep == 0.0 {
            return mean;
        }
        mean + generator.randn_tensor(shape, &device) * self.deviation(beta, shrink * beta)
    }

    fn add_noise(&self, original: Tensor<4>, noise: Tensor<4>, index: usize) -> Tensor<4> {
        self.noise.add_noise(original, noise, self.timesteps[index])
    }
}
