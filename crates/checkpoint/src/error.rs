use std::io;
use std::path::{Path, PathBuf};

use crate::{Kind, OutputError, PickleError};

/// What is wrong with a file; every message names the file, and the tensor where there is one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// A file cannot be written.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// The operating system refuses to read.
    #[error("{}: {cause}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system says.
        cause: io::Error,
    },
    /// The bytes are not what the file's kind promises.
    #[error("{file}: {problem}")]
    Format {
        /// The file.
        file: String,
        /// What is wrong, and what would be right.
        problem: String,
    },
    /// A file or folder of another kind than what is asked for.
    #[error("{file}: this is {kind}")]
    Kind {
        /// The file or folder.
        file: String,
        /// What it is instead.
        kind: Kind,
    },
    /// A file of `torch.save` that cannot be read.
    #[error("{file}: {cause}")]
    Pickle {
        /// The file.
        file: String,
        /// What is wrong with it.
        #[source]
        cause: PickleError,
    },
    /// Something that a checkpoint needs is absent.
    #[error("{file}: {missing}")]
    Missing {
        /// The file or folder.
        file: String,
        /// What is absent, and where it would be.
        missing: String,
    },
    /// A checkpoint of another kind than Stable Diffusion 1 and 2.
    #[error("{file}: this is {found}; Stable Diffusion 1.x and 2.x checkpoints can be read")]
    Unsupported {
        /// The file or folder.
        file: String,
        /// What it holds instead.
        found: String,
    },
    /// A folder of diffusers has a component of a class that is not implemented.
    #[error("{file}: `{component}` is of the class {class}; supported is {supported}")]
    Class {
        /// The file that names the class.
        file: String,
        /// The component, such as `vae`.
        component: &'static str,
        /// Its class.
        class: String,
        /// The classes that would be right.
        supported: String,
    },
    /// A configuration asks for something that is not implemented.
    #[error("{file}: `{key}` = {value} is not supported; supported is {supported}")]
    Setting {
        /// The configuration's file.
        file: String,
        /// The key.
        key: String,
        /// Its value, as JSON.
        value: String,
        /// The values that would be right, as JSON.
        supported: String,
    },
    /// One tensor cannot be used.
    #[error("{file}: tensor `{tensor}` {problem}")]
    Tensor {
        /// The file.
        file: String,
        /// The tensor's name.
        tensor: String,
        /// What is wrong with it, and what would be right.
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
