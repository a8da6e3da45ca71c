use burn::config::Config;
use burn::module::{Module, Param};
use burn::nn::Initializer;
use burn::tensor::{Device, Tensor};

use crate::{cpu, gpu, reference};

/// The weights of [`group_norm`], named as PyTorch's.
#[derive(Module, Debug)]
pub struct GroupNorm {
    /// Scale, `[channels]`.
    pub weight: Param<Tensor<1>>,
    /// Shift, `[channels]`.
    pub bias: Param<Tensor<1>>,
    /// Groups that the channels are divided into.
    pub groups: usize,
    /// Added to the variance.
    pub epsilon: f64,
}

/// The sizes of a [`GroupNorm`].
#[derive(Config, Debug)]
pub struct GroupNormConfig {
    /// Groups that the channels are divided into.
    pub groups: usize,
    /// Channels, a multiple of the groups.
    pub channels: usize,
    /// Added to the variance. Default: 1e-5.
    #[config(default = 1e-5)]
    pub epsilon: f64,
}

impl GroupNormConfig {
    /// A layer with scale one and shift zero.
    pub fn init(&self, device: &Device) -> GroupNorm {
        GroupNorm {
            weight: Initializer::Ones.init([self.channels], device),
            bias: Initializer::Zeros.init([self.channels], device),
            groups: self.groups,
            epsilon: self.epsilon,
        }
    }
}

/// The weights of [`layer_norm`], named as PyTorch's.
#[derive(Module, Debug)]
pub struct LayerNorm {
    /// Scale, `[width]`.
    pub weight: Param<Tensor<1>>,
    /// Shift, `[width]`.
    pub bias: Param<Tensor<1>>,
    /// Added to the variance.
    pub epsilon: f64,
}

impl LayerNorm {
    /// A layer with scale one and shift zero.
    pub fn new(width: usize, epsilon: f64, device: &Device) -> Self {
        Self {
            weight: Initializer::Ones.init([width], device),
            bias: Initializer::Zeros.init([width], device),
            epsilon,
        }
    }
}

/// The activation after a normalisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Activation {
    Identity,
    Silu,
}

/// Group normalisation ([Wu and He](https://arxiv.org/abs/1803.08494)) with float32 statistics; the result has the
/// dtype of `x`.
///
/// # Shapes
/// - `x` and output: `[batch, channels, height, width]`
pub fn group_norm(x: Tensor<4>, norm: &GroupNorm) -> Tensor<4> {
    cpu::group_norm(&x, norm, Activation::Identity)
        .or_else(|| gpu::group_norm(&x, norm, Activation::Identity))
        .unwrap_or_else(|| reference::group_norm(x, norm))
}

/// [`group_norm`] followed by [`silu`](crate::silu), the pair that opens every convolution of a residual block.
///
/// # Shapes
/// - `x` and output: `[batch, channels, height, width]`
pub fn group_norm_silu(x: Tensor<4>, norm: &GroupNorm) -> Tensor<4> {
    cpu::group_norm(&x, norm, Activation::Silu)
        .or_else(|| gpu::group_norm(&x, norm, Activation::Silu))
        .unwrap_or_else(|| reference::group_norm_silu(x, norm))
}

/// Layer normalisation ([Ba et al.](https://arxiv.org/abs/1607.06450)) over the last dimension with float32
/// statistics; the result has the dtype of `x`.
///
/// # Shapes
/// - `x` and output: `[batch, tokens, width]`
pub fn layer_norm(x: Tensor<3>, norm: &LayerNorm) -> Tensor<3> {
    cpu::layer_norm(&x, norm).or_else(|| gpu::layer_norm(&x, norm)).unwrap_or_else(|| reference::layer_norm(x, norm))
}
