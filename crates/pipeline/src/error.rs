//! Errors for users of the library.

use std::path::PathBuf;

use pyrograph_checkpoint::{CheckpointError, OutputError};
use pyrograph_scheduler::SchedulerError;
use pyrograph_unet::ConfigError;

use crate::ImageFileError;

/// A reason why there is no image. Every message names the file, field or stage, the problem, and the correct form.
///
/// An error whose message includes its cause does not return it as `source` too. A printed chain of errors therefore
/// repeats nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no device of this name.
    #[error("device `{name}`: {problem}")]
    Device {
        /// The requested name.
        name: String,
        /// The reason.
        problem: String,
    },
    /// The checkpoint cannot be read.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// A model's configuration has a setting that is not supported.
    #[error("{component}: {cause}")]
    Config {
        /// `unet` or `vae`.
        component: &'static str,
        /// The key and the problem.
        cause: ConfigError,
    },
    /// The tokenizer's files or the text encoder's configuration are wrong.
    #[error(transparent)]
    Text(#[from] pyrograph_clip::Error),
    /// A CLIP model's configuration or its image settings are wrong.
    #[error("{folder}: {cause}")]
    Clip {
        /// The folder of the model.
        folder: PathBuf,
        /// The file, the key and the problem.
        cause: pyrograph_clip::Error,
    },
    /// The scheduler's configuration is wrong, or does not support the request.
    #[error(transparent)]
    Scheduler(#[from] SchedulerError),
    /// A field of the request is wrong.
    #[error("{field}: {problem}")]
    Request {
        /// The field, by its name in the JSON of a request, in snake case: `steps`, `guidance_scale`.
        field: &'static str,
        /// The problem, and the correct values.
        problem: String,
    },
    /// The parts of a checkpoint do not fit together, or do not support the request.
    #[error("{part}: {problem}")]
    Misfit {
        /// The part that does not fit: `unet`, `tokenizer`, `vision_config`.
        part: &'static str,
        /// The problem, and the correct form.
        problem: String,
    },
    /// A stage needs more memory than is available, or a tensor larger than the largest binding.
    #[error("{stage} needs {needed} bytes and the device allows {available}; a smaller image may fit")]
    Memory {
        /// The stage.
        stage: &'static str,
        /// Bytes needed.
        needed: u64,
        /// Bytes available.
        available: u64,
    },
    /// A stage produced NaN or infinity, of which no image can be made.
    #[error("{stage} produced NaN or infinity; {advice}")]
    NotFinite {
        /// The stage.
        stage: &'static str,
        /// Advice.
        advice: &'static str,
    },
    /// The device was lost, with all its tensors. Open it again and load the model again.
    #[error("{stage}: the device was lost ({}); open it and load the model again", reason.trim())]
    DeviceLost {
        /// The stage.
        stage: &'static str,
        /// The driver's reason.
        reason: String,
    },
    /// The device failed.
    #[error("{stage}: the device failed: {problem}")]
    Execution {
        /// The stage.
        stage: &'static str,
        /// The device's error.
        problem: String,
    },
    /// An image cannot be read.
    #[error("{path}: {cause}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The reason.
        cause: ImageFileError,
    },
    /// A file cannot be written.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// The file name of an image has the ending of an unsupported format.
    #[error("{}: must end in .png", path.display())]
    ImageFormat {
        /// The file.
        path: PathBuf,
    },
    /// The text of an image is longer than a PNG allows.
    #[error("PNG: {0}")]
    Png(png::EncodingError),
}

impl Error {
    pub(crate) fn request(field: &'static str, problem: impl Into<String>) -> Self {
        Self::Request { field, problem: problem.into() }
    }
}
