use serde::{Deserialize, Serialize};

use crate::{Algorithm, BetaSchedule, PredictionType, SchedulerError, SigmaSchedule, TimestepSpacing};

/// A file with more training steps than this is considered broken.
const MAX_TRAIN_TIMESTEPS: usize = 1_000_000;

/// The variance of the reverse process in DDPM, section 3.2 of <https://arxiv.org/abs/2006.11239>.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum VarianceType {
    /// Beta-tilde, the variance of the posterior.
    FixedSmall,
    /// Beta-tilde, computed through its logarithm.
    FixedSmallLog,
    /// Beta.
    FixedLarge,
    /// Beta, computed through its logarithm; diffusers yields NaN here.
    FixedLargeLog,
}

/// The form of a multistep solver's higher orders: `midpoint` and `heun` for DPM-Solver++, `bh1` and `bh2` for UniPC,
/// `logrho` for DEIS. An algorithm uses its own default instead of another algorithm's type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SolverType {
    /// The derivative at the midpoint.
    Midpoint,
    /// The mean of two derivatives.
    Heun,
    /// B(h) = h.
    Bh1,
    /// B(h) = exp(h) - 1.
    Bh2,
    /// Lagrange polynomials in log rho.
    Logrho,
}

/// The noise level after the last step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FinalSigmasType {
    /// No noise.
    Zero,
    /// The smallest noise level of the training schedule.
    SigmaMin,
}

/// The explicit settings of a `scheduler_config.json`.
///
/// A missing key is `None` and stands for the default of the algorithm that is built. One configuration therefore
/// serves every [`Algorithm`], as with diffusers' `from_config`. Keys have the names and meanings of diffusers; unknown
/// keys are ignored.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub struct SchedulerConfig {
    /// The diffusers class that the file was written for, such as `PNDMScheduler`.
    #[serde(rename = "_class_name")]
    pub class_name: Option<String>,
    /// Steps of the noise schedule in training; 1000 by default.
    pub num_train_timesteps: Option<usize>,
    /// The first beta, 0.0001 by default; 0.00085 for Heun, LCM and both KDPM2.
    pub beta_start: Option<f64>,
    /// The last beta, 0.02 by default; 0.012 for Heun, LCM and both KDPM2.
    pub beta_end: Option<f64>,
    /// How beta grows with the timestep; linearly by default, `scaled_linear` for LCM.
    pub beta_schedule: Option<BetaSchedule>,
    /// Every beta, in place of the three settings above.
    pub trained_betas: Option<Vec<f32>>,
    /// The model's prediction; `epsilon` by default.
    pub prediction_type: Option<PredictionType>,
    /// The selection of training timesteps: `leading` by default for DDPM, DDIM and PNDM, else `linspace`.
    pub timestep_spacing: Option<TimestepSpacing>,
    /// Offset of the timesteps of `leading`; 0 by default.
    pub steps_offset: Option<usize>,
    /// Whether the denoised sample is clipped: DDPM and DDIM (by default), LCM and Heun.
    pub clip_sample: Option<bool>,
    /// The range of the clipped values is [-`clip_sample_range`, `clip_sample_range`]; 1 by default.
    pub clip_sample_range: Option<f64>,
    /// Whether alpha-bar after the last step is 1 or that of timestep 0: DDIM (1 by default) and PNDM.
    pub set_alpha_to_one: Option<bool>,
    /// Whether the denoised sample is thresholded dynamically (<https://arxiv.org/abs/2205.11487>, section 2.3).
    pub thresholding: Option<bool>,
    /// The quantile that dynamic thresholding keeps; 0.995 by default.
    pub dynamic_thresholding_ratio: Option<f64>,
    /// The largest value that dynamic thresholding divides by; 1 by default.
    pub sample_max_value: Option<f64>,
    /// Whether the betas are rescaled to leave no signal in the last step (<https://arxiv.org/abs/2305.08891>).
    pub rescale_betas_zero_snr: Option<bool>,
    /// DDPM's variance, `fixed_small` by default.
    pub variance_type: Option<VarianceType>,
    /// Whether PNDM starts with linear multistep instead of twelve Runge-Kutta calls; false by default.
    pub skip_prk_steps: Option<bool>,
    /// Whether noise levels are spaced as in Karras et al. (<https://arxiv.org/abs/2206.00364>, equation 5).
    pub use_karras_sigmas: Option<bool>,
    /// Whether noise levels are spaced equally in log sigma.
    pub use_exponential_sigmas: Option<bool>,
    /// Whether noise levels are quantiles of a beta distribution (<https://arxiv.org/abs/2407.12173>).
    pub use_beta_sigmas: Option<bool>,
    /// The form of DPM-Solver++: `dpmsolver++` or `sde-dpmsolver++`.
    pub algorithm_type: Option<String>,
    /// The order of DPM-Solver++, UniPC and DEIS, 1 to 3; 2 by default.
    pub solver_order: Option<usize>,
    /// The form of the higher orders: `midpoint` by default for DPM-Solver++, `bh2` for UniPC.
    pub solver_type: Option<SolverType>,
    /// Whether DPM-Solver++, UniPC and DEIS end with lower orders; true by default.
    pub lower_order_final: Option<bool>,
    /// Whether DPM-Solver++ ends with a first-order step in any case; false by default.
    pub euler_at_final: Option<bool>,
    /// The noise level after the last step of Euler, DPM-Solver++ and UniPC; `zero` by default.
    pub final_sigmas_type: Option<FinalSigmasType>,
    /// The smallest half log signal-to-noise ratio at which DPM-Solver++ begins; unlimited by default.
    pub lambda_min_clipped: Option<f64>,
    /// Whether UniPC works on the denoised sample or on epsilon; true by default.
    pub predict_x0: Option<bool>,
    /// The steps after which UniPC applies no correction; none by default.
    pub disable_corrector: Option<Vec<usize>>,
    /// LCM's number of steps in distillation; 50 by default.
    pub original_inference_steps: Option<usize>,
    /// The factor of the timestep in LCM's boundary conditions; 10 by default.
    pub timestep_scaling: Option<f64>,
    /// DDIM's share of fresh noise, from 0 (the default) to 1. In diffusers it is an argument of the pipeline.
    pub eta: Option<f64>,
    /// The strength within which LCM places all its steps; the whole schedule by default. In diffusers it is an
    /// argument of the latent consistency pipelines, whose image to image makes as many steps as text to image. Other
    /// algorithms, and LCM in other pipelines, make only the last part of the steps instead:
    /// [`Scheduler::first_step`](crate::Scheduler::first_step).
    #[serde(skip)]
    pub strength: Option<f64>,
    /// Whether [`with_pipeline_defaults`](Self::with_pipeline_defaults) was applied. It is not a key of the file.
    #[serde(skip)]
    pub corrected: bool,
}

impl SchedulerConfig {
    /// Reads a `scheduler_config.json`. `null` stands for the default, like a missing key.
    ///
    /// # Errors
    /// Text that is not a JSON object, or a value of the wrong type, out of range or with an unknown name.
    pub fn from_json(text: &str) -> Result<Self, SchedulerError> {
        let wrong = |cause| SchedulerError::Json { cause };
        let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text).map_err(wrong)?;
        let config: Self = serde_path_to_error::deserialize(serde_json::Value::Object(object))
            .map_err(|error| wrong(serde::de::Error::custom(error)))?; // names the key
        config.validate()?;
        Ok(config)
    }

    /// Applies the corrections of diffusers' `StableDiffusionPipeline`: `steps_offset` becomes 1 and `clip_sample`
    /// becomes false. If the file has the key, the correction also applies to other algorithms; if not, another
    /// algorithm keeps its own default.
    #[must_use]
    pub fn with_pipeline_defaults(mut self) -> Self {
        self.steps_offset = self.steps_offset.map(|_| 1);
        self.clip_sample = self.clip_sample.map(|_| false);
        self.corrected = true;
        self
    }

    /// The algorithm that `_class_name` and `algorithm_type` name.
    ///
    /// # Errors
    /// A missing class name, or one that is not implemented here.
    pub fn algorithm(&self) -> Result<Algorithm, SchedulerError> {
        let class = self.class_name.as_deref();
        let class = class.ok_or_else(|| {
            SchedulerError::setting("_class_name", "null", format!("one of {}", Algorithm::class_names()))
        })?;
        Algorithm::from_class_name(class, self.algorithm_type.as_deref())
    }

    /// The configuration for `algorithm`: the pipeline's corrections of missing keys apply only to the file's own
    /// class.
    pub(crate) fn for_algorithm(&self, algorithm: Algorithm) -> Self {
        let mut config = self.clone();
        if self.corrected && self.class_name.as_deref() == Some(algorithm.class_name()) {
            (config.steps_offset, config.clip_sample) = (Some(1), Some(false));
        }
        if algorithm.supports_karras_sigmas() { config } else { config.with_sigma_schedule(None) }
    }

    /// The spacing of the noise levels, if `use_karras_sigmas`, `use_exponential_sigmas` or `use_beta_sigmas` is true.
    #[must_use]
    pub fn sigma_schedule(&self) -> Option<SigmaSchedule> {
        self.sigma_schedules().next().map(|(_, schedule)| schedule)
    }

    fn sigma_schedules(&self) -> impl Iterator<Item = (&'static str, SigmaSchedule)> {
        let schedules = [
            (self.use_karras_sigmas, "use_karras_sigmas", SigmaSchedule::Karras),
            (self.use_exponential_sigmas, "use_exponential_sigmas", SigmaSchedule::Exponential),
            (self.use_beta_sigmas, "use_beta_sigmas", SigmaSchedule::Beta),
        ];
        schedules.into_iter().filter(|(used, ..)| *used == Some(true)).map(|(_, key, schedule)| (key, schedule))
    }

    /// Sets the three keys of [`sigma_schedule`](Self::sigma_schedule).
    #[must_use]
    pub fn with_sigma_schedule(mut self, schedule: Option<SigmaSchedule>) -> Self {
        self.use_karras_sigmas = Some(schedule == Some(SigmaSchedule::Karras));
        self.use_exponential_sigmas = Some(schedule == Some(SigmaSchedule::Exponential));
        self.use_beta_sigmas = Some(schedule == Some(SigmaSchedule::Beta));
        self
    }

    pub(crate) fn num_train_timesteps(&self) -> usize {
        self.num_train_timesteps.unwrap_or(1000)
    }

    pub(crate) fn validate(&self) -> Result<(), SchedulerError> {
        let train = self.num_train_timesteps();
        let unit = |value: f64| value > 0.0 && value < 1.0;
        let positive = |value: f64| value.is_finite() && value > 0.0;
        let share = |value: f64| (0.0..=1.0).contains(&value);
        within(
            "num_train_timesteps",
            Some(train),
            |n| (1..=MAX_TRAIN_TIMESTEPS).contains(&n),
            "1 to 1000000 are possible",
        )?;
        within("beta_start", self.beta_start, unit, "it must lie between 0 and 1")?;
        within("beta_end", self.beta_end, unit, "it must lie between 0 and 1")?;
        within("steps_offset", self.steps_offset, |offset| offset < train, "it must be below num_train_timesteps")?;
        within("clip_sample_range", self.clip_sample_range, positive, "it must be positive")?;
        within("dynamic_thresholding_ratio", self.dynamic_thresholding_ratio, share, "it must lie between 0 and 1")?;
        within("sample_max_value", self.sample_max_value, positive, "it must be positive")?;
        within("solver_order", self.solver_order, |order| (1..=3).contains(&order), "1, 2 and 3 are possible")?;
        within(
            "original_inference_steps",
            self.original_inference_steps,
            |n| (1..=train).contains(&n),
            "1 to num_train_timesteps are possible",
        )?;
        within("timestep_scaling", self.timestep_scaling, positive, "it must be positive")?;
        within("eta", self.eta, share, "it must lie between 0 and 1")?;
        within("strength", self.strength, share, "it must lie between 0 and 1")?;
        let mut schedules = self.sigma_schedules();
        if let (Some((key, _)), Some((other, _))) = (schedules.next(), schedules.next()) {
            return Err(SchedulerError::setting(key, true, format!("`{other}` is true too, and only one can be")));
        }
        let betas = self.trained_betas.as_deref();
        within(
            "trained_betas",
            betas.map(<[f32]>::len),
            |count| count == train,
            "its length must be num_train_timesteps",
        )?;
        let wrong = betas.and_then(|betas| betas.iter().copied().find(|&beta| !unit(f64::from(beta))));
        within("trained_betas", wrong, |_| false, "every beta must lie between 0 and 1")
    }
}

fn within<T: Copy + ToString>(
    key: &'static str,
    value: Option<T>,
    accepted: impl Fn(T) -> bool,
    expected: &str,
) -> Result<(), SchedulerError> {
    match value {
        Some(value) if !accepted(value) => Err(SchedulerError::setting(key, value, expected)),
        _ => Ok(()),
    }
}
