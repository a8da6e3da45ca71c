use burn::tensor::Tensor;

use crate::level::weighted_sum;
use crate::limit::Limit;
use crate::noise_schedule::{BetaDefaults, NoiseSchedule};
use crate::prediction::Prediction;
use crate::sampler::{Call, History, Sampler};
use crate::schedule::{MultistepOptions, Schedule};
use crate::{Algorithm, FinalSigmasType, Scheduler, SchedulerConfig, SchedulerError, SolverType};

/// With fewer steps than this, the last ones are of lower order.
const FEW_STEPS: usize = 15;

/// DPM-Solver++ (<https://arxiv.org/abs/2211.01095>), multistep, of order 1 to 3: an exponential integrator in lambda
/// for the denoised sample. Its SDE form adds noise in every step, appendix E of the same paper.
#[derive(Debug)]
pub(crate) struct DpmSolver {
    history: History,
    stochastic: bool,
    heun: bool,
    lower_order_final: bool,
    euler_at_final: bool,
}

impl DpmSolver {
    pub(crate) fn build(
        config: &SchedulerConfig,
        steps: usize,
        algorithm: Algorithm,
    ) -> Result<Scheduler, SchedulerError> {
        let noise = NoiseSchedule::rescaled_finite(config, BetaDefaults::DDPM)?;
        let final_sigma = config.final_sigmas_type.unwrap_or(FinalSigmasType::Zero);
        let options = MultistepOptions { algorithm, last_timestep: last_timestep(&noise, config)?, final_sigma };
        let sampler = Self {
            history: History::new(config.solver_order.unwrap_or(2)),
            stochastic: algorithm == Algorithm::DpmSolverPlusPlusSde,
            heun: config.solver_type == Some(SolverType::Heun),
            lower_order_final: config.lower_order_final.unwrap_or(true) && steps < FEW_STEPS,
            euler_at_final: config.euler_at_final.unwrap_or(false) || final_sigma == FinalSigmasType::Zero,
        };
        let schedule = Schedule::multistep(&noise, config, steps, options)?;
        Ok(Scheduler::new(schedule, Prediction::new(config, Limit::threshold(config)), sampler))
    }

    /// The factors of D0, D1 and D2; `k` is h, or 2 h for the SDE.
    fn coefficients(&self, order: usize, k: f64) -> [f64; 3] {
        let phi_1 = -(-k).exp_m1();
        let phi_2 = if order == 2 && !self.heun { phi_1 / 2.0 } else { 1.0 - phi_1 / k };
        // The sign of 1/2 for the SDE is that of diffusers; the integral has the opposite sign.
        let half = if self.stochastic { 0.5 } else { -0.5 };
        [phi_1, phi_2, -((k - phi_1) / (k * k) + half)]
    }
}

impl Sampler for DpmSolver {
    fn step(&mut self, mut call: Call<'_>) -> Tensor<4> {
        let (from, to) = (call.level(), call.next_level());
        self.history.push(call.denoised());
        let first_order = self.euler_at_final && call.is_last();
        let order = self.history.order(call.schedule, call.index, self.lower_order_final || first_order);
        let h = to.lambda() - from.lambda();
        let (k, shrink) = if self.stochastic { (2.0 * h, (-h).exp()) } else { (h, 1.0) };
        let (coefficients, derivatives) = (self.coefficients(order, k), derivatives(call.schedule, call.index, order));
        let of_prediction = |i: usize| (0..order).map(|n| coefficients[n] * derivatives[n][i]).sum::<f64>();
        let weights: Vec<f64> = (0..order).map(|i| to.alpha * of_prediction(i)).collect();
        let noise = self.stochastic.then(|| (to.sigma * coefficients[0].sqrt(), call.noise()));
        let of_sample = to.sigma / from.sigma * shrink;
        weighted_sum([(of_sample, call.sample)].into_iter().chain(self.history.weighted(&weights)).chain(noise))
    }
}

/// D0, D1 and D2, the prediction and its derivatives in lambda at `index`, each as weights of the last three
/// predictions, newest first.
fn derivatives(schedule: &Schedule, index: usize, order: usize) -> [[f64; 3]; 3] {
    let mut derivatives = [[1.0, 0.0, 0.0], [0.0; 3], [0.0; 3]];
    let lambda = |index: usize| schedule.levels[index].lambda();
    let h = lambda(index + 1) - lambda(index);
    // The length in lambda of the step that began `past` steps ago, relative to this step.
    let ratio = |past: usize| (lambda(index + 1 - past) - lambda(index - past)) / h;
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

/// The number of timesteps whose lambda is not below `lambda_min_clipped`.
fn last_timestep(noise: &NoiseSchedule, config: &SchedulerConfig) -> Result<usize, SchedulerError> {
    let Some(bound) = config.lambda_min_clipped else { return Ok(noise.train_steps()) };
    let kept = noise.sigmas().count_up_to((-bound).exp());
    if kept < 2 {
        return Err(SchedulerError::setting("lambda_min_clipped", bound, "no timestep lies above it"));
    }
    Ok(kept)
}
