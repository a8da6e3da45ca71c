use burn::tensor::Tensor;

use crate::limit::Limit;
use crate::noise_schedule::{BetaDefaults, NoiseSchedule};
use crate::prediction::{Level, Prediction};
use crate::sigmas::{SigmaSchedule, round_to_f32, scale_to_unit};
use crate::{Generator, Scheduler, SchedulerConfig, SchedulerError};

/// DPM-Solver-2 (<https://arxiv.org/abs/2206.00927>, algorithm 1) in the sigmas of <https://arxiv.org/abs/2206.00364>: a
/// call at the geometric mean of two levels gives the derivative of the step. The last step is Euler's.
#[derive(Debug)]
pub(crate) struct Kdpm2Discrete {
    schedule: SigmaSchedule,
    init_noise_sigma: f64,
    prediction: Prediction,
    /// Between the two calls of a step: the sample at its start.
    start: Option<Tensor<4>>,
}

impl Kdpm2Discrete {
    pub(crate) fn new(config: &SchedulerConfig, steps: usize) -> Result<Self, SchedulerError> {
        let noise = NoiseSchedule::new(config, BetaDefaults::KARRAS)?;
        let karras = config.use_karras_sigmas == Some(true);
        let schedule = SigmaSchedule::new(&noise, config, steps, karras);
        let init_noise_sigma = schedule.init_noise_sigma();
        let schedule = with_midpoints(schedule, karras, |sigma, sigma_next| (sigma * sigma_next).sqrt());
        Ok(Self { schedule, init_noise_sigma, prediction: Prediction::new(config, Limit::None), start: None })
    }
}

/// Puts a level between each two, for the second call of a step, and its timestep. Whole steps keep whole timesteps
/// with Karras sigmas, midpoints do not.
pub(crate) fn with_midpoints(
    mut schedule: SigmaSchedule,
    karras: bool,
    midpoint: impl Fn(f64, f64) -> f64,
) -> SigmaSchedule {
    let steps = schedule.timesteps.len();
    if karras {
        schedule.timesteps.iter_mut().for_each(|timestep| *timestep = timestep.round_ties_even());
    }
    let (mut timesteps, mut sigmas) = (vec![schedule.timesteps[0]], vec![schedule.sigmas[0]]);
    for next in 1..steps {
        let mut middle = midpoint(schedule.sigmas[next - 1], schedule.sigmas[next]);
        round_to_f32(&mut middle);
        timesteps.extend([schedule.timestep_of(middle), schedule.timesteps[next]]);
        sigmas.extend([middle, schedule.sigmas[next]]);
    }
    timesteps.iter_mut().for_each(round_to_f32);
    sigmas.push(0.0);
    (schedule.timesteps, schedule.sigmas) = (timesteps, sigmas);
    schedule
}

impl Scheduler for Kdpm2Discrete {
    fn timesteps(&self) -> &[f64] {
        &self.schedule.timesteps
    }

    fn init_noise_sigma(&self) -> f64 {
        self.init_noise_sigma
    }

    fn scale_model_input(&self, sample: Tensor<4>, index: usize) -> Tensor<4> {
        scale_to_unit(sample, self.schedule.sigmas[index])
    }

    fn step(&mut self, output: Tensor<4>, index: usize, sample: Tensor<4>, _: &mut Generator) -> Tensor<4> {
        let sigmas = &self.schedule.sigmas;
        let denoised = self.prediction.denoised(&output, &sample, Level::exploding(sigmas[index]));
        let derivative = (sample.clone() - denoised) / sigmas[index];
        if let Some(start) = self.start.take() {
            return start + derivative * (sigmas[index + 1] - sigmas[index - 1]);
        }
        self.start = Some(sample.clone());
        sample + derivative * (sigmas[index + 1] - sigmas[index])
    }

    fn add_noise(&self, original: Tensor<4>, noise: Tensor<4>, index: usize) -> Tensor<4> {
        original + noise * self.schedule.sigmas[index]
    }
}
