//! Modules to files.

use std::path::Path;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{DType, Shape, Tensor, TensorData};

use crate::cast::{cast, transpose};
use crate::parameter_path::ParameterPath;
use crate::{CheckpointError, save_tensors};

/// Writes all float parameters of a module as a safetensors file that [`load`](crate::load) reads, as diffusers does: the
/// names of the fields behind `prefix`, PyTorch's shapes, elements of type `dtype`. Linear layers whose last name is in
/// `pointwise` are written as the 1x1 convolutions that they equal. No half-written file is ever there.
///
/// # Errors
/// When a parameter holds NaN or infinity or is too large for `dtype`, or the file cannot be written.
pub fn save<M: Module>(
    module: &M,
    path: &Path,
    prefix: &str,
    dtype: DType,
    pointwise: &[&str],
) -> Result<(), CheckpointError> {
    let mut collect = Collect { path: ParameterPath::default(), prefix, dtype, pointwise, tensors: Vec::new() };
    module.visit(&mut collect);
    let named = |(name, tensor): (String, Result<TensorData, String>)| match tensor {
        Ok(tensor) => Ok((name, tensor)),
        Err(problem) => Err(CheckpointError::tensor(&path.display().to_string(), &name, problem)),
    };
    let tensors = collect.tensors.into_iter().map(named).collect::<Result<Vec<_>, _>>()?;
    let tensors: Vec<(&str, TensorData)> = tensors.iter().map(|(name, data)| (name.as_str(), data.clone())).collect();
    save_tensors(path, &tensors)
}

/// Parameters that have no dimensions in files; burn has no such tensors.
const SCALARS: [&str; 1] = ["logit_scale"];

struct Collect<'a> {
    path: ParameterPath,
    prefix: &'a str,
    dtype: DType,
    pointwise: &'a [&'a str],
    tensors: Vec<(String, Result<TensorData, String>)>,
}

impl Collect<'_> {
    fn read<const D: usize>(&self, param: &Param<Tensor<D>>) -> Result<TensorData, String> {
        let data = param.val().try_into_data().map_err(|error| format!("cannot be read back: {error}"))?;
        let data = cast(data, self.dtype)?;
        let name = self.path.name();
        if SCALARS.contains(&name.as_str()) {
            return reshape(data, Shape::new([]));
        }
        if !self.path.is_matrix() {
            return Ok(data);
        }
        let [rows, columns] = [data.shape()[0], data.shape()[1]];
        let data = transpose(data, [rows, columns])?;
        let is_pointwise = name.rsplit('.').nth(1).is_some_and(|layer| self.pointwise.contains(&layer));
        if is_pointwise { reshape(data, Shape::new([columns, rows, 1, 1])) } else { Ok(data) }
    }
}

fn reshape(data: TensorData, shape: Shape) -> Result<TensorData, String> {
    let (bytes, _, dtype) = data.into_parts();
    TensorData::try_from_bytes(bytes, shape, dtype).map_err(|error| error.to_string())
}

impl ModuleVisitor for Collect<'_> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.tensors.push((format!("{}{}", self.prefix, self.path.name()), self.read(param)));
    }
}
