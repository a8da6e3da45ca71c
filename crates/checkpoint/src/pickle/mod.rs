//! Pickles written by `torch.save`: read, never run.
//!
//! A pickle is a program for a stack machine that may call any Python function. [`machine`] interprets the part of it
//! that builds containers and tensors, and refuses every other call by name. <https://docs.python.org/3/library/pickletools.html>
//!
//! burn's `pytorch-reader` would do but for one thing: 0.22.1 refuses dictionaries whose keys are classes, and checkpoints of
//! PyTorch Lightning, the published ones of Stable Diffusion 1 among them, have such a dictionary beside their weights.

mod calls;
mod container;
mod globals;
mod machine;
mod tensor;

use std::collections::{BTreeMap, HashMap};

use burn::tensor::TensorData;

use crate::weights::tensor_data;
use crate::{CheckpointError, Location, TensorInfo, Weights};

use container::Container;
use machine::{Id, MOST_VALUES, Pickle, Value};
use tensor::TensorView;

/// More dictionaries inside each other than a checkpoint has.
const DEEPEST: usize = 32;
/// A tensor's name is no longer.
const LONGEST_NAME: usize = 1024;

/// The tensors of a `.ckpt`, `.pt`, `.pth` or `.bin` file: a zip archive (PyTorch 1.6 and later) or the stream of
/// pickles before it.
///
/// Names are the dictionary keys on the way to a tensor, joined by dots. Where the outermost dictionary has a
/// `state_dict`, only that is read, and numbers and texts beside it are notes.
#[derive(Debug)]
pub struct PickleFile {
    file: String,
    tensors: BTreeMap<String, TensorView>,
    notes: HashMap<String, String>,
    container: Container,
}

impl PickleFile {
    /// Reads the pickle, and the position of every tensor's elements.
    ///
    /// # Errors
    /// When the file cannot be read, is no such file, calls anything but what builds tensors, or has tensors that
    /// reach outside their storage.
    pub fn open(location: impl Into<Location>) -> Result<Self, CheckpointError> {
        let location = location.into();
        let file = location.to_string();
        let (container, pickle) =
            Container::new(location.open()?).map_err(|problem| CheckpointError::format(&file, problem))?;
        let mut collection = Collection { pickle: &pickle, tensors: BTreeMap::new(), visited: 0 };
        collection.collect(state_dict(&pickle), "", 0).map_err(|problem| CheckpointError::format(&file, problem))?;
        for (name, tensor) in &collection.tensors {
            let problem = |problem| CheckpointError::tensor(&file, name, problem);
            tensor.check(container.storage_length(&tensor.storage.key)).map_err(problem)?;
        }
        Ok(Self { tensors: collection.tensors, notes: notes(&pickle), container, file })
    }

    /// Whether a file that begins with these bytes may be one.
    pub(crate) fn recognises(head: &[u8]) -> bool {
        head.starts_with(b"PK\x03\x04") || (matches!(head, [0x80, 2..=5, ..]) && head.get(8) != Some(&b'{'))
    }
}

impl Weights for PickleFile {
    fn file(&self) -> &str {
        &self.file
    }

    fn names(&self) -> Vec<&str> {
        self.tensors.keys().map(String::as_str).collect()
    }

    fn info(&self, name: &str) -> Option<TensorInfo> {
        let tensor = self.tensors.get(name)?;
        Some(TensorInfo { dtype: tensor.storage.dtype, shape: tensor.shape.clone() })
    }

    fn read(&self, name: &str) -> Result<TensorData, CheckpointError> {
        let wrong = |problem: String| CheckpointError::tensor(&self.file, name, problem);
        let tensor = self.tensors.get(name).ok_or_else(|| wrong("is missing".to_owned()))?;
        let window = tensor.window();
        let bytes = self
            .container
            .read(&tensor.storage.key, window)
            .map_err(|error| wrong(format!("cannot be read: {error}")))?;
        let info = TensorInfo { dtype: tensor.storage.dtype, shape: tensor.shape.clone() };
        tensor_data(tensor.gather(bytes), &info).map_err(wrong)
    }

    fn note(&self, key: &str) -> Option<&str> {
        self.notes.get(key).map(String::as_str)
    }
}

/// The dictionary with the weights: that under `state_dict`, else the outermost one.
fn state_dict(pickle: &Pickle) -> Id {
    let entries = pickle.entries(pickle.root);
    let nested = entries.iter().find(|(key, value)| key == "state_dict" && !pickle.entries(*value).is_empty());
    nested.map_or(pickle.root, |(_, value)| *value)
}

fn notes(pickle: &Pickle) -> HashMap<String, String> {
    let text = |(key, value)| match &pickle.values[value] {
        Value::Int(number) => Some((key, number.to_string())),
        Value::Str(text) => Some((key, text.clone())),
        _ => None,
    };
    pickle.entries(pickle.root).into_iter().filter_map(text).collect()
}

/// The tensors found on a walk through the values.
struct Collection<'a> {
    pickle: &'a Pickle,
    tensors: BTreeMap<String, TensorView>,
    visited: usize,
}

impl Collection<'_> {
    fn collect(&mut self, id: Id, name: &str, depth: usize) -> Result<(), String> {
        self.visited += 1;
        if depth > DEEPEST || self.visited > MOST_VALUES {
            return Err("its values are nested without end".to_owned());
        }
        if name.len() > LONGEST_NAME {
            return Err(format!("a name of {} characters, beginning with `{:.40}`", name.len(), name));
        }
        if let Value::Tensor(tensor) = &self.pickle.values[id] {
            self.tensors.insert(name.to_owned(), TensorView::clone(tensor));
        }
        for (key, value) in self.pickle.entries(id) {
            let name = if name.is_empty() { key } else { format!("{name}.{key}") };
            self.collect(value, &name, depth + 1)?;
        }
        Ok(())
    }
}
