//! Pickles written by `torch.save`. They are read but never executed.
//!
//! A pickle is a program for a stack machine that may call any Python function. [`machine`] interprets the part of it
//! that builds containers and tensors, and refuses every other call by name.
//! <https://docs.python.org/3/library/pickletools.html>
//!
//! burn's `pytorch-reader` is not used for one reason: 0.22.1 refuses dictionaries whose keys are classes. Checkpoints
//! of PyTorch Lightning have such a dictionary beside their weights, and the published ones of Stable Diffusion 1 are
//! among them.
//!
//! No file costs more memory than 64 times its length plus one mebibyte: [`values`] grows with the bytes that are read,
//! and [`walk`] has a budget.

mod archive;
mod calls;
mod error;
mod globals;
mod input;
mod machine;
mod storages;
mod tensor;
mod values;
mod walk;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use burn::tensor::TensorData;

use crate::element_type::tensor_data;
use crate::{CheckpointError, Location, Source, TensorInfo, Weights};

pub use error::PickleError;
use storages::Storages;
use tensor::TensorView;
use walk::Contents;

/// The tensors of a `.ckpt`, `.pt`, `.pth` or `.bin` file: a zip archive (PyTorch 1.6 and later), or the older stream
/// of pickles.
///
/// Names are the dictionary keys on the way to a tensor, joined by dots. If the outermost dictionary has a
/// `state_dict`, only its tensors are read, and the numbers and texts beside it are notes.
pub struct PickleFile {
    file: String,
    tensors: BTreeMap<String, TensorView>,
    notes: BTreeMap<String, String>,
    reader: Mutex<Box<dyn Source>>,
}

impl PickleFile {
    /// Reads the pickle and the position of every tensor's elements.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read, is not such a file, makes a call that does not build tensors, or
    /// has tensors that exceed their storage.
    pub fn open(location: impl Into<Location>) -> Result<Self, CheckpointError> {
        let location = location.into();
        let file = location.to_string();
        let mut reader = location.open()?;
        match read(reader.as_mut()) {
            Ok(Contents { tensors, notes }) => Ok(Self { file, tensors, notes, reader: Mutex::new(reader) }),
            Err(PickleError::Kind(kind)) => Err(CheckpointError::Kind { file, kind }),
            Err(cause) => Err(CheckpointError::Pickle { file, cause }),
        }
    }
}

fn read(file: &mut dyn Source) -> Result<Contents, PickleError> {
    let (storages, pickle) = Storages::open(file)?;
    Contents::of(&pickle, &storages)
}

impl Weights for PickleFile {
    fn file(&self) -> &str {
        &self.file
    }

    fn names(&self) -> Vec<&str> {
        self.tensors.keys().map(String::as_str).collect()
    }

    fn info(&self, name: &str) -> Option<TensorInfo> {
        self.tensors.get(name).map(TensorView::info)
    }

    fn read(&self, name: &str) -> Result<TensorData, CheckpointError> {
        let wrong = |problem: String| CheckpointError::tensor(&self.file, name, problem);
        let tensor = self.tensors.get(name).ok_or_else(|| wrong("is missing".to_owned()))?;
        let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        let window = tensor.place().read(reader.as_mut(), tensor.window());
        let window = window.map_err(|error| wrong(format!("cannot be read: {error}")))?;
        tensor_data(tensor.gather(window), &tensor.info()).map_err(wrong)
    }

    fn note(&self, key: &str) -> Option<&str> {
        self.notes.get(key).map(String::as_str)
    }
}

impl fmt::Debug for PickleFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PickleFile({}, {} tensors)", self.file, self.tensors.len())
    }
}
