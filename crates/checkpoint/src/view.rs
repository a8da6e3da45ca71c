use std::collections::BTreeMap;
use std::sync::Arc;

use burn::tensor::TensorData;

use crate::{CheckpointError, TensorInfo, Weights};

/// The part of a file's tensor that a tensor of the view shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The whole tensor.
    Whole,
    /// One of three equal parts of the first dimension, counted from 0: query, key and value of a fused projection.
    Third(usize),
}

/// A selection of the tensors of other weights, under other names.
#[derive(Clone, Debug)]
pub struct View {
    weights: Arc<dyn Weights>,
    table: BTreeMap<String, (String, Part)>,
}

impl View {
    /// A view of `weights`. `rename` returns the names under which each of its tensors appears: none, one, or three
    /// parts.
    pub fn new<N>(weights: Arc<dyn Weights>, rename: impl Fn(&str) -> N) -> Self
    where
        N: IntoIterator<Item = (String, Part)>,
    {
        let renamed = |source: &str| {
            rename(source).into_iter().map(|(name, part)| (name, (source.to_owned(), part))).collect::<Vec<_>>()
        };
        let table = weights.names().into_iter().flat_map(renamed).collect();
        Self { weights, table }
    }

    /// The names in the file of the tensors in the view.
    pub fn sources(&self) -> impl Iterator<Item = &str> {
        self.table.values().map(|(source, _)| source.as_str())
    }
}

impl Weights for View {
    fn file(&self) -> &str {
        self.weights.file()
    }

    fn names(&self) -> Vec<&str> {
        self.table.keys().map(String::as_str).collect()
    }

    fn info(&self, name: &str) -> Option<TensorInfo> {
        let (source, part) = self.table.get(name)?;
        let TensorInfo { dtype, shape } = self.weights.info(source)?;
        match part {
            Part::Whole => Some(TensorInfo { dtype, shape }),
            Part::Third(_) => Some(TensorInfo { dtype, shape: third(&shape) }),
        }
    }

    fn read(&self, name: &str) -> Result<TensorData, CheckpointError> {
        let Some((source, part)) = self.table.get(name) else {
            return Err(CheckpointError::tensor(self.file(), name, "is missing"));
        };
        let data = self.weights.read(source)?;
        match part {
            Part::Whole => Ok(data),
            Part::Third(index) => {
                read_third(data, *index).map_err(|problem| CheckpointError::tensor(self.file(), source, problem))
            }
        }
    }

    fn note(&self, key: &str) -> Option<&str> {
        self.weights.note(key)
    }
}

fn third(shape: &[usize]) -> Vec<usize> {
    shape.iter().enumerate().map(|(axis, &extent)| if axis == 0 { extent / 3 } else { extent }).collect()
}

fn read_third(data: TensorData, index: usize) -> Result<TensorData, String> {
    let (bytes, shape, dtype) = data.into_parts();
    if shape.first().is_none_or(|rows| rows % 3 != 0) {
        return Err(format!("has the shape {shape:?}, which is not that of a fused query, key and value"));
    }
    let length = bytes.len() / 3;
    let bytes = bytes[index * length..(index + 1) * length].to_vec();
    TensorData::try_from_bytes_vec(bytes, third(&shape), dtype).map_err(|error| error.to_string())
}
