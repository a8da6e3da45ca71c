use burn::tensor::Tensor;

use crate::limit::Limit;
use crate::noise_schedule::{BetaDefaults, NoiseSchedule};
use crate::prediction::Prediction;
use crate::sampler::{Call, Sampler};
use crate::schedule::Schedule;
use crate::{Scheduler, SchedulerConfig, SchedulerError};

/// Heun's method, algorithm 1 of <https://arxiv.org/abs/2206.00364>: each step except the last calls the network twice.
#[derive(Debug, Default)]
pub(crate) struct Heun {
    /// Sample and derivative at the start of the step, between its two calls.
    start: Option<(Tensor<4>, Tensor<4>)>,
}

impl Heun {
    pub(crate) fn build(config: &SchedulerConfig, steps: usize) -> Result<Scheduler, SchedulerError> {
        let noise = NoiseSchedule::new(config, BetaDefaults::KARRAS)?;
        let schedule = Schedule::exploding(&noise, config, steps, 0.0).doubled();
        Ok(Scheduler::new(schedule, Prediction::new(config, Limit::clip(config, false)), Self::default()))
    }
}

impl Sampler for Heun {
    fn step(&mut self, call: Call<'_>) -> Tensor<4> {
        let derivative = call.derivative();
        if let Some((start, first)) = self.start.take() {
            let from = call.schedule.levels[call.index - 1];
            return from.transfer(start, (first + derivative) / 2.0, call.level());
        }
        self.start = Some((call.sample.clone(), derivative.clone()));
        call.level().transfer(call.sample.clone(), derivative, call.next_level())
    }
}
