use std::collections::VecDeque;

use burn::tensor::Tensor;

use crate::noise_schedule::NoiseSchedule;
use crate::prediction::{Level, weighted_sum};
use crate::sigmas::{interpolate, karras_sigmas, round_to_f32, timestep_of};
use crate::timesteps::spaced_open;
use crate::{Algorithm, BetaSchedule, FinalSigmasType, SchedulerConfig, SchedulerError, TimestepSpacing};

/// Timesteps and noise levels of the exponential integrators: DPM-Solver++, UniPC and DEIS.
#[derive(Debug, Clone)]
pub(crate) struct MultistepSchedule {
    pub(crate) timesteps: Vec<f64>,
    /// One more than timesteps: the level after the last step.
    levels: Vec<Level>,
}

/// Where the three classes differ.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MultistepOptions {
    pub(crate) algorithm: Algorithm,
    /// Timesteps at or above this one are left out.
    pub(crate) last_timestep: usize,
    pub(crate) final_sigma: FinalSigmasType,
}

impl MultistepSchedule {
    pub(crate) fn new(
        noise: &NoiseSchedule,
        config: &SchedulerConfig,
        steps: usize,
        options: MultistepOptions,
    ) -> Result<Self, SchedulerError> {
        let (spacing, offset) = (config.timestep_spacing, config.steps_offset.unwrap_or(0));
        let spacing = spacing.unwrap_or(TimestepSpacing::Linspace);
        let dpm_solver = options.algorithm.class_name() == Algorithm::DpmSolverPlusPlus.class_name();
        let karras = config.use_karras_sigmas == Some(true);
        let table = noise.sigmas();
        let (smallest, largest) = (f64::from(table[0]), f64::from(table[table.len() - 1]));
        let (timesteps, mut sigmas): (Vec<f64>, Vec<f64>) = if karras {
            let log_sigmas: Vec<f32> = table.iter().map(|sigma| sigma.ln()).collect();
            // DPM-Solver++ alone cuts the timesteps of the cosine schedule.
            let cut = dpm_solver && config.beta_schedule == Some(BetaSchedule::SquaredcosCapV2);
            let whole = |t: f64| if cut { t.trunc() } else { t.round_ties_even() };
            let sigmas = karras_sigmas(smallest, largest, steps).into_iter();
            sigmas.map(|sigma| (whole(timestep_of(sigma, &log_sigmas)), sigma)).unzip()
        } else {
            let timesteps = spaced_open(spacing, noise.train_steps(), options.last_timestep, steps, offset);
            timesteps.into_iter().map(|timestep| (timestep, interpolate(&table, timestep))).unzip()
        };
        sigmas.push(match (options.final_sigma, sigmas.last()) {
            (FinalSigmasType::Zero, _) => 0.0,
            (FinalSigmasType::SigmaMin, Some(&last)) if karras && !dpm_solver => last,
            (FinalSigmasType::SigmaMin, _) => smallest,
        });
        sigmas.iter_mut().for_each(round_to_f32);
        if sigmas[..sigmas.len() - 1].windows(2).any(|pair| pair[0] <= pair[1]) {
            let max = options.last_timestep - 1;
            options.algorithm.check_steps(
                steps,
                1,
                max.min(steps - 1),
                ", since no two may have the same noise level",
            )?;
        }
        Ok(Self { timesteps, levels: sigmas.into_iter().map(Level::preserving).collect() })
    }

    pub(crate) fn steps(&self) -> usize {
        self.timesteps.len()
    }

    pub(crate) fn level(&self, index: usize) -> Level {
        self.levels[index]
    }

    pub(crate) fn lambda(&self, index: usize) -> f64 {
        self.levels[index].lambda()
    }

    /// Whether a step changes the noise level. The last one with Karras sigmas may not.
    pub(crate) fn moves(&self, index: usize) -> bool {
        self.levels[index] != self.levels[index + 1]
    }

    /// # Shapes
    /// - `original`, `noise` and output: `[batch, channels, height, width]`
    pub(crate) fn add_noise(&self, original: Tensor<4>, noise: Tensor<4>, index: usize) -> Tensor<4> {
        let Level { alpha, sigma } = self.level(index);
        weighted_sum([(alpha, original), (sigma, noise)])
    }
}

/// The model's last predictions, the newest first.
#[derive(Debug, Clone)]
pub(crate) struct History {
    order: usize,
    predictions: VecDeque<Tensor<4>>,
}

impl History {
    pub(crate) fn new(order: usize) -> Self {
        Self { order, predictions: VecDeque::new() }
    }

    pub(crate) fn push(&mut self, prediction: Tensor<4>) {
        self.predictions.push_front(prediction);
        self.predictions.truncate(self.order);
    }

    pub(crate) fn len(&self) -> usize {
        self.predictions.len()
    }

    /// The newest predictions with a weight for each.
    pub(crate) fn weighted<'a>(&'a self, weights: &'a [f64]) -> impl Iterator<Item = (f64, Tensor<4>)> + 'a {
        weights.iter().copied().zip(self.predictions.iter().cloned())
    }
}
