//! Saving of modules.

use std::borrow::Cow;
use std::path::Path;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{DType, Shape, Tensor, TensorData};

use crate::cast::cast;
use crate::parameter_path::ParameterPath;
use crate::safetensors_output::{Entry, write_entries};
use crate::{CheckpointError, Output};

/// Writes all float parameters of a module as a safetensors file that [`load`](crate::load) reads, in diffusers'
/// format: the names are those of the fields with `prefix` in front, the elements have type `dtype`. The matrices of
/// layers whose last name is in `pointwise` are written as kernels of 1x1 convolutions.
///
/// The parameters are read from their device, cast and written one by one. The memory needed is at most twice the
/// largest parameter in float32.
///
/// # Errors
/// Returns an error if a parameter contains NaN or infinity or is too large for `dtype`, or the file cannot be written.
/// An existing file is unchanged then.
pub fn save<M: Module>(
    module: &M,
    path: &Path,
    prefix: &str,
    dtype: DType,
    pointwise: &[&str],
) -> Result<(), CheckpointError> {
    let output = Output::create(path)?;
    let mut collect = Collect { path: ParameterPath::default(), prefix, dtype, pointwise, entries: Vec::new() };
    module.visit(&mut collect);
    write_entries(output, collect.entries)
}

/// Parameters that are scalars in files. burn has no tensors without dimensions.
const SCALARS: [&str; 1] = ["logit_scale"];

/// Lists parameters without reading them.
struct Collect<'a> {
    path: ParameterPath,
    prefix: &'a str,
    dtype: DType,
    pointwise: &'a [&'a str],
    entries: Vec<Entry<'static>>,
}

impl Collect<'_> {
    /// The shape in files of a parameter of `shape`.
    fn shape(&self, name: &str, shape: &[usize]) -> Vec<usize> {
        let is_pointwise = || name.rsplit('.').nth(1).is_some_and(|layer| self.pointwise.contains(&layer));
        match *shape {
            [1] if SCALARS.contains(&name) => Vec::new(),
            [rows, columns] if is_pointwise() => vec![rows, columns, 1, 1],
            _ => shape.to_vec(),
        }
    }
}

/// A parameter with the shape of the file.
fn read<const D: usize>(tensor: Tensor<D>, dtype: DType, shape: Vec<usize>) -> Result<TensorData, String> {
    let data = tensor.try_into_data().map_err(|error| format!("cannot be read back: {error}"))?;
    let (bytes, _, dtype) = cast(data, dtype)?.into_parts();
    TensorData::try_from_bytes(bytes, Shape::from(shape), dtype).map_err(|error| error.to_string())
}

impl ModuleVisitor for Collect<'_> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let (name, dtype, tensor) = (self.path.name(), self.dtype, param.val());
        let shape = self.shape(&name, &param.lazy_shape());
        self.entries.push(Entry {
            name: format!("{}{name}", self.prefix),
            dtype,
            shape: shape.clone(),
            data: Box::new(move || read(tensor, dtype, shape).map(Cow::Owned)),
        });
    }
}
