use burn::config::Config;
use burn::module::{Module, Param};
use burn::nn::Initializer;
use burn::tensor::{Device, Tensor};

use crate::operand::{Operand, assert_alike};
use crate::{cpu, gpu, reference, upsample_nearest};

/// The weights of [`conv2d`], laid out as PyTorch's, and how they are moved over an image.
#[derive(Module, Debug)]
pub struct Conv2d {
    /// `[channels_out, channels_in, height, width]`.
    pub weight: Param<Tensor<4>>,
    /// `[channels_out]`.
    pub bias: Option<Param<Tensor<1>>>,
    /// Pixels down and to the right from one position to the next.
    pub stride: [usize; 2],
    /// Zeros at the top, left, bottom and right of the input.
    pub padding: [usize; 4],
}

/// The sizes of a [`Conv2d`] and its values before training.
#[derive(Config, Debug)]
pub struct Conv2dConfig {
    /// Channels of the input and of the output.
    pub channels: [usize; 2],
    /// Height and width of the kernel.
    pub kernel: [usize; 2],
    /// Pixels down and to the right from one position to the next. Default: 1.
    #[config(default = "[1, 1]")]
    pub stride: [usize; 2],
    /// Zeros at the top, left, bottom and right of the input. Default: none.
    #[config(default = "[0, 0, 0, 0]")]
    pub padding: [usize; 4],
    /// Whether a bias is added. Default: true.
    #[config(default = true)]
    pub bias: bool,
    /// The distribution of weights and bias. Default: PyTorch's, uniform within `1 / sqrt(channels_in * height * width)`.
    #[config(default = "crate::init::like_pytorch()")]
    pub initializer: Initializer,
}

impl Conv2dConfig {
    /// A layer whose parameters take their values when they are first used.
    pub fn init(&self, device: &Device) -> Conv2d {
        let ([channels_in, channels_out], [height, width]) = (self.channels, self.kernel);
        let (fan_in, fan_out) = (Some(channels_in * height * width), Some(channels_out * height * width));
        let weight = self.initializer.init_with([channels_out, channels_in, height, width], fan_in, fan_out, device);
        let bias = self.bias.then(|| self.initializer.init_with([channels_out], fan_in, fan_out, device));
        Conv2d { weight, bias, stride: self.stride, padding: self.padding }
    }
}

/// The convolution of `x` with the weights of `conv`, with its stride and padding.
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
