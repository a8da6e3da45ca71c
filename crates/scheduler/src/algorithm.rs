use std::fmt;
use std::str::FromStr;

use crate::ddim::Ddim;
use crate::ddpm::Ddpm;
use crate::deis::Deis;
use crate::dpm_solver::DpmSolver;
use crate::euler::Euler;
use crate::heun::Heun;
use crate::kdpm2::Kdpm2;
use crate::lcm::Lcm;
use crate::lms::Lms;
use crate::pndm::Pndm;
use crate::unipc::UniPc;
use crate::{Scheduler, SchedulerConfig, SchedulerError, SigmaSchedule};

/// The samplers of this crate. `Display` writes the names of the command line. `FromStr` also reads those of
/// AUTOMATIC1111's web UI.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// Ancestral sampling of Ho et al., `DDPMScheduler`.
    Ddpm,
    /// `DDIMScheduler`.
    Ddim,
    /// Runge-Kutta and linear multistep pseudo numerical methods, `PNDMScheduler`.
    Pndm,
    /// Linear multistep in sigma, `LMSDiscreteScheduler`.
    Lms,
    /// `EulerDiscreteScheduler`.
    Euler,
    /// `EulerAncestralDiscreteScheduler`.
    EulerAncestral,
    /// `HeunDiscreteScheduler`.
    Heun,
    /// `DPMSolverMultistepScheduler` with algorithm type `dpmsolver++`.
    DpmSolverPlusPlus,
    /// `DPMSolverMultistepScheduler` with algorithm type `sde-dpmsolver++`.
    DpmSolverPlusPlusSde,
    /// `UniPCMultistepScheduler`.
    UniPc,
    /// `LCMScheduler`.
    Lcm,
    /// `DEISMultistepScheduler`.
    Deis,
    /// `KDPM2DiscreteScheduler`.
    Kdpm2,
    /// `KDPM2AncestralDiscreteScheduler`.
    Kdpm2Ancestral,
}

/// The names of an algorithm.
struct Names {
    command_line: &'static str,
    class: &'static str,
    automatic1111: &'static str,
}

impl Algorithm {
    /// Every algorithm, in the order of the command line's help.
    pub const ALL: [Self; 14] = [
        Self::Ddpm,
        Self::Ddim,
        Self::Pndm,
        Self::Lms,
        Self::Euler,
        Self::EulerAncestral,
        Self::Heun,
        Self::DpmSolverPlusPlus,
        Self::DpmSolverPlusPlusSde,
        Self::UniPc,
        Self::Lcm,
        Self::Deis,
        Self::Kdpm2,
        Self::Kdpm2Ancestral,
    ];

    fn names(self) -> Names {
        let (command_line, class, automatic1111) = match self {
            Self::Ddpm => ("ddpm", "DDPMScheduler", "DDPM"),
            Self::Ddim => ("ddim", "DDIMScheduler", "DDIM"),
            Self::Pndm => ("pndm", "PNDMScheduler", "PLMS"),
            Self::Lms => ("lms", "LMSDiscreteScheduler", "LMS"),
            Self::Euler => ("euler", "EulerDiscreteScheduler", "Euler"),
            Self::EulerAncestral => ("euler-ancestral", "EulerAncestralDiscreteScheduler", "Euler a"),
            Self::Heun => ("heun", "HeunDiscreteScheduler", "Heun"),
            Self::DpmSolverPlusPlus => ("dpm-solver++", "DPMSolverMultistepScheduler", "DPM++ 2M"),
            Self::DpmSolverPlusPlusSde => ("dpm-solver++-sde", "DPMSolverMultistepScheduler", "DPM++ 2M SDE"),
            Self::UniPc => ("unipc", "UniPCMultistepScheduler", "UniPC"),
            Self::Lcm => ("lcm", "LCMScheduler", "LCM"),
            Self::Deis => ("deis", "DEISMultistepScheduler", "DEIS"),
            Self::Kdpm2 => ("kdpm2", "KDPM2DiscreteScheduler", "DPM2"),
            Self::Kdpm2Ancestral => ("kdpm2-ancestral", "KDPM2AncestralDiscreteScheduler", "DPM2 a"),
        };
        Names { command_line, class, automatic1111 }
    }

    /// The algorithm of a diffusers class. `class` is the `_class_name` of `scheduler_config.json` and `algorithm_type`
    /// is the key of that name in the same file, which only `DPMSolverMultistepScheduler` uses.
    ///
    /// # Errors
    /// A class or an algorithm type that is not implemented here.
    pub fn from_class_name(class: &str, algorithm_type: Option<&str>) -> Result<Self, SchedulerError> {
        let algorithm = Self::ALL.into_iter().find(|algorithm| algorithm.class_name() == class);
        match (algorithm.ok_or_else(|| SchedulerError::UnknownClass(class.to_owned()))?, algorithm_type) {
            // diffusers replaces the type of a DEIS configuration by its own default.
            (Self::DpmSolverPlusPlus, None | Some("dpmsolver++" | "deis")) => Ok(Self::DpmSolverPlusPlus),
            (Self::DpmSolverPlusPlus, Some("sde-dpmsolver++")) => Ok(Self::DpmSolverPlusPlusSde),
            (Self::DpmSolverPlusPlus, Some(other)) => Err(SchedulerError::setting(
                "algorithm_type",
                other,
                "only dpmsolver++ and sde-dpmsolver++ are supported",
            )),
            (algorithm, _) => Ok(algorithm),
        }
    }

    /// The algorithm of a name, and the sigma schedule at its end, as in AUTOMATIC1111's `DPM++ 2M Karras`.
    ///
    /// # Errors
    /// No algorithm has the name that remains without the schedule.
    pub fn from_name_with_schedule(name: &str) -> Result<(Self, Option<SigmaSchedule>), SchedulerError> {
        let cut = |schedule: SigmaSchedule| {
            let rest = name.strip_suffix(schedule.automatic1111_name())?.strip_suffix(' ')?;
            Some((rest.parse().ok()?, Some(schedule)))
        };
        match SigmaSchedule::ALL.into_iter().find_map(cut) {
            Some(found) => Ok(found),
            None => Ok((name.parse()?, None)),
        }
    }

    /// The diffusers class, the same for both forms of DPM-Solver++.
    #[must_use]
    pub fn class_name(self) -> &'static str {
        self.names().class
    }

    /// The name of the sampler in AUTOMATIC1111's web UI and in its PNG texts.
    #[must_use]
    pub fn automatic1111_name(self) -> &'static str {
        self.names().automatic1111
    }

    /// Whether the algorithm can use a [`SigmaSchedule`], such as the noise levels of Karras et al.
    #[must_use]
    pub fn supports_karras_sigmas(self) -> bool {
        !matches!(self, Self::Ddpm | Self::Ddim | Self::Pndm | Self::Lcm | Self::EulerAncestral)
    }

    /// A scheduler for `steps` denoising steps. As with diffusers' `from_config`, the algorithm takes the settings that
    /// it knows from `config`, and its own defaults for missing settings.
    ///
    /// # Errors
    /// Zero steps, more steps than the algorithm supports, or settings that it cannot use.
    pub fn build(self, config: &SchedulerConfig, steps: usize) -> Result<Scheduler, SchedulerError> {
        config.validate()?;
        let config = &config.for_algorithm(self);
        self.check_steps(steps, 1, config.num_train_timesteps(), "")?;
        match self {
            Self::Ddpm => Ddpm::build(config, steps),
            Self::Ddim => Ddim::build(config, steps),
            Self::Pndm => Pndm::build(config, steps),
            Self::Lms => Lms::build(config, steps),
            Self::Euler => Euler::build(config, steps, false),
            Self::EulerAncestral => Euler::build(config, steps, true),
            Self::Heun => Heun::build(config, steps),
            Self::DpmSolverPlusPlus | Self::DpmSolverPlusPlusSde => DpmSolver::build(config, steps, self),
            Self::UniPc => UniPc::build(config, steps),
            Self::Lcm => Lcm::build(config, steps),
            Self::Deis => Deis::build(config, steps),
            Self::Kdpm2 => Kdpm2::build(config, steps, false),
            Self::Kdpm2Ancestral => Kdpm2::build(config, steps, true),
        }
    }

    /// `reason` follows the permitted range in the message.
    pub(crate) fn check_steps(self, steps: usize, min: usize, max: usize, reason: &str) -> Result<(), SchedulerError> {
        if (min..=max).contains(&steps) {
            return Ok(());
        }
        let range = if min <= max { format!("{min} to {max}") } else { "none".to_owned() };
        Err(SchedulerError::Steps { algorithm: self, steps, expected: format!("{range} are possible{reason}") })
    }

    pub(crate) fn all_names() -> String {
        Self::ALL.map(|algorithm| algorithm.names().command_line).join(", ")
    }

    pub(crate) fn class_names() -> String {
        let mut classes = Self::ALL.map(Self::class_name).to_vec();
        classes.dedup();
        classes.join(", ")
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.names().command_line)
    }
}

impl FromStr for Algorithm {
    type Err = SchedulerError;

    fn from_str(name: &str) -> Result<Self, SchedulerError> {
        let is_named =
            |algorithm: &Self| [algorithm.names().command_line, algorithm.names().automatic1111].contains(&name);
        let algorithm = Self::ALL.into_iter().find(is_named);
        algorithm.ok_or_else(|| SchedulerError::UnknownAlgorithm(name.to_owned()))
    }
}
