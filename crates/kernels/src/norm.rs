use burn::module::{Module, Param};
use burn::nn::{GroupNorm, Initializer};
use burn::tensor::{Device, Tensor};

use crate::{cpu, gpu, reference};

/// The weights of [`layer_norm`]. burn's own layer keeps its epsilon to itself.
#[derive(Module, Debug)]
pub struct LayerNorm {
    /// Scale, `[width]`.
    pub gamma: Param<Tensor<1>>,
    /// Shift, `[width]`.
    pub beta: Option<Param<Tensor<1>>>,
    /// Added to the variance.
    pub epsilon: f64,
}

impl LayerNorm {
    /// A layer with scale one and shift zero.
    pub fn new(width: usize, epsilon: f64, device: &Device) -> Self {
        Self {
            gamma: Initializer::Ones.init([width], device),
            beta: Some(Initializer::Zeros.init([width], device)),
            epsilon,
        }
    }
}

/// What follows a normalisation.
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
