use crate::level::Level;
use crate::noise_schedule::NoiseSchedule;
use crate::spacing::{spaced, spaced_open};
use crate::{
    Algorithm, BetaSchedule, FinalSigmasType, SchedulerConfig, SchedulerError, SigmaSchedule, TimestepSpacing,
};

/// Timesteps and noise levels of the calls of one run.
///
/// Sigmas and fractional timesteps are rounded to float32, their type in diffusers.
#[derive(Debug, Clone)]
pub(crate) struct Schedule {
    /// Denoising steps, as the caller counts them.
    pub(crate) steps: usize,
    /// Calls of the network in a step.
    pub(crate) order: usize,
    /// The network's time input in each call.
    pub(crate) timesteps: Vec<f64>,
    /// The sample's level at each call, and after the last one.
    pub(crate) levels: Vec<Level>,
    /// The factor of the initial noise.
    pub(crate) init_noise_sigma: f64,
}

/// The options in which DPM-Solver++, UniPC and DEIS differ.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MultistepOptions {
    pub(crate) algorithm: Algorithm,
    /// Timesteps at or above this one are left out.
    pub(crate) last_timestep: usize,
    pub(crate) final_sigma: FinalSigmasType,
}

impl Schedule {
    /// The variance-preserving levels of whole timesteps, and the one after the last step.
    pub(crate) fn preserving(noise: &NoiseSchedule, steps: usize, timesteps: Vec<f64>, last: Level) -> Self {
        let levels = timesteps.iter().map(|&timestep| noise.level(timestep)).chain([last]).collect();
        Self { steps, order: 1, timesteps, levels, init_noise_sigma: 1.0 }
    }

    /// The variance-exploding levels of the samplers of Karras et al., <https://arxiv.org/abs/2206.00364>.
    pub(crate) fn exploding(noise: &NoiseSchedule, config: &SchedulerConfig, steps: usize, final_sigma: f64) -> Self {
        let table = noise.sigmas();
        let spacing = config.timestep_spacing.unwrap_or(TimestepSpacing::Linspace);
        let mut timesteps = spaced(spacing, noise.train_steps(), steps, config.steps_offset.unwrap_or(0));
        timesteps.iter_mut().for_each(round_to_f32);
        let mut sigmas: Vec<f64> = timesteps.iter().map(|&timestep| table.sigma_of(timestep)).collect();
        if let Some(schedule) = config.sigma_schedule() {
            sigmas = schedule.sigmas(sigmas[0], sigmas[steps - 1], steps);
            timesteps = sigmas.iter().map(|&sigma| table.timestep_of(sigma)).collect();
            timesteps.iter_mut().for_each(round_to_f32);
        }
        sigmas.push(final_sigma);
        sigmas.iter_mut().for_each(round_to_f32);
        let max = sigmas.iter().copied().fold(0.0, f64::max);
        let init_noise_sigma = if spacing == TimestepSpacing::Leading { max.hypot(1.0) } else { max };
        let levels = sigmas.into_iter().map(Level::exploding).collect();
        Self { steps, order: 1, timesteps, levels, init_noise_sigma }
    }

    /// The variance-preserving levels of the exponential integrators DPM-Solver++, UniPC and DEIS.
    pub(crate) fn multistep(
        noise: &NoiseSchedule,
        config: &SchedulerConfig,
        steps: usize,
        options: MultistepOptions,
    ) -> Result<Self, SchedulerError> {
        let table = noise.sigmas();
        let dpm_solver = options.algorithm.class_name() == Algorithm::DpmSolverPlusPlus.class_name();
        let (timesteps, mut sigmas): (Vec<f64>, Vec<f64>) = if let Some(schedule) = config.sigma_schedule() {
            // diffusers rounds the timesteps of Karras sigmas, except those of DPM-Solver++ with the cosine schedule.
            let cosine = dpm_solver && config.beta_schedule == Some(BetaSchedule::SquaredcosCapV2);
            let rounded = schedule == SigmaSchedule::Karras && !cosine;
            let whole = |t: f64| if rounded { t.round_ties_even() } else { t.trunc() };
            let sigmas = schedule.sigmas(table.max(), table.min(), steps).into_iter();
            sigmas.map(|sigma| (whole(table.timestep_of(sigma)), sigma)).unzip()
        } else {
            let spacing = config.timestep_spacing.unwrap_or(TimestepSpacing::Linspace);
            let offset = config.steps_offset.unwrap_or(0);
            let timesteps = spaced_open(spacing, noise.train_steps(), options.last_timestep, steps, offset);
            timesteps.into_iter().map(|timestep| (timestep, table.sigma_of(timestep))).unzip()
        };
        sigmas.push(match (options.final_sigma, sigmas.last()) {
            (FinalSigmasType::Zero, _) => 0.0,
            (FinalSigmasType::SigmaMin, Some(&last)) if config.sigma_schedule().is_some() && !dpm_solver => last,
            (FinalSigmasType::SigmaMin, _) => table.min(),
        });
        sigmas.iter_mut().for_each(round_to_f32);
        if sigmas[..sigmas.len() - 1].windows(2).any(|pair| pair[0] <= pair[1]) {
            let max = (options.last_timestep - 1).min(steps - 1);
            options.algorithm.check_steps(steps, 1, max, ", since no two may have the same noise level")?;
        }
        let levels = sigmas.into_iter().map(|sigma| Level::exploding(sigma).to_preserving()).collect();
        Ok(Self { steps, order: 1, timesteps, levels, init_noise_sigma: 1.0 })
    }

    /// Adds a second call to each step except the last one, at the level where the step ends.
    pub(crate) fn doubled(mut self) -> Self {
        self.order = 2;
        self.timesteps = self.timesteps.iter().flat_map(|&timestep| [timestep, timestep]).skip(1).collect();
        let last = self.levels.pop();
        self.levels = self.levels.iter().flat_map(|&level| [level, level]).skip(1).chain(last).collect();
        self
    }

    /// The level of an original after [`Scheduler::add_noise`](crate::Scheduler::add_noise).
    pub(crate) fn level_to_noise(&self, index: usize) -> Level {
        self.levels[index.next_multiple_of(self.order).min(self.timesteps.len())]
    }
}

/// The whole timesteps of DDPM, DDIM and PNDM; `leading` by default.
///
/// # Errors
/// Returns an error if `steps_offset` leads beyond the noise schedule.
pub(crate) fn whole_timesteps(
    config: &SchedulerConfig,
    train: usize,
    steps: usize,
) -> Result<Vec<f64>, SchedulerError> {
    let spacing = config.timestep_spacing.unwrap_or(TimestepSpacing::Leading);
    let offset = config.steps_offset.unwrap_or(0);
    let timesteps = spaced(spacing, train, steps, offset).into_iter().map(f64::round_ties_even);
    let timesteps: Vec<f64> = timesteps.collect();
    if let Some(beyond) = timesteps.iter().find(|&&timestep| timestep >= train as f64) {
        let reason = format!("it leads to timestep {beyond} of {train}; use fewer steps or a smaller offset");
        return Err(SchedulerError::setting("steps_offset", offset, reason));
    }
    Ok(timesteps)
}

pub(crate) fn round_to_f32(value: &mut f64) {
    *value = f64::from(*value as f32);
}
