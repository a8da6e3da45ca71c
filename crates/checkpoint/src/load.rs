//! Loading of weights into modules.

use std::collections::BTreeSet;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{DType, Shape, Tensor, TensorData};

use crate::cast::cast;
use crate::element_type::WEIGHTS;
use crate::parameter_path::ParameterPath;
use crate::{CheckpointError, Weights};

/// The result of loading.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LoadReport {
    /// The number of parameters that were filled.
    pub loaded: usize,
    /// Names in the file for which the module has no parameter.
    pub unused: Vec<String>,
}

/// Fills all float parameters of a module with the tensors of the same names, cast to `dtype`.
///
/// Names and shapes are those of the module's fields, which the layers of `pyrograph-kernels` share with PyTorch. burn's `Linear` is
/// transposed and must not be loaded with this. A matrix can be the kernel `[out, in, 1, 1]` of a 1x1 convolution in the
/// file, and a scalar, such as CLIP's `logit_scale`, fills a parameter of shape `[1]`.
///
/// Names, types and shapes are checked before anything is read. Then the tensors are read, cast and moved to the
/// module's device one by one. The memory needed is the module in `dtype` and at most three times the largest tensor.
/// Parameters that were never used are not initialised first.
///
/// # Errors
/// Returns an error if a tensor is missing, has another shape or an integer type, cannot be read, or contains NaN,
/// infinity or numbers too large for `dtype`. The module is unchanged then.
///
/// # Panics
/// When `dtype` is not a float type.
pub fn load<M: Module>(module: &mut M, weights: &dyn Weights, dtype: DType) -> Result<LoadReport, CheckpointError> {
    assert!(dtype.is_float(), "weights are loaded as a float type, not as {dtype:?}");
    let mut check = Check { path: ParameterPath::default(), weights, found: BTreeSet::new(), problems: Vec::new() };
    module.visit(&mut check);
    let found = check.finish()?;
    let mut fill = Fill { path: ParameterPath::default(), weights, dtype, error: None };
    let filled = module.clone().map(&mut fill);
    fill.error.map_or(Ok(()), Err)?;
    *module = filled;
    let unused = weights.names().into_iter().filter(|name| !found.contains(*name)).map(str::to_owned).collect();
    Ok(LoadReport { loaded: found.len(), unused })
}

/// Compares the parameters of a module with the tensors of a file.
struct Check<'a> {
    path: ParameterPath,
    weights: &'a dyn Weights,
    found: BTreeSet<String>,
    problems: Vec<CheckpointError>,
}

impl Check<'_> {
    fn check(&mut self, shape: Shape) {
        let name = self.path.name();
        let problem = match self.weights.info(&name) {
            None => Some("is missing".to_owned()),
            Some(info) if !info.dtype.is_weight() => Some(format!("has elements of type {}; {WEIGHTS}", info.dtype)),
            Some(info) if !fits(&info.shape, &shape) => {
                let wanted = shape.to_vec();
                Some(format!("has the shape {:?}; the model's configuration asks for {wanted:?}", info.shape))
            }
            Some(_) => None,
        };
        match problem {
            Some(problem) => self.problems.push(CheckpointError::tensor(self.weights.file(), &name, problem)),
            None => drop(self.found.insert(name)),
        }
    }

    /// The first problem, with the number of the others.
    fn finish(mut self) -> Result<BTreeSet<String>, CheckpointError> {
        let others = self.problems.len().saturating_sub(1);
        match self.problems.drain(..).next() {
            None => Ok(self.found),
            Some(CheckpointError::Tensor { file, tensor, problem }) if others > 0 => {
                let problem = format!("{problem} ({others} more tensors are missing or of other types or shapes)");
                Err(CheckpointError::Tensor { file, tensor, problem })
            }
            Some(problem) => Err(problem),
        }
    }
}

impl ModuleVisitor for Check<'_> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.check(param.lazy_shape());
    }
}

/// Whether a tensor of shape `found` in a file fills a parameter of `shape`: the same shape, the kernel of a 1x1 convolution for a
/// matrix, or a scalar for one element, because burn has no tensors without dimensions.
fn fits(found: &[usize], shape: &[usize]) -> bool {
    let kernel = shape.len() == 2 && found.strip_suffix(&[1, 1]) == Some(shape);
    found == shape || kernel || found.is_empty() && shape == [1]
}

/// Replaces parameters, up to the first error.
struct Fill<'a> {
    path: ParameterPath,
    weights: &'a dyn Weights,
    dtype: DType,
    error: Option<CheckpointError>,
}

impl Fill<'_> {
    fn read<const D: usize>(&self, param: &Param<Tensor<D>>) -> Result<Tensor<D>, CheckpointError> {
        let name = self.path.name();
        let wrong = |problem: String| CheckpointError::tensor(self.weights.file(), &name, problem);
        let shape = param.lazy_shape();
        let data = cast(self.weights.read(&name)?, self.dtype).map_err(wrong)?;
        if !fits(data.shape(), &shape) {
            return Err(wrong(format!("was read with the shape {:?} instead of {shape:?}", data.shape())));
        }
        let (bytes, _, dtype) = data.into_parts();
        let data = TensorData::try_from_bytes(bytes, shape, dtype).map_err(|error| wrong(error.to_string()))?;
        let device = param.lazy_device();
        let tensor = Tensor::from_data(data, (&device, self.dtype));
        // The queue of the device can contain dozens of tensors, which stay in memory until it is submitted.
        device.flush().map_err(|error| wrong(error.to_string()))?;
        Ok(tensor)
    }
}

impl ModuleMapper for Fill<'_> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if self.error.is_some() {
            return param;
        }
        match self.read(&param) {
            Ok(tensor) => {
                let id = param.id;
                param.transform_for_load(tensor, id)
            }
            Err(error) => {
                self.error = Some(error);
                param
            }
        }
    }
}
