use std::io;
use std::path::{Path, PathBuf};

use burn::store::RecordError;
use pyrograph_checkpoint::{CheckpointError, Note, OutputError};
use pyrograph_scheduler::SchedulerError;
use pyrograph_unet::ConfigError;
use serde_json::Value;

/// Why a training run cannot begin or go on.
///
/// A message that holds its cause does not return it as `source` too: what prints a whole chain says nothing twice.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// The loss or a gradient is NaN or infinite.
    #[error(
        "the loss of step {step} is {loss}, or its gradient is not finite: try a smaller learning rate or max_grad_norm"
    )]
    NotFinite {
        /// Counted from 0.
        step: usize,
        /// Before the step.
        loss: f64,
    },
    /// The autoencoder of a latent diffusion model makes NaN or infinity of the images.
    #[error("start: the autoencoder makes NaN or infinity of the images")]
    LatentsNotFinite,
    /// A checkpoint of a run, or the model that it exports, cannot be written or read.
    #[error("checkpoint {}: {cause}", folder.display())]
    Checkpoint {
        /// The checkpoint, or the file in it.
        folder: PathBuf,
        /// The reason.
        cause: Box<Cause>,
    },
    /// Another file or folder cannot be read or written: images, their list, latents, the recipe.
    #[error("{}: {cause}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// The reason.
        cause: Box<Cause>,
    },
    /// A file cannot be written.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// Weights cannot be read or written, or are those of another model.
    #[error(transparent)]
    Weights(#[from] CheckpointError),
    /// Another run writes to the folder.
    #[error("{}: another run writes to this folder; wait for its end, or use another folder", folder.display())]
    Locked {
        /// The run's folder.
        folder: PathBuf,
    },
    /// A run is to be resumed with another recipe than its checkpoint was made with.
    #[error("`{key}` is {now}, but the checkpoint was made with {before}")]
    Changed {
        /// The table and the key in it, with a dot between.
        key: String,
        /// The value of the checkpoint's run, in JSON.
        before: String,
        /// The value now.
        now: String,
    },
    /// A recipe lacks a table.
    #[error("the run's file: has no table [{table}]")]
    NoTable {
        /// Its name.
        table: &'static str,
    },
    /// A dotted key that is to be set leads through a value that is no table.
    #[error("the run's file: `{part}` of `{key}` is no table")]
    NotATable {
        /// The whole key.
        key: String,
        /// The part that has another value.
        part: String,
    },
    /// A table of a recipe has an unknown key, describes a network that cannot be made, or names files that cannot be used.
    #[error("{table}: {cause}")]
    Table {
        /// Its name, or `the run's file` for all tables of the task.
        table: &'static str,
        /// The reason.
        cause: Box<Cause>,
    },
    /// A value of a recipe is out of its bounds, or does not fit the others.
    #[error("{key}: is {value}; {expected} is expected")]
    OutOfBounds {
        /// Table and key, such as `data.size`.
        key: &'static str,
        /// Its value.
        value: String,
        /// The bounds.
        expected: String,
    },
    /// A line of a list of images cannot be used.
    #[error("{}: line {line}: {cause}", list.display())]
    List {
        /// The list.
        list: PathBuf,
        /// Counted from 1.
        line: usize,
        /// The reason.
        cause: ListError,
    },
    /// Images of a list are missing, broken or too narrow.
    #[error("{}: {count} of {of} images cannot be used: {}; {}", list.display(), named(bad, *count), ADVICE)]
    Images {
        /// The list.
        list: PathBuf,
        /// The first of them.
        bad: Vec<BadImage>,
        /// The number of such images.
        count: usize,
        /// The number of images in the list.
        of: usize,
    },
}

/// Why a file, a checkpoint or a table of a recipe cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Cause {
    /// The system refuses to read or write.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The text is no JSON, or describes something else.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// The text is no TOML, or a key is unknown, missing or of the wrong type.
    #[error("{}", one_line(.0))]
    Toml(#[from] toml::de::Error),
    /// Weights or a configuration cannot be read.
    #[error(transparent)]
    Weights(#[from] CheckpointError),
    /// There is no network of this configuration.
    #[error(transparent)]
    Network(#[from] ConfigError),
    /// There is no CLIP of this configuration, or a tokenizer is broken.
    #[error(transparent)]
    Clip(#[from] pyrograph_clip::Error),
    /// There is no noise schedule of this configuration.
    #[error(transparent)]
    Scheduler(#[from] SchedulerError),
    /// The pipeline makes no image.
    #[error(transparent)]
    Pipeline(#[from] pyrograph::Error),
    /// The state of the optimiser cannot be read.
    #[error(transparent)]
    Optimizer(#[from] RecordError),
    /// A file names a checkpoint that is not there.
    #[error("names {name:?}, which is no checkpoint beside it")]
    NoCheckpoint {
        /// The name.
        name: String,
    },
    /// A file has a tensor for which the model has no place.
    #[error("holds `{tensor}`, which the model does not have")]
    UnknownTensor {
        /// The tensor's name.
        tensor: String,
    },
    /// A table of a recipe has a key that the network's class does not know.
    #[error("{note}; correct or remove it")]
    UnknownKey {
        /// The key and its value.
        note: Note,
    },
    /// A folder has no list of images.
    #[error("has neither {}", lists.join(" nor "))]
    NoList {
        /// The names that a list can have.
        lists: &'static [&'static str],
    },
    /// A list names no image.
    #[error("lists no image")]
    EmptyList,
    /// The line of an image lacks a label.
    #[error("its line in the list has no text `{key}`")]
    NoLabel {
        /// The label's name.
        key: String,
    },
}

/// Why a line of a list cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListError {
    /// The list has another encoding than UTF-8.
    #[error("is not in UTF-8; save the list as UTF-8")]
    Encoding,
    /// The line is no JSON object.
    #[error("is no JSON object: {0}")]
    Json(serde_json::Error),
    /// The row does not fit the header.
    #[error(transparent)]
    Csv(csv::Error),
    /// The line lacks a key, or the header a column.
    #[error("missing field `{key}`")]
    Missing {
        /// The key.
        key: &'static str,
    },
    /// A value is no text.
    #[error("`{key}` is {value}, which is no text")]
    NoText {
        /// The key.
        key: &'static str,
        /// Its value.
        value: Value,
    },
}

/// An image of a list that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: {cause}")]
pub struct BadImage {
    /// Its line in the list, counted from 1.
    pub line: usize,
    /// The file, and why it cannot be used.
    pub cause: pyrograph::Error,
}

const ADVICE: &str = "replace the files, or delete their lines to go on without them";

fn named(bad: &[BadImage], count: usize) -> String {
    let mut named: Vec<String> = bad.iter().map(BadImage::to_string).collect();
    if count > named.len() {
        named.push(format!("and {} more", count - named.len()));
    }
    named.join(", ")
}

fn one_line(error: &toml::de::Error) -> String {
    error.to_string().trim().replace('\n', " ")
}

impl TrainError {
    pub(crate) fn table<E: Into<Cause>>(table: &'static str) -> impl Fn(E) -> Self {
        move |cause| Self::Table { table, cause: Box::new(cause.into()) }
    }

    pub(crate) fn checkpoint<E: Into<Cause>>(folder: &Path) -> impl Fn(E) -> Self {
        move |cause| Self::Checkpoint { folder: folder.to_owned(), cause: Box::new(cause.into()) }
    }

    pub(crate) fn file<E: Into<Cause>>(path: &Path) -> impl Fn(E) -> Self {
        move |cause| Self::File { path: path.to_owned(), cause: Box::new(cause.into()) }
    }
}
