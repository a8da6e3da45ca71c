use burn::tensor::Tensor;

use crate::euler::{ancestral_step, ancestral_transfer};
use crate::level::Level;
use crate::limit::Limit;
use crate::noise_schedule::{BetaDefaults, NoiseSchedule};
use crate::prediction::Prediction;
use crate::sampler::{Call, Sampler};
use crate::schedule::{Schedule, round_to_f32};
use crate::sigma_table::SigmaTable;
use crate::{Scheduler, SchedulerConfig, SchedulerError, SigmaSchedule};

/// DPM-Solver-2 (<https://arxiv.org/abs/2206.00927>, algorithm 1) in the sigmas of <https://arxiv.org/abs/2206.00364>:
/// a call at the geometric mean of two levels gives the derivative of the step. Its ancestral form steps below the next
/// level and adds fresh noise. The last step is Euler's and adds no noise.
#[derive(Debug)]
pub(crate) struct Kdpm2 {
    ancestral: bool,
    /// The sample at the start of the step, between its two calls.
    start: Option<Tensor<4>>,
}

impl Kdpm2 {
    pub(crate) fn build(config: &SchedulerConfig, steps: usize, ancestral: bool) -> Result<Scheduler, SchedulerError> {
        let noise = NoiseSchedule::new(config, BetaDefaults::KARRAS)?;
        let mut schedule = Schedule::exploding(&noise, config, steps, 0.0);
        if config.sigma_schedule() == Some(SigmaSchedule::Karras) {
            schedule.timesteps.iter_mut().for_each(|timestep| *timestep = timestep.round_ties_even());
        }
        let lower = |from: f64, to: f64| if ancestral { ancestral_step(from, to).0 } else { to };
        let schedule = with_midpoints(schedule, &noise.sigmas(), |from, to| (from * lower(from, to)).sqrt());
        let prediction = Prediction::new(config, Limit::None);
        Ok(Scheduler::new(schedule, prediction, Self { ancestral, start: None }))
    }
}

/// Inserts a call between each two calls, at the level between theirs. Its timestep is usually a fraction.
fn with_midpoints(mut schedule: Schedule, table: &SigmaTable, midpoint: impl Fn(f64, f64) -> f64) -> Schedule {
    let (mut timesteps, mut levels) = (vec![schedule.timesteps[0]], vec![schedule.levels[0]]);
    for next in 1..schedule.steps {
        let mut sigma = midpoint(schedule.levels[next - 1].sigma, schedule.levels[next].sigma);
        round_to_f32(&mut sigma);
        timesteps.extend([table.timestep_of(sigma), schedule.timesteps[next]]);
        levels.extend([Level::exploding(sigma), schedule.levels[next]]);
    }
    timesteps.iter_mut().for_each(round_to_f32);
    levels.push(Level::CLEAN);
    (schedule.order, schedule.timesteps, schedule.levels) = (2, timesteps, levels);
    schedule
}

impl Sampler for Kdpm2 {
    fn step(&mut self, mut call: Call<'_>) -> Tensor<4> {
        let derivative = call.derivative();
        let Some(start) = self.start.take() else {
            self.start = Some(call.sample.clone());
            return call.level().transfer(call.sample.clone(), derivative, call.next_level());
        };
        let (from, to) = (call.schedule.levels[call.index - 1], call.next_level());
        if self.ancestral {
            ancestral_transfer(from, to, start, derivative, call.noise())
        } else {
            from.transfer(start, derivative, to)
        }
    }
}
