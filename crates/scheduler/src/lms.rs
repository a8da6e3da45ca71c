use burn::tensor::Tensor;

use crate::level::weighted_sum;
use crate::limit::Limit;
use crate::noise_schedule::{BetaDefaults, NoiseSchedule};
use crate::prediction::Prediction;
use crate::sampler::{Call, History, Sampler};
use crate::schedule::Schedule;
use crate::{Scheduler, SchedulerConfig, SchedulerError};

/// Number of past derivatives that a step uses.
const ORDER: usize = 4;

/// The linear multistep (Adams-Bashforth) method with unequal steps in sigma. Katherine Crowson introduced it to
/// diffusion models: <https://github.com/crowsonkb/k-diffusion>, `sample_lms`.
#[derive(Debug)]
pub(crate) struct Lms {
    derivatives: History,
}

impl Lms {
    pub(crate) fn build(config: &SchedulerConfig, steps: usize) -> Result<Scheduler, SchedulerError> {
        let noise = NoiseSchedule::new(config, BetaDefaults::DDPM)?;
        let schedule = Schedule::exploding(&noise, config, steps, 0.0);
        let prediction = Prediction::new(config, Limit::None);
        Ok(Scheduler::new(schedule, prediction, Self { derivatives: History::new(ORDER) }))
    }
}

impl Sampler for Lms {
    fn step(&mut self, call: Call<'_>) -> Tensor<4> {
        self.derivatives.push(call.derivative());
        // diffusers takes the order from the position in the whole schedule. In a run that starts within the schedule,
        // the first derivatives therefore get the coefficients of a higher order, without the other terms.
        let order = ORDER.min(call.index + 1);
        let nodes: Vec<f64> = (0..order).map(|k| call.schedule.levels[call.index - k].sigma).collect();
        let coefficients = (0..order).map(|current| lms_coefficient(&nodes, current, call.next_level().sigma));
        let coefficients: Vec<f64> = coefficients.collect();
        call.sample + weighted_sum(self.derivatives.weighted(&coefficients))
    }
}

/// The integral over the next step of the Lagrange polynomial that is 1 at the noise level number `current` (0 is the
/// newest) of the last `order` levels, and 0 at the others. `nodes` contains these levels, newest first; the step
/// begins at the first.
fn lms_coefficient(nodes: &[f64], current: usize, sigma_next: f64) -> f64 {
    let others = nodes.iter().enumerate().filter(|&(k, _)| k != current);
    let basis = |tau: f64| -> f64 { others.clone().map(|(_, node)| (tau - node) / (nodes[current] - node)).product() };
    // Two-point Gauss-Legendre quadrature is exact up to the third degree, the highest of ORDER nodes.
    let (center, half) = ((nodes[0] + sigma_next) / 2.0, (sigma_next - nodes[0]) / 2.0);
    let abscissa = half / 3.0_f64.sqrt();
    half * (basis(center - abscissa) + basis(center + abscissa))
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
