use std::collections::VecDeque;

use burn::tensor::Tensor;

use crate::limit::Limit;
use crate::noise_schedule::{BetaDefaults, NoiseSchedule};
use crate::prediction::{Prediction, weighted_sum};
use crate::timesteps::spaced_integers;
use crate::{Algorithm, Generator, Scheduler, SchedulerConfig, SchedulerError, TimestepSpacing};

/// Model outputs that a linear multistep looks back on.
const ORDER: usize = 4;
/// Model calls of the Runge-Kutta start: three steps of four.
const RUNGE_KUTTA_CALLS: usize = 12;

/// Pseudo numerical methods, <https://arxiv.org/abs/2202.09778>: linear multistep (PLMS, equation 12) after three steps of
/// Runge-Kutta (PRK, equation 13). Without those it starts with one step of Heun's kind.
#[derive(Debug)]
pub(crate) struct Pndm {
    noise: NoiseSchedule,
    timesteps: Vec<f64>,
    skip_prk_steps: bool,
    /// Timesteps of training in a step.
    stride: usize,
    final_alpha_cumprod: f64,
    prediction: Prediction,
    /// Calls made so far.
    counter: usize,
    /// Outputs at whole steps, the newest first.
    outputs: VecDeque<Tensor<4>>,
    /// Sample at the start of a step that needs several calls.
    start: Option<Tensor<4>>,
    /// The outputs of such a step, each with the weight of its position.
    weighted_outputs: Option<Tensor<4>>,
}

impl Pndm {
    pub(crate) fn new(config: &SchedulerConfig, steps: usize) -> Result<Self, SchedulerError> {
        let noise = NoiseSchedule::new(config, BetaDefaults::DDPM)?;
        let (stride, offset) = (noise.train_steps() / steps, config.steps_offset.unwrap_or(0));
        let spacing = config.timestep_spacing.unwrap_or(TimestepSpacing::Leading);
        let mut timesteps = spaced_integers(spacing, noise.train_steps(), steps, offset);
        let skip_prk_steps = config.skip_prk_steps.unwrap_or(false);
        if skip_prk_steps {
            let second = timesteps.get(1).copied();
            timesteps.splice(1..1, second);
        } else {
            Algorithm::Pndm.check_steps(steps, ORDER, noise.train_steps(), " unless skip_prk_steps is true")?;
            timesteps = runge_kutta_start(&timesteps, (stride / 2) as f64);
        }
        noise.check_timesteps(&timesteps, offset)?;
        let to_one = config.set_alpha_to_one.unwrap_or(false);
        Ok(Self {
            timesteps,
            skip_prk_steps,
            stride,
            final_alpha_cumprod: if to_one { 1.0 } else { noise.alpha_cumprod(0.0) },
            noise,
            prediction: Prediction::new(config, Limit::None),
            counter: 0,
            outputs: VecDeque::new(),
            start: None,
            weighted_outputs: None,
        })
    }

    fn remember(&mut self, output: Tensor<4>) {
        self.outputs.push_front(output);
        self.outputs.truncate(ORDER);
    }

    /// A quarter of a Runge-Kutta step: weights 1/6, 1/3, 1/3, 1/6, the first two calls to half the step.
    fn step_prk(&mut self, output: Tensor<4>, index: usize, sample: Tensor<4>) -> Tensor<4> {
        let stage = self.counter % 4;
        let half = if stage.is_multiple_of(2) { (self.stride / 2) as f64 } else { 0.0 };
        let next = self.timesteps[index] - half;
        if stage == 0 {
            self.remember(output.clone());
            self.start = Some(sample.clone());
        }
        let weighted = output.clone() / if stage == 0 || stage == 3 { 6.0 } else { 3.0 };
        let sum = match self.weighted_outputs.take() {
            Some(sum) => sum + weighted,
            None => weighted,
        };
        let output = if stage == 3 {
            sum
        } else {
            self.weighted_outputs = Some(sum);
            output
        };
        let start = self.start.clone().unwrap_or(sample);
        self.transfer(start, self.timesteps[index - stage.min(index)], next, output)
    }

    /// A linear multistep of the highest order that the history permits.
    fn step_plms(&mut self, output: Tensor<4>, index: usize, sample: Tensor<4>) -> Tensor<4> {
        let (timestep, stride) = (self.timesteps[index], self.stride as f64);
        if let (1, Some(start), Some(first)) = (self.counter, self.start.take(), self.outputs.front()) {
            let mean = (output + first.clone()) / 2.0;
            return self.transfer(start, timestep + stride, timestep, mean);
        }
        self.remember(output);
        if self.counter == 0 {
            self.start = Some(sample.clone());
        }
        let weights: &[f64] = match self.outputs.len() {
            1 => &[1.0],
            2 => &[3.0 / 2.0, -1.0 / 2.0],
            3 => &[23.0 / 12.0, -16.0 / 12.0, 5.0 / 12.0],
            _ => &[55.0 / 24.0, -59.0 / 24.0, 37.0 / 24.0, -9.0 / 24.0],
        };
        let output = weighted_sum(weights.iter().copied().zip(self.outputs.iter().cloned()));
        self.transfer(sample, timestep, timestep - stride, output)
    }

    /// The transfer part, equation 11: from one timestep to another with the noise that `output` stands for.
    fn transfer(&self, sample: Tensor<4>, timestep: f64, next: f64, output: Tensor<4>) -> Tensor<4> {
        let level = self.noise.level(timestep);
        let alpha_bar = self.noise.alpha_cumprod(timestep);
        let alpha_bar_next = if next < 0.0 { self.final_alpha_cumprod } else { self.noise.alpha_cumprod(next) };
        let epsilon = self.prediction.epsilon(&output, &sample, level);
        let denominator =
            alpha_bar * (1.0 - alpha_bar_next).sqrt() + (alpha_bar * (1.0 - alpha_bar) * alpha_bar_next).sqrt();
        let of_epsilon = (alpha_bar_next - alpha_bar) / denominator;
        weighted_sum([((alpha_bar_next / alpha_bar).sqrt(), sample), (-of_epsilon, epsilon)])
    }
}

/// The timesteps of the Runge-Kutta calls (start, twice the middle, end, for three steps), then those of the multistep.
fn runge_kutta_start(timesteps: &[f64], half: f64) -> Vec<f64> {
    let step = |i: usize| [timesteps[i], timesteps[i + 1] + half, timesteps[i + 1] + half, timesteps[i + 1]];
    (0..RUNGE_KUTTA_CALLS / 4).flat_map(step).chain(timesteps[3..].iter().copied()).collect()
}

impl Scheduler for Pndm {
    fn timesteps(&self) -> &[f64] {
        &self.timesteps
    }

    fn step(&mut self, output: Tensor<4>, index: usize, sample: Tensor<4>, _: &mut Generator) -> Tensor<4> {
        let output = output.cast(sample.dtype());
        let starting = !self.skip_prk_steps && self.counter < RUNGE_KUTTA_CALLS;
        let next = if starting { self.step_prk(output, index, sample) } else { self.step_plms(output, index, sample) };
        self.counter += 1;
        next
    }

    fn add_noise(&self, original: Tensor<4>, noise: Tensor<4>, index: usize) -> Tensor<4> {
        self.noise.add_noise(original, noise, self.timesteps[index])
    }
}
