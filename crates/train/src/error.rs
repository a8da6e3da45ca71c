use std::path::{Path, PathBuf};

use pyrograph_checkpoint::{CheckpointError, OutputError};

use crate::ListError;

/// What goes wrong in training.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// The loss or a gradient is no number any more.
    #[error(
        "the loss of step {step} is {loss}, or its gradient is not finite: try a smaller learning rate or max_grad_norm"
    )]
    NotFinite {
        /// Counted from 0.
        step: usize,
        /// Before the step.
        loss: f64,
    },
    /// A checkpoint cannot be written or read.
    #[error("checkpoint {}: {problem}", folder.display())]
    Checkpoint {
        /// The checkpoint.
        folder: PathBuf,
        /// What the system or the reader says.
        problem: String,
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
    /// A run is to be resumed with another configuration than its checkpoint was made with.
    #[error("`{key}` is {now}, but the checkpoint was made with {before}")]
    Changed {
        /// The table and the key in it, with a dot between.
        key: String,
        /// The value of the checkpoint's run, in JSON.
        before: String,
        /// The value now.
        now: String,
    },
    /// A run's description asks for something that does not exist.
    #[error("{place}: {problem}")]
    Config {
        /// The file or section at fault.
        place: String,
        /// What is wrong and what would be right.
        problem: String,
    },
    /// A number of a run's file makes no sense.
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
        /// What is wrong with it.
        cause: ListError,
    },
    /// Images of a list are missing, broken or too narrow.
    #[error("{}: {count} of {of} images cannot be used: {}; {}", list.display(), named(bad, *count), ADVICE)]
    Images {
        /// The list.
        list: PathBuf,
        /// The first of them.
        bad: Vec<BadImage>,
        /// How many there are.
        count: usize,
        /// How many images the list has.
        of: usize,
    },
    /// Pictures or captions cannot be read.
    #[error("{}: {problem}", path.display())]
    Data {
        /// The list, its folder, or a picture.
        path: PathBuf,
        /// What the reader says, with the line.
        problem: String,
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

impl TrainError {
    pub(crate) fn config(place: &str, problem: impl Into<String>) -> Self {
        Self::Config { place: place.to_owned(), problem: problem.into() }
    }

    pub(crate) fn checkpoint(folder: &Path, problem: impl ToString) -> Self {
        Self::Checkpoint { folder: folder.to_owned(), problem: problem.to_string() }
    }

    pub(crate) fn data(path: &Path, problem: impl ToString) -> Self {
        Self::Data { path: path.to_owned(), problem: problem.to_string() }
    }
}
