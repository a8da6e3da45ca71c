use serde::{Deserialize, Serialize};

use crate::level::Level;
use crate::sigma_table::SigmaTable;
use crate::{SchedulerConfig, SchedulerError};

/// How beta, the variance of the noise that training adds in each step, grows with the timestep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BetaSchedule {
    /// Linear, <https://arxiv.org/abs/2006.11239>.
    Linear,
    /// Linear in the square root, as in latent diffusion.
    ScaledLinear,
    /// A squared cosine for alpha-bar, beta at most 0.999: <https://arxiv.org/abs/2102.09672>, equation 17.
    #[serde(rename = "squaredcos_cap_v2")]
    SquaredcosCapV2,
}

/// The betas of a class whose configuration does not set them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BetaDefaults {
    schedule: BetaSchedule,
    start: f64,
    end: f64,
}

impl BetaDefaults {
    /// DDPM's, <https://arxiv.org/abs/2006.11239>, section 4.
    pub(crate) const DDPM: Self = Self { schedule: BetaSchedule::Linear, start: 0.0001, end: 0.02 };
    /// Those of Heun and KDPM2 in diffusers.
    pub(crate) const KARRAS: Self = Self { schedule: BetaSchedule::Linear, start: 0.00085, end: 0.012 };
    /// Stable Diffusion's.
    pub(crate) const LATENT: Self = Self { schedule: BetaSchedule::ScaledLinear, start: 0.00085, end: 0.012 };
}

/// alpha-bar, the remaining share of signal, for each timestep of training. In float32 as in diffusers: the rounding of
/// 1 - beta alone changes the smallest noise level by a few 1e-5.
#[derive(Debug, Clone)]
pub(crate) struct NoiseSchedule {
    alphas_cumprod: Vec<f32>,
}

impl NoiseSchedule {
    pub(crate) fn new(config: &SchedulerConfig, defaults: BetaDefaults) -> Result<Self, SchedulerError> {
        let alphas_cumprod = alphas_cumprod(&betas(config, defaults));
        if alphas_cumprod.last().is_none_or(|&last| last <= 0.0) {
            let reason = "the betas are so large that no signal is left";
            return Err(SchedulerError::setting("num_train_timesteps", alphas_cumprod.len(), reason));
        }
        Ok(Self { alphas_cumprod })
    }

    /// For the classes that know `rescale_betas_zero_snr`.
    pub(crate) fn rescaled(config: &SchedulerConfig, defaults: BetaDefaults) -> Result<Self, SchedulerError> {
        let schedule = Self::new(config, defaults)?;
        if config.rescale_betas_zero_snr != Some(true) {
            return Ok(schedule);
        }
        Ok(Self { alphas_cumprod: alphas_cumprod(&zero_terminal_snr(&schedule.alphas_cumprod)) })
    }

    /// Like [`rescaled`](Self::rescaled), but a last alpha-bar of zero becomes 2^-24, which keeps sigma finite.
    pub(crate) fn rescaled_finite(config: &SchedulerConfig, defaults: BetaDefaults) -> Result<Self, SchedulerError> {
        let mut schedule = Self::rescaled(config, defaults)?;
        if let (Some(true), Some(last)) = (config.rescale_betas_zero_snr, schedule.alphas_cumprod.last_mut()) {
            *last = (-24.0_f32).exp2();
        }
        Ok(schedule)
    }

    /// The number of timesteps in training.
    pub(crate) fn train_steps(&self) -> usize {
        self.alphas_cumprod.len()
    }

    /// The variance-preserving level of a whole timestep of the schedule.
    pub(crate) fn level(&self, timestep: f64) -> Level {
        Level::from_alpha_cumprod(f64::from(self.alphas_cumprod[timestep as usize]))
    }

    /// The final level of a run whose last step leads below timestep 0: no noise, or the level of timestep 0.
    pub(crate) fn last_level(&self, set_alpha_to_one: bool) -> Level {
        if set_alpha_to_one { Level::CLEAN } else { self.level(0.0) }
    }

    /// The variance-exploding noise levels, sqrt((1 - alpha-bar) / alpha-bar).
    pub(crate) fn sigmas(&self) -> SigmaTable {
        SigmaTable::new(self.alphas_cumprod.iter().map(|alpha| ((1.0 - alpha) / alpha).sqrt()).collect())
    }
}

fn betas(config: &SchedulerConfig, defaults: BetaDefaults) -> Vec<f32> {
    if let Some(betas) = &config.trained_betas {
        return betas.clone();
    }
    let count = config.num_train_timesteps();
    let (start, end) = (config.beta_start.unwrap_or(defaults.start), config.beta_end.unwrap_or(defaults.end));
    match config.beta_schedule.unwrap_or(defaults.schedule) {
        BetaSchedule::Linear => linspace_f32(start, end, count),
        BetaSchedule::ScaledLinear => linspace_f32(start.sqrt(), end.sqrt(), count).iter().map(|b| b * b).collect(),
        BetaSchedule::SquaredcosCapV2 => squared_cosine(count),
    }
}

fn squared_cosine(count: usize) -> Vec<f32> {
    let alpha_bar = |i: usize| ((i as f64 / count as f64 + 0.008) / 1.008 * std::f64::consts::FRAC_PI_2).cos().powi(2);
    (0..count).map(|i| (1.0 - alpha_bar(i + 1) / alpha_bar(i)).min(0.999) as f32).collect()
}

/// `torch.linspace` in float32, which counts the second half from the end.
fn linspace_f32(start: f64, end: f64, count: usize) -> Vec<f32> {
    let (start, end) = (start as f32, end as f32);
    let step = if count > 1 { (end - start) / (count - 1) as f32 } else { 0.0 };
    let value = |i: usize| {
        if i < count / 2 || count == 1 { start + step * i as f32 } else { end - step * (count - 1 - i) as f32 }
    };
    (0..count).map(value).collect()
}

/// The cumulative product of 1 - beta. torch multiplies in float64 and rounds each result.
fn alphas_cumprod(betas: &[f32]) -> Vec<f32> {
    let product = betas.iter().scan(1.0_f64, |product, beta| {
        *product *= f64::from(1.0 - beta);
        Some(*product as f32)
    });
    product.collect()
}

/// Algorithm 1 of <https://arxiv.org/abs/2305.08891>: shifts and scales sqrt(alpha-bar) to end at zero.
fn zero_terminal_snr(alphas_cumprod: &[f32]) -> Vec<f32> {
    let root: Vec<f32> = alphas_cumprod.iter().map(|alpha| alpha.sqrt()).collect();
    let (first, last) = (root[0], root[root.len() - 1]);
    let alpha_bar = root.iter().map(|root| ((root - last) * (first / (first - last))).powi(2));
    let ratio = |previous: &mut f32, alpha: f32| Some(1.0 - alpha / std::mem::replace(previous, alpha));
    alpha_bar.scan(1.0, ratio).collect()
}
