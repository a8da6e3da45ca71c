use burn::nn::conv::Conv2d;
use burn::tensor::Tensor;

use crate::{cpu, gpu, reference};

/// The convolution of `x` with the weights of `conv`, with its stride, padding, dilation and groups.
///
/// # Shapes
/// - `x`: `[batch, channels_in, height, width]`
/// - output: `[batch, channels_out, height_out, width_out]`
pub fn conv2d(x: Tensor<4>, conv: &Conv2d) -> Tensor<4> {
    cpu::conv2d(&x, conv).or_else(|| gpu::conv2d(&x, conv)).unwrap_or_else(|| reference::conv2d(x, conv))
}
