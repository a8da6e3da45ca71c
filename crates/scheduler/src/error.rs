use crate::{Algorithm, SigmaSchedule};

/// A reason why a scheduler could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SchedulerError {
    /// The text is not a JSON object, or a key has a value of the wrong type or an unknown name.
    #[error("the scheduler's configuration cannot be read: {cause}")]
    Json {
        /// The error of serde.
        cause: serde_json::Error,
    },
    /// A key of the configuration has a value that cannot be used.
    #[error("the scheduler's configuration has `{key}` = {value}; {expected}")]
    Setting {
        /// The key in `scheduler_config.json`.
        key: &'static str,
        /// Its value.
        value: String,
        /// The values that are possible.
        expected: String,
    },
    /// No algorithm has this name.
    #[error("there is no scheduler `{0}`; one of: {list}", list = Algorithm::all_names())]
    UnknownAlgorithm(String),
    /// No sigma schedule has this name.
    #[error("there is no schedule `{0}`; one of: {list}", list = SigmaSchedule::all_names())]
    UnknownSchedule(String),
    /// No algorithm here implements this diffusers class.
    #[error("the scheduler class `{0}` is not implemented; set `scheduler` to one of: {list}", list = Algorithm::all_names())]
    UnknownClass(String),
    /// The algorithm cannot run with this number of steps.
    #[error("{algorithm} cannot make {steps} steps; {expected}")]
    Steps {
        /// The algorithm.
        algorithm: Algorithm,
        /// The requested steps.
        steps: usize,
        /// The number of steps that is possible.
        expected: String,
    },
    /// A strength that is not between 0 and 1.
    #[error("strength: {strength} does not lie between 0 and 1")]
    Strength {
        /// The requested strength.
        strength: f64,
    },
    /// A run of this strength makes no step.
    #[error("strength: {strength} of {steps} steps is less than one step; use {} or more{}", least_strength(*.steps), least_steps(*.strength))]
    NoStep {
        /// The requested strength.
        strength: f64,
        /// The steps of the whole run.
        steps: usize,
    },
}

/// The smallest strength that makes a step, rounded up to three digits.
fn least_strength(steps: usize) -> f64 {
    (1000.0 / steps as f64).ceil() / 1000.0
}

fn least_steps(strength: f64) -> String {
    if strength > 0.0 { format!(", or at least {} steps", (1.0 / strength).ceil()) } else { String::new() }
}

impl SchedulerError {
    pub(crate) fn setting(key: &'static str, value: impl ToString, expected: impl Into<String>) -> Self {
        Self::Setting { key, value: value.to_string(), expected: expected.into() }
    }
}
