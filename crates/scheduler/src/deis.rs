use burn::tensor::Tensor;

use crate::limit::Limit;
use crate::multistep::{History, MultistepOptions, MultistepSchedule};
use crate::noise_schedule::{BetaDefaults, NoiseSchedule};
use crate::prediction::{Prediction, weighted_sum};
use crate::{Algorithm, FinalSigmasType, Generator, Scheduler, SchedulerConfig, SchedulerError};

/// Below this number of steps the last ones are of lower order.
const FEW_STEPS: usize = 15;

/// The exponential integrator of <https://arxiv.org/abs/2204.13902> with polynomials in log rho (rho-AB), of first to third
/// order; rho = sigma / alpha.
#[derive(Debug)]
pub(crate) struct Deis {
    schedule: MultistepSchedule,
    prediction: Prediction,
    history: History,
    solver_order: usize,
    lower_order_final: bool,
}

impl Deis {
    pub(crate) fn new(config: &SchedulerConfig, steps: usize) -> Result<Self, SchedulerError> {
        let noise = NoiseSchedule::new(config, BetaDefaults::DDPM)?;
        let (algorithm, final_sigma) = (Algorithm::Deis, FinalSigmasType::SigmaMin);
        let options = MultistepOptions { algorithm, last_timestep: noise.train_steps(), final_sigma };
        let solver_order = config.solver_order.unwrap_or(2);
        Ok(Self {
            schedule: MultistepSchedule::new(&noise, config, steps, options)?,
            prediction: Prediction::new(config, Limit::threshold(config)),
            history: History::new(solver_order),
            solver_order,
            lower_order_final: config.lower_order_final.unwrap_or(true),
        })
    }

    fn order(&self, index: usize) -> usize {
        let few = self.lower_order_final && self.schedule.steps() < FEW_STEPS;
        let left = self.schedule.steps() - index;
        let bound = if few && left < 3 { self.solver_order.min(left) } else { self.solver_order };
        bound.min(self.history.len())
    }

    /// The integrals over the step of the Lagrange polynomials in log rho whose nodes are the last `order` levels.
    fn weights(&self, index: usize, order: usize) -> Vec<f64> {
        let nodes: Vec<f64> = (0..order).map(|past| -self.schedule.lambda(index - past)).collect();
        let (from, to) = (nodes[0], -self.schedule.lambda(index + 1));
        let integral = |current: usize| {
            let others: Vec<f64> = (0..order).filter(|&k| k != current).map(|k| nodes[k]).collect();
            let scale: f64 = others.iter().map(|other| nodes[current] - other).product();
            (antiderivative(&others, to) - antiderivative(&others, from)) / scale
        };
        (0..order).map(integral).collect()
    }
}

/// The integral over rho of the product of (log rho - root), at l = log rho.
fn antiderivative(roots: &[f64], l: f64) -> f64 {
    let polynomial = match roots {
        [] => 1.0,
        [c] => l - c - 1.0,
        [c, d, ..] => l * l - (c + d + 2.0) * l + c * d + c + d + 2.0,
    };
    l.exp() * polynomial
}

impl Scheduler for Deis {
    fn timesteps(&self) -> &[f64] {
        &self.schedule.timesteps
    }

    fn step(&mut self, output: Tensor<4>, index: usize, sample: Tensor<4>, _: &mut Generator) -> Tensor<4> {
        let (from, to) = (self.schedule.level(index), self.schedule.level(index + 1));
        let denoised = self.prediction.denoised(&output, &sample, from);
        self.history.push((sample.clone() - denoised * from.alpha) / from.sigma);
        let weights = self.weights(index, self.order(index));
        let weights: Vec<f64> = weights.into_iter().map(|weight| to.alpha * weight).collect();
        weighted_sum([(to.alpha / from.alpha, sample)].into_iter().chain(self.history.weighted(&weights)))
    }

    fn add_noise(&self, original: Tensor<4>, noise: Tensor<4>, index: usize) -> Tensor<4> {
        self.schedule.add_noise(original, noise, index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The derivative of the antiderivative by finite differences.
    #[test]
    fn antiderivative_has_the_right_derivative() {
        let (rho, step) = (1.7_f64, 1e-4);
        for roots in [&[][..], &[0.3], &[0.3, -1.1]] {
            let difference = antiderivative(roots, (rho + step).ln()) - antiderivative(roots, (rho - step).ln());
            let expected: f64 = roots.iter().map(|root| rho.ln() - root).product();
            assert!((difference / (2.0 * step) - expected).abs() < 1e-7);
        }
    }
}
