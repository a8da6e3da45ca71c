use std::ops::Deref;

use burn::backend::Flex;
use burn::backend::tensor::FloatTensor;
use burn::tensor::{DType, FloatDType, Tensor, TensorData};

use super::autodiff::track;

/// The float32 values of a tensor on the CPU backend, where they are shared.
#[derive(Clone, Debug)]
pub(super) struct Values(FloatTensor<Flex>);

impl Values {
    /// The values of a float32 tensor.
    pub(super) fn new(tensor: FloatTensor<Flex>) -> Self {
        Self(tensor)
    }

    /// The values in row-major order; copied only when the tensor is a view or has another float type.
    pub(super) fn contiguous<const D: usize>(x: &Tensor<D>) -> Option<Self> {
        Self::strided(x).map(Self::into_contiguous)
    }

    /// The same in row-major order; copied only when they are a view.
    pub(super) fn into_contiguous(self) -> Self {
        Self(self.0.to_contiguous())
    }

    /// The values as they lie in memory, to be read with [`Values::strides`]. Autodiff does not see what is done with them.
    pub(super) fn strided<const D: usize>(x: &Tensor<D>) -> Option<Self> {
        let plain = x.clone().try_into_primitive::<Flex>();
        let x = plain.ok().or_else(|| track(x).map(|x| x.into_primitive()))?;
        match x.dtype() {
            DType::F32 => Some(Self(x)),
            DType::F16 | DType::BF16 => {
                let wide = Tensor::<D>::from_primitive::<Flex>(x).cast(FloatDType::F32);
                wide.try_into_primitive::<Flex>().ok().map(Self)
            }
            _ => None,
        }
    }

    /// Steps between neighbours along every dimension, or `None` where one runs backwards.
    pub(super) fn strides<const D: usize>(&self) -> Option<[usize; D]> {
        let strides: Vec<usize> = self.0.layout().strides().iter().map_while(|&step| step.try_into().ok()).collect();
        strides.try_into().ok()
    }
}

impl Deref for Values {
    type Target = [f32];

    /// From the first value on; a view may leave values between and after its own.
    fn deref(&self) -> &[f32] {
        &self.0.storage::<f32>()[self.0.layout().start_offset()..]
    }
}

/// A tensor of these values on the device and in the float type of `like`.
pub(super) fn tensor<const D: usize, const L: usize>(
    values: Vec<f32>,
    shape: [usize; D],
    like: &Tensor<L>,
) -> Tensor<D> {
    let tensor = Tensor::from_data(TensorData::new(values, shape), (&like.device(), DType::F32));
    if like.dtype() == DType::F32 { tensor } else { tensor.cast(FloatDType::from(like.dtype())) }
}
