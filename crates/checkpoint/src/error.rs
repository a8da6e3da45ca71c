use std::io;
use std::path::{Path, PathBuf};

use crate::{Kind, OutputError, PickleError};

/// An error in a file. Every message names the file, and the tensor if there is one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// A file cannot be written.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// The operating system refused to read.
    #[error("{}: {cause}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The error of the operating system.
        cause: io::Error,
    },
    /// The bytes do not match the format of the file.
    #[error("{file}: {problem}")]
    Format {
        /// The file.
        file: String,
        /// The problem, and the correct form.
        problem: String,
    },
    /// A file or folder of another kind than expected.
    #[error("{file}: this is {kind}")]
    Kind {
        /// The file or folder.
        file: String,
        /// The kind that was found.
        kind: Kind,
    },
    /// A file of `torch.save` that cannot be read.
    #[error("{file}: {cause}")]
    Pickle {
        /// The file.
        file: String,
        /// The problem in the pickle.
        #[source]
        cause: PickleError,
    },
    /// A necessary part of a checkpoint is missing.
    #[error("{file}: {missing}")]
    Missing {
        /// The file or folder.
        file: String,
        /// The missing part, and where it was expected.
        missing: String,
    },
    /// A checkpoint of another kind than Stable Diffusion 1 and 2.
    #[error("{file}: this is {found}; Stable Diffusion 1.x and 2.x checkpoints can be read")]
    Unsupported {
        /// The file or folder.
        file: String,
        /// The kind of model that was found.
        found: String,
    },
    /// A diffusers folder names a class that is not implemented for a component.
    #[error("{file}: `{component}` has the class {class}; only {supported} is supported")]
    Class {
        /// The file that names the class.
        file: String,
        /// The component, such as `vae`.
        component: &'static str,
        /// Its class.
        class: String,
        /// The supported classes.
        supported: String,
    },
    /// A configuration asks for something that is not implemented.
    #[error("{file}: `{key}` = {value} is not supported; only {supported} is")]
    Setting {
        /// The configuration's file.
        file: String,
        /// The key.
        key: String,
        /// Its value, as JSON.
        value: String,
        /// The supported values, as JSON.
        supported: String,
    },
    /// A tensor cannot be used.
    #[error("{file}: tensor `{tensor}` {problem}")]
    Tensor {
        /// The file.
        file: String,
        /// The tensor's name.
        tensor: String,
        /// The problem, and the correct form.
        problem: String,
    },
}

impl CheckpointError {
    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |cause| Self::Io { path, cause }
    }

    pub(crate) fn format(file: &str, problem: impl ToString) -> Self {
        Self::Format { file: file.to_owned(), problem: problem.to_string() }
    }

    pub(crate) fn missing(file: &Path, missing: impl ToString) -> Self {
        Self::Missing { file: file.display().to_string(), missing: missing.to_string() }
    }

    pub(crate) fn tensor(file: &str, tensor: &str, problem: impl ToString) -> Self {
        Self::Tensor { file: file.to_owned(), tensor: tensor.to_owned(), problem: problem.to_string() }
    }
}
