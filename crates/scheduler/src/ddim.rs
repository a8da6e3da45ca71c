use burn::tensor::Tensor;

use crate::limit::Limit;
use crate::noise_schedule::{BetaDefaults, NoiseSchedule};
use crate::prediction::{Prediction, weighted_sum};
use crate::timesteps::spaced_integers;
use crate::{Generator, Scheduler, SchedulerConfig, SchedulerError, TimestepSpacing};

/// Denoising diffusion implicit models, <https://arxiv.org/abs/2010.02502>, equation 12.
#[derive(Debug)]
pub(crate) struct Ddim {
    noise: NoiseSchedule,
    timesteps: Vec<f64>,
    /// Timesteps of training in a step.
    stride: f64,
    final_alpha_cumprod: f64,
    prediction: Prediction,
    eta: f64,
}

impl Ddim {
    pub(crate) fn new(config: &SchedulerConfig, steps: usize) -> Result<Self, SchedulerError> {
        let noise = NoiseSchedule::rescaled(config, BetaDefaults::DDPM)?;
        let spacing = config.timestep_spacing.unwrap_or(TimestepSpacing::Leading);
        let offset = config.steps_offset.unwrap_or(0);
        let timesteps = spaced_integers(spacing, noise.train_steps(), steps, offset);
        noise.check_timesteps(&timesteps, offset)?;
        let to_one = config.set_alpha_to_one.unwrap_or(true);
        Ok(Self {
            timesteps,
            stride: (noise.train_steps() / steps) as f64,
            final_alpha_cumprod: if to_one { 1.0 } else { noise.alpha_cumprod(0.0) },
            noise,
            prediction: Prediction::new(config, Limit::threshold_or_clip(config, true)),
            eta: config.eta.unwrap_or(0.0),
        })
    }
}

impl Scheduler for Ddim {
    fn timesteps(&self) -> &[f64] {
        &self.timesteps
    }

    fn step(&mut self, output: Tensor<4>, index: usize, sample: Tensor<4>, generator: &mut Generator) -> Tensor<4> {
        let (timestep, level) = (self.timesteps[index], self.noise.level(self.timesteps[index]));
        let next = timestep - self.stride;
        let alpha_bar = self.noise.alpha_cumprod(timestep);
        let alpha_bar_next = if next < 0.0 { self.final_alpha_cumprod } else { self.noise.alpha_cumprod(next) };
        let variance = (1.0 - alpha_bar_next) / (1.0 - alpha_bar) * (1.0 - alpha_bar / alpha_bar_next);
        let sigma = self.eta * variance.max(0.0).sqrt();
        let denoised = self.prediction.denoised(&output, &sample, level);
        let epsilon = self.prediction.epsilon(&output, &sample, level);
        let direction = (1.0 - alpha_bar_next - sigma * sigma).max(0.0).sqrt();
        let mean = weighted_sum([(alpha_bar_next.sqrt(), denoised), (direction, epsilon)]);
        if self.eta == 0.0 {
            return mean;
        }
        mean + generator.randn_tensor(sample.dims(), &sample.device()) * sigma
    }

    fn add_noise(&self, original: Tensor<4>, noise: Tensor<4>, index: usize) -> Tensor<4> {
        self.noise.add_noise(original, noise, self.timesteps[index])
    }
}
