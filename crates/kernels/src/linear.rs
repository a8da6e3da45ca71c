use burn::config::Config;
use burn::module::{Module, Param};
use burn::nn::Initializer;
use burn::tensor::{Device, Tensor};

use crate::operand::{Operand, assert_alike};
use crate::{cpu, gpu, reference};

/// The weights of [`linear`], laid out as PyTorch's.
#[derive(Module, Debug)]
pub struct Linear {
    /// `[d_output, d_input]`.
    pub weight: Param<Tensor<2>>,
    /// `[d_output]`.
    pub bias: Option<Param<Tensor<1>>>,
}

/// The widths of a [`Linear`] and its values before training.
#[derive(Config, Debug)]
pub struct LinearConfig {
    /// Width of the input.
    pub d_input: usize,
    /// Width of the output.
    pub d_output: usize,
    /// Whether a bias is added. Default: true.
    #[config(default = true)]
    pub bias: bool,
    /// The distribution of weights and bias. Default: PyTorch's, uniform within `1 / sqrt(d_input)`.
    #[config(default = "crate::init::like_pytorch()")]
    pub initializer: Initializer,
}

impl LinearConfig {
    /// A layer whose parameters take their values when they are first used.
    pub fn init(&self, device: &Device) -> Linear {
        let (fan_in, fan_out) = (Some(self.d_input), Some(self.d_output));
        let weight = self.initializer.init_with([self.d_output, self.d_input], fan_in, fan_out, device);
        let bias = self.bias.then(|| self.initializer.init_with([self.d_output], fan_in, fan_out, device));
        Linear { weight, bias }
    }
}

/// `x W^T + b`, over the last dimension.
///
/// # Shapes
/// - `x`: `[..., d_input]`
/// - output: `[..., d_output]`
pub fn linear<const D: usize>(x: Tensor<D>, layer: &Linear) -> Tensor<D> {
    cpu::linear(&x, layer).or_else(|| gpu::linear(&x, layer, None)).unwrap_or_else(|| reference::linear(x, layer))
}

/// [`linear`], and `addend` on its output, such as a residual connection.
///
/// # Shapes
/// - `x`: `[..., d_input]`
/// - `addend` and output: `[..., d_output]`
pub fn linear_add<const D: usize>(x: Tensor<D>, layer: &Linear, addend: Tensor<D>) -> Tensor<D> {
    assert_alike("linear_add", [Operand::new("x", &x), Operand::new("addend", &addend)]);
    gpu::linear(&x, layer, Some(&addend)).unwrap_or_else(|| linear(x, layer) + addend)
}

/// Gated GELU: `x` is projected to twice the width; the first half is multiplied by the exact GELU of the second
/// ([Shazeer](https://arxiv.org/abs/2002.05202)).
///
/// # Shapes
/// - `x`: `[batch, tokens, d_input]`
/// - output: `[batch, tokens, d_output / 2]`
pub fn geglu(x: Tensor<3>, proj: &Linear) -> Tensor<3> {
    cpu::geglu(&x, proj).or_else(|| gpu::geglu(&x, proj)).unwrap_or_else(|| gate(linear(x, proj)))
}

/// The left half of the columns times the GELU of the right half.
///
/// # Shapes
/// - `x`: `[batch, tokens, 2 width]`
/// - output: `[batch, tokens, width]`
fn gate(x: Tensor<3>) -> Tensor<3> {
    cpu::gate(&x).unwrap_or_else(|| reference::gate(x))
}
