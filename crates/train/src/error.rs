use std::path::{Path, PathBuf};

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
    /// A run's description asks for something that does not exist.
    #[error("{place}: {problem}")]
    Config {
        /// The file or section at fault.
        place: String,
        /// What is wrong and what would be right.
        problem: String,
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
