use burn::tensor::Tensor;

use crate::limit::Limit;
use crate::noise_schedule::{BetaDefaults, NoiseSchedule};
use crate::prediction::{Prediction, weighted_sum};
use crate::{Algorithm, Generator, Scheduler, SchedulerConfig, SchedulerError};

/// The standard deviation of the data in the boundary conditions.
const SIGMA_DATA: f64 = 0.5;

/// Multistep sampling of latent consistency models, <https://arxiv.org/abs/2310.04378>, algorithm 3: denoise at once, then
/// go back to the next noise level with fresh noise.
#[derive(Debug)]
pub(crate) struct Lcm {
    noise: NoiseSchedule,
    timesteps: Vec<f64>,
    timestep_scaling: f64,
    prediction: Prediction,
}

impl Lcm {
    pub(crate) fn new(config: &SchedulerConfig, steps: usize) -> Result<Self, SchedulerError> {
        let noise = NoiseSchedule::rescaled(config, BetaDefaults::LATENT)?;
        let original_steps = config.original_inference_steps.unwrap_or(50).min(noise.train_steps());
        Algorithm::Lcm.check_steps(steps, 1, original_steps, ", as in its distillation")?;
        Ok(Self {
            timesteps: timesteps(noise.train_steps() / original_steps, original_steps, steps),
            noise,
            timestep_scaling: config.timestep_scaling.unwrap_or(10.0),
            prediction: Prediction::new(config, Limit::threshold_or_clip(config, false)),
        })
    }

    /// The weights of sample and denoised sample that make the step an identity at timestep 0, section 4.2.
    fn boundary(&self, timestep: f64) -> (f64, f64) {
        let scaled = timestep * self.timestep_scaling;
        let norm = scaled.hypot(SIGMA_DATA);
        ((SIGMA_DATA / norm).powi(2), scaled / norm)
    }
}

/// `steps` of the `original_steps` timesteps of the distillation, which are `stride` apart; the largest comes first.
fn timesteps(stride: usize, original_steps: usize, steps: usize) -> Vec<f64> {
    let share = original_steps as f64 / steps as f64;
    let skipped = (0..steps).map(|i| (i as f64 * share).floor() as usize);
    skipped.map(|skipped| ((original_steps - skipped) * stride - 1) as f64).collect()
}

impl Scheduler for Lcm {
    fn timesteps(&self) -> &[f64] {
        &self.timesteps
    }

    fn step(&mut self, output: Tensor<4>, index: usize, sample: Tensor<4>, generator: &mut Generator) -> Tensor<4> {
        let timestep = self.timesteps[index];
        let predicted = self.prediction.denoised(&output, &sample, self.noise.level(timestep));
        let (c_skip, c_out) = self.boundary(timestep);
        let (shape, device) = (sample.dims(), sample.device());
        let denoised = weighted_sum([(c_out, predicted), (c_skip, sample)]);
        let Some(&next) = self.timesteps.get(index + 1) else { return denoised };
        self.noise.add_noise(denoised, generator.randn_tensor(shape, &device), next)
    }

    fn add_noise(&self, original: Tensor<4>, noise: Tensor<4>, index: usize) -> Tensor<4> {
        self.noise.add_noise(original, noise, self.timesteps[index])
    }
}
