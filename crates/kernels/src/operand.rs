use std::fmt::{self, Display, Formatter};

use burn::tensor::{DType, Device, Tensor};

/// The properties that all tensors of an operation must share: neither the stages nor burn's element-wise operations convert.
#[derive(Debug)]
pub(crate) struct Operand {
    name: &'static str,
    dtype: DType,
    device: Device,
}

impl Operand {
    pub(crate) fn new<const D: usize>(name: &'static str, tensor: &Tensor<D>) -> Self {
        Self { name, dtype: tensor.dtype(), device: tensor.device() }
    }
}

impl Display for Operand {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is {:?} on {:?}", self.name, self.dtype, self.device)
    }
}

/// Panics if the tensors of an operation differ in type or device.
pub(crate) fn assert_alike(operation: &str, operands: impl IntoIterator<Item = Operand>) {
    let mut operands = operands.into_iter();
    let Some(first) = operands.next() else { return };
    for other in operands {
        let alike = other.dtype == first.dtype && other.device == first.device;
        assert!(alike, "{operation}: {first}, but {other}; cast or move one of them");
    }
}
