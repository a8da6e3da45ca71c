use burn::tensor::Tensor;

use crate::level::weighted_sum;
use crate::limit::Limit;
use crate::noise_schedule::{BetaDefaults, NoiseSchedule};
use crate::prediction::Prediction;
use crate::sampler::{Call, History, Sampler};
use crate::schedule::{MultistepOptions, Schedule};
use crate::{Algorithm, FinalSigmasType, Scheduler, SchedulerConfig, SchedulerError};

/// With fewer steps than this, the last ones are of lower order.
const FEW_STEPS: usize = 15;

/// The exponential integrator of <https://arxiv.org/abs/2204.13902> with polynomials in log rho (rho-AB), of order 1 to
/// 3; rho = sigma / alpha.
#[derive(Debug)]
pub(crate) struct Deis {
    /// The noise predictions.
    history: History,
    lower_order_final: bool,
}

impl Deis {
    pub(crate) fn build(config: &SchedulerConfig, steps: usize) -> Result<Scheduler, SchedulerError> {
        let noise = NoiseSchedule::new(config, BetaDefaults::DDPM)?;
        let (algorithm, final_sigma) = (Algorithm::Deis, FinalSigmasType::SigmaMin);
        let options = MultistepOptions { algorithm, last_timestep: noise.train_steps(), final_sigma };
        let schedule = Schedule::multistep(&noise, config, steps, options)?;
        let history = History::new(config.solver_order.unwrap_or(2));
        let lower_order_final = config.lower_order_final.unwrap_or(true) && steps < FEW_STEPS;
        let prediction = Prediction::new(config, Limit::threshold(config));
        Ok(Scheduler::new(schedule, prediction, Self { history, lower_order_final }))
    }
}

impl Sampler for Deis {
    fn step(&mut self, call: Call<'_>) -> Tensor<4> {
        let (from, to) = (call.level(), call.next_level());
        self.history.push(call.derivative());
        let order = self.history.order(call.schedule, call.index, self.lower_order_final);
        let log_rho = |index: usize| -call.schedule.levels[index].lambda();
        let nodes: Vec<f64> = (0..order).map(|past| log_rho(call.index - past)).collect();
        let integrals = lagrange_integrals(&nodes, log_rho(call.index + 1));
        let weights: Vec<f64> = integrals.into_iter().map(|integral| to.alpha * integral).collect();
        weighted_sum([(to.alpha / from.alpha, call.sample)].into_iter().chain(self.history.weighted(&weights)))
    }
}

/// The integrals over rho, from the first node to `to`, of the Lagrange polynomials in log rho with these nodes.
fn lagrange_integrals(nodes: &[f64], to: f64) -> Vec<f64> {
    let integral = |current: usize| {
        let others: Vec<f64> = (0..nodes.len()).filter(|&k| k != current).map(|k| nodes[k]).collect();
        let scale: f64 = others.iter().map(|other| nodes[current] - other).product();
        (antiderivative(&others, to) - antiderivative(&others, nodes[0])) / scale
    };
    (0..nodes.len()).map(integral).collect()
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
