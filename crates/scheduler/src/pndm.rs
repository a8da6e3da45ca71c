use burn::tensor::Tensor;

use crate::level::{Level, weighted_sum};
use crate::limit::Limit;
use crate::noise_schedule::{BetaDefaults, NoiseSchedule};
use crate::prediction::Prediction;
use crate::sampler::{Call, History, Sampler};
use crate::schedule::{Schedule, whole_timesteps};
use crate::{Algorithm, Scheduler, SchedulerConfig, SchedulerError};

/// Number of past outputs that a linear multistep uses.
const ORDER: usize = 4;
/// Calls of the Runge-Kutta start: three steps of four calls.
const RUNGE_KUTTA_CALLS: usize = 12;

/// Pseudo numerical methods, <https://arxiv.org/abs/2202.09778>: linear multistep (PLMS, equation 12) after three steps
/// of Runge-Kutta (PRK, equation 13). Without these, it starts with one step similar to Heun's.
///
/// As in diffusers, the first calls of a run make the start, wherever the run begins, and the network's outputs are
/// combined before they are converted to noise.
#[derive(Debug)]
pub(crate) struct Pndm {
    noise: NoiseSchedule,
    skip_prk_steps: bool,
    /// Training timesteps per step.
    stride: usize,
    /// The level below timestep 0.
    last: Level,
    /// Calls made so far.
    counter: usize,
    /// Outputs at whole steps.
    outputs: History,
    /// Sample at the start of a step of several calls.
    start: Option<Tensor<4>>,
    /// The sum of the outputs of such a step, each with the weight of its position.
    weighted_outputs: Option<Tensor<4>>,
}

impl Pndm {
    pub(crate) fn build(config: &SchedulerConfig, steps: usize) -> Result<Scheduler, SchedulerError> {
        let noise = NoiseSchedule::new(config, BetaDefaults::DDPM)?;
        let stride = noise.train_steps() / steps;
        let mut timesteps = whole_timesteps(config, noise.train_steps(), steps)?;
        let skip_prk_steps = config.skip_prk_steps.unwrap_or(false);
        if skip_prk_steps {
            let second = timesteps.get(1).copied();
            timesteps.splice(1..1, second);
        } else {
            Algorithm::Pndm.check_steps(steps, ORDER, noise.train_steps(), " unless skip_prk_steps is true")?;
            timesteps = runge_kutta_start(&timesteps, (stride / 2) as f64);
        }
        let last = noise.last_level(config.set_alpha_to_one.unwrap_or(false));
        let schedule = Schedule::preserving(&noise, steps, timesteps, last);
        let outputs = History::new(ORDER);
        let sampler =
            Self { noise, skip_prk_steps, stride, last, counter: 0, outputs, start: None, weighted_outputs: None };
        Ok(Scheduler::new(schedule, Prediction::new(config, Limit::None), sampler))
    }

    /// One of the four calls of a Runge-Kutta step: weights 1/6, 1/3, 1/3, 1/6; the first two lead to the middle of the
    /// step.
    fn step_prk(&mut self, call: &Call<'_>) -> Tensor<4> {
        let stage = self.counter % 4;
        if stage == 0 {
            self.outputs.push(call.output.clone());
            self.start = Some(call.sample.clone());
        }
        let weighted = call.output.clone() / if stage == 0 || stage == 3 { 6.0 } else { 3.0 };
        let sum = match self.weighted_outputs.take() {
            Some(sum) => sum + weighted,
            None => weighted,
        };
        let output = if stage == 3 {
            sum
        } else {
            self.weighted_outputs = Some(sum);
            call.output.clone()
        };
        // diffusers counts the whole steps from the top of the schedule.
        let from = call.schedule.timesteps[self.counter - stage];
        let half = if stage.is_multiple_of(2) { (self.stride / 2) as f64 } else { 0.0 };
        let start = self.start.clone().unwrap_or_else(|| call.sample.clone());
        self.transfer(call, start, output, from, call.timestep() - half)
    }

    /// A linear multistep of the highest order that the history allows.
    fn step_plms(&mut self, call: &Call<'_>) -> Tensor<4> {
        let (timestep, stride) = (call.timestep(), self.stride as f64);
        if let (1, Some(start), Some(first)) = (self.counter, self.start.take(), self.outputs.newest()) {
            let mean = (call.output.clone() + first.clone()) / 2.0;
            return self.transfer(call, start, mean, timestep + stride, timestep);
        }
        self.outputs.push(call.output.clone());
        if self.counter == 0 {
            self.start = Some(call.sample.clone());
        }
        let weights: &[f64] = match self.outputs.len() {
            1 => &[1.0],
            2 => &[3.0 / 2.0, -1.0 / 2.0],
            3 => &[23.0 / 12.0, -16.0 / 12.0, 5.0 / 12.0],
            _ => &[55.0 / 24.0, -59.0 / 24.0, 37.0 / 24.0, -9.0 / 24.0],
        };
        let output = weighted_sum(self.outputs.weighted(weights));
        self.transfer(call, call.sample.clone(), output, timestep, timestep - stride)
    }

    /// The transfer part, equation 11: from one timestep to another, with the noise that `output` predicts.
    fn transfer(&self, call: &Call<'_>, sample: Tensor<4>, output: Tensor<4>, from: f64, to: f64) -> Tensor<4> {
        let level = |timestep| if timestep < 0.0 { self.last } else { self.noise.level(timestep) };
        let epsilon = call.prediction.epsilon(output, sample.clone(), level(from));
        level(from).transfer(sample, epsilon, level(to))
    }
}

/// The timesteps of the Runge-Kutta calls (for three steps: start, twice the middle, end), then those of the multistep.
fn runge_kutta_start(timesteps: &[f64], half: f64) -> Vec<f64> {
    let step = |i: usize| [timesteps[i], timesteps[i + 1] + half, timesteps[i + 1] + half, timesteps[i + 1]];
    (0..RUNGE_KUTTA_CALLS / 4).flat_map(step).chain(timesteps[3..].iter().copied()).collect()
}

impl Sampler for Pndm {
    fn step(&mut self, call: Call<'_>) -> Tensor<4> {
        let starting = !self.skip_prk_steps && self.counter < RUNGE_KUTTA_CALLS;
        let next = if starting { self.step_prk(&call) } else { self.step_plms(&call) };
        self.counter += 1;
        next
    }
}
