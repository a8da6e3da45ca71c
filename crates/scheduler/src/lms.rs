use std::collections::VecDeque;

use burn::tensor::Tensor;

use crate::limit::Limit;
use crate::noise_schedule::{BetaDefaults, NoiseSchedule};
use crate::prediction::{Level, Prediction, weighted_sum};
use crate::sigmas::{SigmaSchedule, scale_to_unit};
use crate::{Generator, Scheduler, SchedulerConfig, SchedulerError};

/// Derivatives that a step looks back on.
const ORDER: usize = 4;

/// The linear multistep (Adams-Bashforth) method with unequal steps in sigma, which Katherine Crowson brought to
/// diffusion models: <https://github.com/crowsonkb/k-diffusion>, `sample_lms`.
#[derive(Debug)]
pub(crate) struct LmsDiscrete {
    schedule: SigmaSchedule,
    prediction: Prediction,
    /// The newest first.
    derivatives: VecDeque<Tensor<4>>,
}

impl LmsDiscrete {
    pub(crate) fn new(config: &SchedulerConfig, steps: usize) -> Result<Self, SchedulerError> {
        let noise = NoiseSchedule::new(config, BetaDefaults::DDPM)?;
        let schedule = SigmaSchedule::new(&noise, config, steps, config.use_karras_sigmas == Some(true));
        Ok(Self { schedule, prediction: Prediction::new(config, Limit::None), derivatives: VecDeque::new() })
    }
}

/// The integral over the next step of the Lagrange polynomial that is 1 at the newest but `current` of the last `order`
/// noise levels and 0 at the others. `nodes` holds those levels, the newest first, and begins where the step begins.
fn lms_coefficient(nodes: &[f64], current: usize, sigma_next: f64) -> f64 {
    let others = nodes.iter().enumerate().filter(|&(k, _)| k != current);
    let basis = |tau: f64| -> f64 { others.clone().map(|(_, node)| (tau - node) / (nodes[current] - node)).product() };
    // Two-point Gauss-Legendre quadrature is exact up to the third degree, the highest of ORDER nodes.
    let (center, half) = ((nodes[0] + sigma_next) / 2.0, (sigma_next - nodes[0]) / 2.0);
    let abscissa = half / 3.0_f64.sqrt();
    half * (basis(center - abscissa) + basis(center + abscissa))
}

impl Scheduler for LmsDiscrete {
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
        let sigmas = &self.schedule.sigmas;
        let denoised = self.prediction.denoised(&output, &sample, Level::exploding(sigmas[index]));
        self.derivatives.push_front((sample.clone() - denoised) / sigmas[index]);
        self.derivatives.truncate(ORDER);
        let nodes: Vec<f64> = (0..self.derivatives.len()).map(|k| sigmas[index - k]).collect();
        let coefficients = (0..nodes.len()).map(|current| lms_coefficient(&nodes, current, sigmas[index + 1]));
        sample + weighted_sum(coefficients.zip(self.derivatives.iter().cloned()))
    }

    fn add_noise(&self, original: Tensor<4>, noise: Tensor<4>, index: usize) -> Tensor<4> {
        original + noise * self.schedule.sigmas[index]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With equal steps the coefficients are those of Adams and Bashforth.
    #[test]
    fn equal_steps_give_adams_bashforth() {
        let nodes = [3.0, 4.0, 5.0, 6.0];
        for (current, expected) in [55.0, -59.0, 37.0, -9.0].into_iter().enumerate() {
            assert!((lms_coefficient(&nodes, current, 2.0) + expected / 24.0).abs() < 1e-12);
        }
    }
}
