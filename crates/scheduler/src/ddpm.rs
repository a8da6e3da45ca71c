use burn::tensor::Tensor;

use crate::level::{Level, weighted_sum};
use crate::limit::Limit;
use crate::noise_schedule::{BetaDefaults, NoiseSchedule};
use crate::posterior::Posterior;
use crate::prediction::Prediction;
use crate::sampler::{Call, Sampler};
use crate::schedule::{Schedule, whole_timesteps};
use crate::{Scheduler, SchedulerConfig, SchedulerError, VarianceType};

/// Ancestral sampling, <https://arxiv.org/abs/2006.11239>, algorithm 2, on a subset of the timesteps.
#[derive(Debug)]
pub(crate) struct Ddpm {
    variance_type: VarianceType,
}

impl Ddpm {
    pub(crate) fn build(config: &SchedulerConfig, steps: usize) -> Result<Scheduler, SchedulerError> {
        let noise = NoiseSchedule::rescaled(config, BetaDefaults::DDPM)?;
        let timesteps = whole_timesteps(config, noise.train_steps(), steps)?;
        let prediction = Prediction::new(config, Limit::threshold_or_clip(config, true));
        let sampler = Self { variance_type: config.variance_type.unwrap_or(VarianceType::FixedSmall) };
        Ok(Scheduler::new(Schedule::preserving(&noise, steps, timesteps, Level::CLEAN), prediction, sampler))
    }
}

impl Sampler for Ddpm {
    fn step(&mut self, mut call: Call<'_>) -> Tensor<4> {
        let posterior = Posterior::between(call.level(), call.next_level());
        let terms = [(posterior.of_original, call.denoised()), (posterior.of_noisy, call.sample.clone())];
        let mean = weighted_sum(terms);
        if call.timestep() == 0.0 {
            return mean;
        }
        let variance = match self.variance_type {
            VarianceType::FixedSmall | VarianceType::FixedSmallLog => posterior.beta_tilde.max(1e-20),
            VarianceType::FixedLarge | VarianceType::FixedLargeLog => posterior.beta,
        };
        mean + call.noise() * variance.sqrt()
    }
}
