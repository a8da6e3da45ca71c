use burn::tensor::Tensor;

use crate::level::{Level, weighted_sum};
use crate::limit::Limit;
use crate::noise_schedule::{BetaDefaults, NoiseSchedule};
use crate::prediction::Prediction;
use crate::sampler::{Call, History, Sampler};
use crate::schedule::{MultistepOptions, Schedule};
use crate::{Algorithm, FinalSigmasType, Scheduler, SchedulerConfig, SchedulerError, SolverType};

/// UniPC, <https://arxiv.org/abs/2302.04867>: each call first corrects the sample that it was made for, then predicts
/// the next one (algorithms 5 and 6 for the denoised sample).
#[derive(Debug)]
pub(crate) struct UniPc {
    /// Denoised samples or noises, depending on `predict_x0`.
    history: History,
    predict_x0: bool,
    bh1: bool,
    lower_order_final: bool,
    disable_corrector: Vec<usize>,
    /// The sample from which the last prediction was made, and the order of that prediction.
    last: Option<(Tensor<4>, usize)>,
}

impl UniPc {
    pub(crate) fn build(config: &SchedulerConfig, steps: usize) -> Result<Scheduler, SchedulerError> {
        let noise = NoiseSchedule::rescaled_finite(config, BetaDefaults::DDPM)?;
        let final_sigma = config.final_sigmas_type.unwrap_or(FinalSigmasType::Zero);
        let (algorithm, last_timestep) = (Algorithm::UniPc, noise.train_steps());
        let options = MultistepOptions { algorithm, last_timestep, final_sigma };
        let sampler = Self {
            history: History::new(config.solver_order.unwrap_or(2)),
            predict_x0: config.predict_x0.unwrap_or(true),
            bh1: config.solver_type == Some(SolverType::Bh1),
            lower_order_final: config.lower_order_final.unwrap_or(true),
            disable_corrector: config.disable_corrector.clone().unwrap_or_default(),
            last: None,
        };
        let limit = if sampler.predict_x0 { Limit::threshold(config) } else { Limit::None };
        let schedule = Schedule::multistep(&noise, config, steps, options)?;
        Ok(Scheduler::new(schedule, Prediction::new(config, limit), sampler))
    }

    /// From `sample` at `index` to the next level, equations 3 and 8 of the paper. The predictor (without `target`)
    /// uses the history up to `index`. The corrector also uses the prediction at the level it leads to.
    fn update(
        &self,
        levels: &[Level],
        index: usize,
        order: usize,
        sample: Tensor<4>,
        target: Option<Tensor<4>>,
    ) -> Tensor<4> {
        let (from, to) = (levels[index], levels[index + 1]);
        let step = to.lambda() - from.lambda();
        let h = if self.predict_x0 { -step } else { step };
        let b_h = if self.bh1 { h } else { h.exp_m1() };
        let ratio = |past: usize| (levels[index - past].lambda() - from.lambda()) / step;
        let ratios: Vec<f64> = (1..order).map(ratio).collect();
        let rhos = rhos(&ratios, h, b_h, target.is_some());
        // The first-order part in closed form, in which sigma may be zero.
        let (of_sample, of_first, scale) = if self.predict_x0 {
            (to.sigma / from.sigma, to.alpha * h.exp_m1(), to.alpha)
        } else {
            (to.alpha / from.alpha, to.alpha * from.sigma / from.alpha - to.sigma, to.sigma)
        };
        // Differences to the newest prediction, divided by their distances in lambda; the target has distance 1.
        let differences = rhos.iter().zip(ratios.iter().chain([&1.0]));
        let mut weights: Vec<f64> = differences.map(|(rho, ratio)| -scale * b_h * rho / ratio).collect();
        let of_target = if target.is_some() { weights.pop() } else { None };
        let others = weights.iter().sum::<f64>() + of_target.unwrap_or(0.0);
        weights.insert(0, -of_first - others);
        let terms = [(of_sample, sample)].into_iter().chain(self.history.weighted(&weights));
        weighted_sum(terms.chain(of_target.zip(target)))
    }
}

/// The weights of the differences: the solution of R rho = b in equation 4, with one row less for the predictor.
fn rhos(ratios: &[f64], h: f64, b_h: f64, corrector: bool) -> Vec<f64> {
    let unknowns = ratios.len() + usize::from(corrector);
    if unknowns <= 1 {
        return vec![0.5; unknowns];
    }
    let nodes: Vec<f64> = ratios.iter().copied().chain([1.0]).take(unknowns).collect();
    let (mut phi, mut factorial) = (h.exp_m1() / h - 1.0, 1.0);
    let mut rows = Vec::with_capacity(unknowns);
    for k in 1..=unknowns {
        let right = phi * factorial / b_h;
        rows.push(nodes.iter().map(|node| node.powi(k as i32 - 1)).chain([right]).collect());
        factorial *= (k + 1) as f64;
        phi = phi / h - 1.0 / factorial;
    }
    solve(rows)
}

/// Gaussian elimination with pivoting for a few equations; the last column is the right-hand side.
fn solve(mut rows: Vec<Vec<f64>>) -> Vec<f64> {
    let count = rows.len();
    for column in 0..count {
        let largest = |&a: &usize, &b: &usize| rows[a][column].abs().total_cmp(&rows[b][column].abs());
        let pivot = (column..count).max_by(largest).unwrap_or(column);
        rows.swap(column, pivot);
        let pivot_row: Vec<f64> = rows[column].iter().map(|value| value / rows[column][column]).collect();
        for (i, row) in rows.iter_mut().enumerate() {
            let factor = if i == column { 0.0 } else { row[column] };
            row.iter_mut().zip(&pivot_row).for_each(|(value, pivot)| *value -= factor * pivot);
        }
        rows[column] = pivot_row;
    }
    rows.iter().map(|row| row[count]).collect()
}

impl Sampler for UniPc {
    fn step(&mut self, call: Call<'_>) -> Tensor<4> {
        let (index, levels) = (call.index, &call.schedule.levels);
        let prediction = if self.predict_x0 { call.denoised() } else { call.epsilon() };
        let sample = match self.last.take() {
            Some((last, order)) if !self.disable_corrector.contains(&(index - 1)) => {
                self.update(levels, index - 1, order, last, Some(prediction.clone()))
            }
            _ => call.sample,
        };
        self.history.push(prediction);
        let order = self.history.order(call.schedule, index, self.lower_order_final);
        self.last = Some((sample.clone(), order));
        self.update(levels, index, order, sample, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A system with a known solution whose first pivot is zero.
    #[test]
    fn equations_are_solved() {
        let rows = vec![vec![0.0, 2.0, 1.0, 7.0], vec![1.0, 1.0, 1.0, 6.0], vec![3.0, -1.0, 2.0, 7.0]];
        let solution = solve(rows);
        for (found, expected) in solution.iter().zip([1.0, 2.0, 3.0]) {
            assert!((found - expected).abs() < 1e-12, "{solution:?}");
        }
    }
}
