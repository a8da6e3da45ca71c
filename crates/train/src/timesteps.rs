use pyrograph_scheduler::Generator;
use serde::{Deserialize, Serialize};

/// How the timesteps of a batch are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TimestepSampler {
    /// Independently, all with the same probability.
    Uniform,
    /// Each sample of a batch from a part of its own of all timesteps, which makes the mean loss of batches steadier.
    Stratified,
}

impl TimestepSampler {
    /// `batch` timesteps below `steps`.
    pub fn draw(self, batch: usize, steps: usize, generator: &mut Generator) -> Vec<usize> {
        let draws = generator.rand(batch).into_iter().map(f64::from).enumerate();
        let place = |(i, draw): (usize, f64)| match self {
            Self::Uniform => draw,
            Self::Stratified => (i as f64 + draw) / batch as f64,
        };
        draws.map(|draw| ((place(draw) * steps as f64) as usize).min(steps - 1)).collect()
    }
}

/// Draws timesteps in proportion to the root of their mean squared loss, by the ten latest of each
/// (Nichol and Dhariwal, <https://arxiv.org/abs/2102.09672>, section 3.3), which steadies the variational bound.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct ImportanceSampler {
    latest: Vec<Vec<f64>>,
}

/// The number of losses that are kept of each timestep. Until all timesteps have as many, draws are uniform.
const HISTORY: usize = 10;
/// The share of uniform draws, so that no timestep is forgotten.
const UNIFORM: f64 = 0.001;

impl ImportanceSampler {
    /// For so many timesteps, none of which has been seen.
    pub fn new(steps: usize) -> Self {
        Self { latest: vec![Vec::new(); steps] }
    }

    /// Takes the loss of a timestep into account.
    pub fn record(&mut self, timestep: usize, loss: f64) {
        let latest = &mut self.latest[timestep];
        if latest.len() == HISTORY {
            latest.remove(0);
        }
        latest.push(loss);
    }

    /// The probability of each timestep; uniform as long as one has been seen fewer than ten times.
    pub fn probabilities(&self) -> Vec<f64> {
        let steps = self.latest.len() as f64;
        if self.latest.iter().any(|latest| latest.len() < HISTORY) {
            return vec![1.0 / steps; self.latest.len()];
        }
        let root = |latest: &Vec<f64>| (latest.iter().map(|loss| loss * loss).sum::<f64>() / HISTORY as f64).sqrt();
        let roots: Vec<f64> = self.latest.iter().map(root).collect();
        let sum = roots.iter().sum::<f64>().max(f64::MIN_POSITIVE);
        roots.iter().map(|root| (1.0 - UNIFORM) * root / sum + UNIFORM / steps).collect()
    }

    /// `batch` timesteps, each with the factor that keeps the expectation of its loss, 1 / (steps * probability).
    pub fn draw(&self, batch: usize, generator: &mut Generator) -> Vec<(usize, f64)> {
        let probabilities = self.probabilities();
        let pick = |draw: f32| {
            let mut left = f64::from(draw);
            let found = probabilities.iter().position(|probability| {
                left -= probability;
                left < 0.0
            });
            let timestep = found.unwrap_or(probabilities.len() - 1);
            (timestep, 1.0 / (probabilities.len() as f64 * probabilities[timestep]))
        };
        generator.rand(batch).into_iter().map(pick).collect()
    }
}
