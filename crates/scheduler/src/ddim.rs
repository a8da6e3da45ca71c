use burn::tensor::Tensor;

use crate::level::{Level, weighted_sum};
use crate::limit::Limit;
use crate::noise_schedule::{BetaDefaults, NoiseSchedule};
use crate::posterior::Posterior;
use crate::prediction::Prediction;
use crate::sampler::{Call, Sampler};
use crate::schedule::{Schedule, whole_timesteps};
use crate::{Scheduler, SchedulerConfig, SchedulerError};

/// Denoising diffusion implicit models, <https://arxiv.org/abs/2010.02502>, equation 12.
#[derive(Debug)]
pub(crate) struct Ddim {
    /// The level after each step. It lies a fixed number of timesteps below, which is not always the timestep of the
    /// next call.
    targets: Vec<Level>,
    eta: f64,
}

impl Ddim {
    pub(crate) fn build(config: &SchedulerConfig, steps: usize) -> Result<Scheduler, SchedulerError> {
        let noise = NoiseSchedule::rescaled(config, BetaDefaults::DDPM)?;
        let timesteps = whole_timesteps(config, noise.train_steps(), steps)?;
        let stride = (noise.train_steps() / steps) as f64;
        let last = noise.last_level(config.set_alpha_to_one.unwrap_or(true));
        let target = |timestep: &f64| if *timestep < stride { last } else { noise.level(timestep - stride) };
        let sampler = Self { targets: timesteps.iter().map(target).collect(), eta: config.eta.unwrap_or(0.0) };
        let prediction = Prediction::new(config, Limit::threshold_or_clip(config, true));
        Ok(Scheduler::new(Schedule::preserving(&noise, steps, timesteps, last), prediction, sampler))
    }
}

impl Sampler for Ddim {
    fn step(&mut self, mut call: Call<'_>) -> Tensor<4> {
        let to = self.targets[call.index];
        let variance = Posterior::between(call.level(), to).beta_tilde.max(0.0);
        let sigma = self.eta * variance.sqrt();
        let direction = (to.sigma.powi(2) - sigma * sigma).max(0.0).sqrt();
        let mean = weighted_sum([(to.alpha, call.denoised()), (direction, call.epsilon())]);
        if self.eta == 0.0 { mean } else { mean + call.noise() * sigma }
    }
}
