use crate::Algorithm;

/// Why a scheduler could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SchedulerError {
    /// The text is no JSON object, or a key has a value of the wrong type or an unknown name.
    #[error("the scheduler's configuration cannot be read: {0}")]
    Json(#[from] serde_json::Error),
    /// A key of the configuration has a value that cannot be used.
    #[error("the scheduler's configuration has `{key}` = {value}; {expected}")]
    Setting {
        /// The key in `scheduler_config.json`.
        key: &'static str,
        /// What it holds.
        value: String,
        /// What would be right.
        expected: String,
    },
    /// No algorithm has this name.
    #[error("there is no scheduler `{0}`; one of: {list}", list = Algorithm::all_names())]
    UnknownAlgorithm(String),
    /// No algorithm here stands behind this diffusers class.
    #[error("the scheduler class `{0}` is not supported; one of: {list}", list = Algorithm::class_names())]
    UnknownClass(String),
    /// The algorithm cannot run with this number of steps.
    #[error("{algorithm} cannot make {steps} steps; {expected}")]
    Steps {
        /// The algorithm.
        algorithm: Algorithm,
        /// The steps asked for.
        steps: usize,
        /// What would be right.
        expected: String,
    },
}

impl SchedulerError {
    pub(crate) fn setting(key: &'static str, value: impl ToString, expected: impl Into<String>) -> Self {
        Self::Setting { key, value: value.to_string(), expected: expected.into() }
    }
}
