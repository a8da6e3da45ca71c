use std::fmt;

use serde_json::Value;

/// Facts about a checkpoint that its user should know, although it can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Note {
    /// A folder has no tokenizer; CLIP's own vocabulary is used.
    ClipVocabulary {
        /// The token that pads short prompts; it differs between Stable Diffusion 1 and 2.
        pad_token: String,
    },
    /// A key of a configuration has no effect: it is unknown, or only other programs use it.
    IgnoredKey {
        /// The configuration's file.
        file: String,
        /// The key.
        key: String,
        /// Its value, as JSON.
        value: String,
    },
    /// A single file of Stable Diffusion 2 does not state whether its UNet predicts the velocity or the noise.
    AssumedPrediction {
        /// The assumed prediction, a value of `prediction_type` in `scheduler_config.json`.
        prediction_type: &'static str,
    },
}

impl Note {
    pub(crate) fn ignored_key(file: &str, key: &str, value: &Value) -> Self {
        let value = value.to_string().chars().take(80).collect();
        Self::IgnoredKey { file: file.to_owned(), key: key.to_owned(), value }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ClipVocabulary { pad_token } => {
                write!(
                    f,
                    "the folder has no tokenizer; CLIP's own vocabulary of 49408 tokens is used, padded with `{pad_token}`"
                )
            }
            Self::IgnoredKey { file, key, value } => {
                write!(f, "{file}: `{key}` = {value} is unknown and has no effect")
            }
            Self::AssumedPrediction { prediction_type } => write!(
                f,
                "the file does not say what its UNet predicts; {prediction_type} is assumed, \
                 and images of pure noise mean that it is the other of v_prediction and epsilon"
            ),
        }
    }
}
