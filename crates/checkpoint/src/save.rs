//! Saving of modules.

use std::borrow::Cow;
use std::path::Path;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{DType, Shape, Tensor, TensorData};

use crate::cast::{cast, transpose};
use crate::parameter_path::ParameterPath;
use crate::safetensors_output::{Entry, write_entries};
use crate::{CheckpointError, Output};

/// Writes all float parameters of a module as a safetensors file that [`load`](crate::load) reads, in diffusers'
/// format: the names are those of the fields with `prefix` in front, the shapes are PyTorch's, the elements have type
/// `dtype`. Linear layers whose last name is in `pointwise` are written as the equivalent 1x1 convolutions.
///
/// The parameters are read from their device, cast and written one by one. The memory needed is at most twice the
/// largest parameter in float32.
///
/// # Errors
/// When a parameter contains NaN or infinity or is too large for `dtype`, or the file cannot be written. An existing
/// file is unchanged then.
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

/// The shape of a parameter in files, compared with its shape in the module.
#[derive(Clone, Copy)]
enum Layout {
    Same,
    Scalar,
    /// `[in, out]` to `[out, in]`.
    Matrix,
    /// `[in, out]` to `[out, in, 1, 1]`.
    Pointwise,
}

impl Collect<'_> {
    fn layout(&self, name: &str) -> Layout {
        let pointwise = || name.rsplit('.').nth(1).is_some_and(|layer| self.pointwise.contains(&layer));
        match self.path.is_matrix() {
            _ if SCALARS.contains(&name) => Layout::Scalar,
            true if pointwise() => Layout::Pointwise,
            true => Layout::Matrix,
            false => Layout::Same,
        }
    }
}

impl Layout {
    fn shape(self, shape: &[usize]) -> Vec<usize> {
        match self {
            Self::Same => shape.to_vec(),
            Self::Scalar => Vec::new(),
            Self::Matrix => vec![shape[1], shape[0]],
            Self::Pointwise => vec![shape[1], shape[0], 1, 1],
        }
    }

    fn arrange(self, data: TensorData) -> Result<TensorData, String> {
        let shape = Shape::from(self.shape(data.shape()));
        let data = match self {
            Self::Same | Self::Scalar => data,
            Self::Matrix | Self::Pointwise => {
                let [rows, columns] = [data.shape()[0], data.shape()[1]];
                transpose(data, [rows, columns])?
            }
        };
        let (bytes, _, dtype) = data.into_parts();
        TensorData::try_from_bytes(bytes, shape, dtype).map_err(|error| error.to_string())
    }
}

/// A parameter with the layout of the file.
fn read<const D: usize>(tensor: Tensor<D>, dtype: DType, layout: Layout) -> Result<TensorData, String> {
    let data = tensor.try_into_data().map_err(|error| format!("cannot be read back: {error}"))?;
    layout.arrange(cast(data, dtype)?)
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
        let layout = self.layout(&name);
        self.entries.push(Entry {
            name: format!("{}{name}", self.prefix),
            dtype,
            shape: layout.shape(&param.lazy_shape()),
            data: Box::new(move || read(tensor, dtype, layout).map(Cow::Owned)),
        });
    }
}
