use std::path::PathBuf;

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
}
