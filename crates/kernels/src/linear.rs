use burn::nn::Linear;
use burn::tensor::Tensor;

use crate::{cpu, gpu, reference};

/// `x W + b`, over the last dimension.
///
/// # Shapes
/// - `x`: `[..., d_input]`
/// - output: `[..., d_output]`
pub fn linear<const D: usize>(x: Tensor<D>, layer: &Linear) -> Tensor<D> {
    cpu::linear(&x, layer).or_else(|| gpu::linear(&x, layer)).unwrap_or_else(|| reference::linear(x, layer))
}

/// Gated GELU: `x` is projected to twice the width; the first half is multiplied by the exact GELU of the second
/// ([Shazeer](https://arxiv.org/abs/2002.05202)).
///
/// # Shapes
/// - `x`: `[batch, tokens, d_input]`
/// - output: `[batch, tokens, d_output / 2]`
pub fn geglu(x: Tensor<3>, proj: &Linear) -> Tensor<3> {
    cpu::geglu(&x, proj).unwrap_or_else(|| reference::gate(linear(x, proj)))
}
