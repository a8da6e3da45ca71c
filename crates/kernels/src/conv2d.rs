use burn::nn::conv::Conv2d;
use burn::tensor::Tensor;

use crate::operand::{Operand, assert_alike};
use crate::{cpu, gpu, reference, upsample_nearest};

/// The convolution of `x` with the weights of `conv`, with its stride, padding, dilation and groups.
///
/// # Shapes
/// - `x`: `[batch, channels_in, height, width]`
/// - output: `[batch, channels_out, height_out, width_out]`
pub fn conv2d(x: Tensor<4>, conv: &Conv2d) -> Tensor<4> {
    cpu::conv2d(&x, conv).or_else(|| gpu::conv2d(&x, conv, None, None)).unwrap_or_else(|| reference::conv2d(x, conv))
}

/// [`conv2d`], and `addend` on its output: a residual connection, or a time embedding for every channel.
///
/// # Shapes
/// - `x`: `[batch, channels_in, height, width]`
/// - `addend`: `[batch or 1, channels_out, height_out, width_out]` or `[batch or 1, channels_out, 1, 1]`
/// - output: `[batch, channels_out, height_out, width_out]`
pub fn conv2d_add(x: Tensor<4>, conv: &Conv2d, addend: Tensor<4>) -> Tensor<4> {
    assert_alike("conv2d_add", [Operand::new("x", &x), Operand::new("addend", &addend)]);
    gpu::conv2d(&x, conv, None, Some(&addend)).unwrap_or_else(|| conv2d(x, conv) + addend)
}

/// [`upsample_nearest`] to `size = [height, width]`, then [`conv2d`]; twice the size, or one pixel less, is never stored
/// on a GPU.
///
/// # Shapes
/// - `x`: `[batch, channels_in, height_in, width_in]`
/// - output: `[batch, channels_out, height_out, width_out]` of the convolution of `size`
pub fn upsample_conv2d(x: Tensor<4>, size: [usize; 2], conv: &Conv2d) -> Tensor<4> {
    gpu::conv2d(&x, conv, Some(size), None).unwrap_or_else(|| conv2d(upsample_nearest(x, size), conv))
}
