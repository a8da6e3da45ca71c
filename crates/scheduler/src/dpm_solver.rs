use burn::tensor::Tensor;

use crate::limit::Limit;
use crate::multistep::{History, MultistepOptions, MultistepSchedule};
use crate::noise_schedule::{BetaDefaults, NoiseSchedule};
use crate::prediction::{Prediction, weighted_sum};
use crate::{Algorithm, FinalSigmasType, Generator, Scheduler, SchedulerConfig, SchedulerError, SolverType};

/// Below this number of steps the last ones are of lower order.
const FEW_STEPS: usize = 15;

/// DPM-Solver++ (<https://arxiv.org/abs/2211.01095>), multistep, of first to third order: an exponential integrator in
/// lambda for the denoised sample. Its SDE form adds noise in every step, appendix E of the same paper.
#[derive(Debug)]
pub(crate) struct DpmSolverMultistep {
    schedule: MultistepSchedule,
    prediction: Prediction,
    history: History,
    solver_order: usize,
    stochastic: bool,
    heun: bool,
    lower_order_final: bool,
    euler_at_final: bool,
    final_sigma: FinalSigmasType,
}

impl DpmSolverMultistep {
    pub(crate) fn new(config: &SchedulerConfig, steps: usize, algorithm: Algorithm) -> Result<Self, SchedulerError> {
        let noise = NoiseSchedule::rescaled_finite(config, BetaDefaults::DDPM)?;
        let final_sigma = config.final_sigmas_type.unwrap_or(FinalSigmasType::Zero);
        let last_timestep = last_timestep(&noise, config)?;
        let options = MultistepOptions { algorithm, last_timestep, final_sigma };
        let solver_order = config.solver_order.unwrap_or(2);
        Ok(Self {
            schedule: MultistepSchedule::new(&noise, config, steps, options)?,
            prediction: Prediction::new(config, Limit::threshold(config)),
            history: History::new(solver_order),
            solver_order,
            stochastic: algorithm == Algorithm::DpmSolverPlusPlusSde,
            heun: config.solver_type == Some(SolverType::Heun),
            lower_order_final: config.lower_order_final.unwrap_or(true),
            euler_at_final: config.euler_at_final.unwrap_or(false),
            final_sigma,
        })
    }

    /// Full order needs history; the last steps are of lower order, in a short run or to reach zero noise.
    fn order(&self, index: usize) -> usize {
        let few = self.lower_order_final && self.schedule.steps() < FEW_STEPS;
        let first_order_at_end = self.euler_at_final || few || self.final_sigma == FinalSigmasType::Zero;
        let bound = match self.schedule.steps() - index {
            _ if !self.schedule.moves(index) => 1,
            1 if first_order_at_end => 1,
            2 if few => 2,
            _ => self.solver_order,
        };
        bound.min(self.history.len())
    }

    /// D0, D1 and D2, the prediction and its derivatives in lambda at `index`, each as weights of the last three
    /// predictions, the newest first.
    fn derivatives(&self, index: usize, order: usize, h: f64) -> [[f64; 3]; 3] {
        let mut derivatives = [[1.0, 0.0, 0.0], [0.0; 3], [0.0; 3]];
        // How long the step from `index - past` was, in lambda, against this one.
        let ratio = |past: usize| (self.schedule.lambda(index + 1 - past) - self.schedule.lambda(index - past)) / h;
        if order == 2 {
            let r0 = ratio(1);
            derivatives[1] = [1.0 / r0, -1.0 / r0, 0.0];
        } else if order == 3 {
            let (r0, r1) = (ratio(1), ratio(2));
            let (newer, older) = ([1.0 / r0, -1.0 / r0, 0.0], [0.0, 1.0 / r1, -1.0 / r1]);
            for i in 0..3 {
                derivatives[2][i] = (newer[i] - older[i]) / (r0 + r1);
                derivatives[1][i] = newer[i] + r0 * derivatives[2][i];
            }
        }
        derivatives
    }

    /// What D0, D1 and D2 are multiplied with; `k` is h, or 2 h for the SDE.
    fn coefficients(&self, order: usize, k: f64) -> [f64; 3] {
        let phi_1 = -(-k).exp_m1();
        let phi_2 = if order == 2 && !self.heun { phi_1 / 2.0 } else { 1.0 - phi_1 / k };
        // The SDE's sign of 1/2 is diffusers'; the integral has the other one.
        let half = if self.stochastic { 0.5 } else { -0.5 };
        [phi_1, phi_2, -((k - phi_1) / (k * k) + half)]
    }
}

impl Scheduler for DpmSolverMultistep {
    fn timesteps(&self) -> &[f64] {
        &self.schedule.timesteps
    }

    fn step(&mut self, output: Tensor<4>, index: usize, sample: Tensor<4>, generator: &mut Generator) -> Tensor<4> {
        let (from, to) = (self.schedule.level(index), self.schedule.level(index + 1));
        self.history.push(self.prediction.denoised(&output, &sample, from));
        let (order, h) = (self.order(index), to.lambda() - from.lambda());
        let (k, shrink) = if self.stochastic { (2.0 * h, (-h).exp()) } else { (h, 1.0) };
        let (coefficients, derivatives) = (self.coefficients(order, k), self.derivatives(index, order, h));
        let of_prediction = |i: usize| (0..order).map(|n| coefficients[n] * derivatives[n][i]).sum::<f64>();
        let weights: Vec<f64> = (0..order).map(|i| to.alpha * of_prediction(i)).collect();
        let of_sample = to.sigma / from.sigma * shrink;
        let noise = self.stochastic.then(|| generator.randn_tensor(sample.dims(), &sample.device()));
        let noise = noise.map(|noise| (to.sigma * coefficients[0].sqrt(), noise));
        weighted_sum([(of_sample, sample)].into_iter().chain(self.history.weighted(&weights)).chain(noise))
    }

    fn add_noise(&self, original: Tensor<4>, noise: Tensor<4>, index: usize) -> Tensor<4> {
        self.schedule.add_noise(original, noise, index)
    }
}

/// The number of timesteps whose lambda is not below `lambda_min_clipped`.
fn last_timestep(noise: &NoiseSchedule, config: &SchedulerConfig) -> Result<usize, SchedulerError> {
    let Some(bound) = config.lambda_min_clipped else { return Ok(noise.train_steps()) };
    let kept = noise.sigmas().iter().filter(|&&sigma| -f64::from(sigma).ln() >= bound).count();
    if kept < 2 {
        return Err(SchedulerError::setting("lambda_min_clipped", bound, "no timestep lies above it"));
    }
    Ok(kept)
}
