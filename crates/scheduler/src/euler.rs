use burn::tensor::Tensor;

use crate::level::Level;
use crate::limit::Limit;
use crate::noise_schedule::{BetaDefaults, NoiseSchedule};
use crate::prediction::Prediction;
use crate::sampler::{Call, Sampler};
use crate::schedule::Schedule;
use crate::{FinalSigmasType, Scheduler, SchedulerConfig, SchedulerError};

/// Euler's method for the probability flow, algorithm 2 of <https://arxiv.org/abs/2206.00364> without its noise. Its
/// ancestral form is the sampling of <https://arxiv.org/abs/2006.11239> in sigmas: it steps below the next noise level
/// and adds fresh noise to reach that level.
#[derive(Debug)]
pub(crate) struct Euler {
    ancestral: bool,
}

impl Euler {
    pub(crate) fn build(config: &SchedulerConfig, steps: usize, ancestral: bool) -> Result<Scheduler, SchedulerError> {
        let noise = NoiseSchedule::rescaled_finite(config, BetaDefaults::DDPM)?;
        let to_min = config.final_sigmas_type == Some(FinalSigmasType::SigmaMin) && !ancestral;
        let final_sigma = if to_min { noise.sigmas().min() } else { 0.0 };
        let schedule = Schedule::exploding(&noise, config, steps, final_sigma);
        Ok(Scheduler::new(schedule, Prediction::new(config, Limit::None), Self { ancestral }))
    }
}

impl Sampler for Euler {
    fn step(&mut self, mut call: Call<'_>) -> Tensor<4> {
        let (from, to, derivative) = (call.level(), call.next_level(), call.derivative());
        if !self.ancestral {
            return from.transfer(call.sample, derivative, to);
        }
        let noise = call.noise(); // also drawn when no noise is added
        ancestral_transfer(from, to, call.sample, derivative, noise)
    }
}

/// Steps from one variance-exploding level to a level below the next one, then adds noise to reach the next one.
///
/// # Shapes
/// - `sample`, `derivative`, `noise` and output: `[batch, channels, height, width]`
pub(crate) fn ancestral_transfer(
    from: Level,
    to: Level,
    sample: Tensor<4>,
    derivative: Tensor<4>,
    noise: Tensor<4>,
) -> Tensor<4> {
    let (sigma_down, sigma_up) = ancestral_step(from.sigma, to.sigma);
    from.transfer(sample, derivative, Level::exploding(sigma_down)) + noise * sigma_up
}

/// The level to step down to and the noise to add, which together make `to`. Computed in float32 as in diffusers: where
/// `from` is much larger than `to`, the difference of the squares has few significant digits.
pub(crate) fn ancestral_step(from: f64, to: f64) -> (f64, f64) {
    let (from, to) = (from as f32, to as f32);
    let sigma_up = (to * to * (from * from - to * to) / (from * from)).sqrt();
    let sigma_down = (to * to - sigma_up * sigma_up).max(0.0).sqrt();
    (f64::from(sigma_down), f64::from(sigma_up))
}
