//! What can go wrong for users.

use std::path::PathBuf;

use pyrograph_checkpoint::{CheckpointError, OutputError};
use pyrograph_scheduler::SchedulerError;
use pyrograph_unet::ConfigError;

use crate::ImageFileError;

/// Why there is no picture. Every message names the file, option or stage at fault and what would be right.
///
/// A message that holds its cause does not return it as `source` too: what prints a whole chain says nothing twice.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No device of that name.
    #[error("device `{name}`: {problem}")]
    Device {
        /// What was asked for.
        name: String,
        /// Why it cannot be had.
        problem: String,
    },
    /// The checkpoint cannot be read.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// A model's configuration asks for something that does not exist here.
    #[error("{component}: {cause}")]
    Config {
        /// `unet` or `vae`.
        component: &'static str,
        /// The key at fault.
        cause: ConfigError,
    },
    /// The tokenizer's files or the text encoder's configuration are wrong.
    #[error(transparent)]
    Text(#[from] pyrograph_clip::Error),
    /// A CLIP's configuration or how it wants its pictures is wrong.
    #[error("{folder}: {cause}")]
    Clip {
        /// The model.
        folder: PathBuf,
        /// The file and the key at fault.
        cause: pyrograph_clip::Error,
    },
    /// The scheduler's configuration is wrong, or does not allow what was asked for.
    #[error(transparent)]
    Scheduler(#[from] SchedulerError),
    /// The request cannot be served.
    #[error("{field}: {problem}")]
    Request {
        /// The field at fault, by its name in the JSON of a request, but in snake case: `steps`, `guidance_scale`.
        field: &'static str,
        /// What is wrong and what would be right.
        problem: String,
    },
    /// The parts of a checkpoint do not fit each other, or cannot do what is asked for.
    #[error("{part}: {problem}")]
    Misfit {
        /// The part that does not fit: `unet`, `tokenizer`, `vision_config`.
        part: &'static str,
        /// Why, and what would be right.
        problem: String,
    },
    /// A stage needs more memory than there is, or one tensor larger than the device can bind.
    #[error("{stage} needs {needed} bytes and the device allows {available}; a smaller image may fit")]
    Memory {
        /// The stage.
        stage: &'static str,
        /// Bytes that it needs.
        needed: u64,
        /// Bytes that there are.
        available: u64,
    },
    /// NaN or infinity came out of a stage; there is no picture to be made of that.
    #[error("{stage} produced NaN or infinity; {advice}")]
    NotFinite {
        /// The stage.
        stage: &'static str,
        /// What may help.
        advice: &'static str,
    },
    /// The device is gone, with all tensors on it: it can be opened again, and the model loaded again.
    #[error("{stage}: the device was lost ({}); open it and load the model again", reason.trim())]
    DeviceLost {
        /// The stage.
        stage: &'static str,
        /// What the driver says.
        reason: String,
    },
    /// The device failed.
    #[error("{stage}: the device failed: {problem}")]
    Execution {
        /// The stage.
        stage: &'static str,
        /// What the device says.
        problem: String,
    },
    /// An image cannot be read.
    #[error("{path}: {cause}")]
    Read {
        /// The image's file.
        path: PathBuf,
        /// Why not.
        cause: ImageFileError,
    },
    /// A file cannot be written.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// The name of an image's file asks for a format that cannot be written.
    #[error("{}: must end in .png", path.display())]
    ImageFormat {
        /// The file.
        path: PathBuf,
    },
    /// The text of an image is longer than a PNG may have.
    #[error("PNG: {0}")]
    Png(png::EncodingError),
}

impl Error {
    pub(crate) fn request(field: &'static str, problem: impl Into<String>) -> Self {
        Self::Request { field, problem: problem.into() }
    }
}
