use burn::tensor::Tensor;

use crate::level::{Level, weighted_sum};
use crate::limit::Limit;
use crate::noise_schedule::{BetaDefaults, NoiseSchedule};
use crate::prediction::Prediction;
use crate::sampler::{Call, Sampler};
use crate::schedule::Schedule;
use crate::{Algorithm, Scheduler, SchedulerConfig, SchedulerError};

/// The standard deviation of the data in the boundary conditions.
const SIGMA_DATA: f64 = 0.5;

/// Multistep sampling of latent consistency models, <https://arxiv.org/abs/2310.04378>, algorithm 3: each step denoises
/// completely, then returns to the next noise level with fresh noise.
#[derive(Debug)]
pub(crate) struct Lcm {
    timestep_scaling: f64,
}

impl Lcm {
    pub(crate) fn build(config: &SchedulerConfig, steps: usize) -> Result<Scheduler, SchedulerError> {
        let noise = NoiseSchedule::rescaled(config, BetaDefaults::LATENT)?;
        let original_steps = config.original_inference_steps.unwrap_or(50).min(noise.train_steps());
        let stride = noise.train_steps() / original_steps;
        let strength = config.strength.unwrap_or(1.0);
        let within = (original_steps as f64 * strength) as usize;
        let reason = format!(" within strength {strength} of the {original_steps} of its distillation");
        Algorithm::Lcm.check_steps(steps, 1, within, &reason)?;
        let timesteps = timesteps(stride, within, steps);
        let schedule = Schedule::preserving(&noise, steps, timesteps, Level::CLEAN);
        let prediction = Prediction::new(config, Limit::threshold_or_clip(config, false));
        Ok(Scheduler::new(schedule, prediction, Self { timestep_scaling: config.timestep_scaling.unwrap_or(10.0) }))
    }

    /// The weights of sample and denoised sample, for which the step is the identity at timestep 0, section 4.2.
    fn boundary(&self, timestep: f64) -> (f64, f64) {
        let scaled = timestep * self.timestep_scaling;
        let norm = scaled.hypot(SIGMA_DATA);
        ((SIGMA_DATA / norm).powi(2), scaled / norm)
    }
}

/// `steps` of the lowest `count` timesteps of the distillation, which are `stride` apart; the largest is first.
fn timesteps(stride: usize, count: usize, steps: usize) -> Vec<f64> {
    let share = count as f64 / steps as f64;
    let skipped = (0..steps).map(|i| (i as f64 * share).floor() as usize);
    skipped.map(|skipped| ((count - skipped) * stride - 1) as f64).collect()
}

impl Sampler for Lcm {
    fn step(&mut self, mut call: Call<'_>) -> Tensor<4> {
        let (c_skip, c_out) = self.boundary(call.timestep());
        let denoised = weighted_sum([(c_out, call.denoised()), (c_skip, call.sample.clone())]);
        if call.is_last() { denoised } else { call.next_level().add_noise(denoised, call.noise()) }
    }
}
