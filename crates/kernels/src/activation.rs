use burn::tensor::Tensor;

use crate::reference;

/// `x * sigmoid(x)`, also called swish ([Hendrycks and Gimpel](https://arxiv.org/abs/1606.08415)).
pub fn silu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    reference::silu(x)
}

/// `x * Phi(x)` with the exact normal distribution function, not its tanh approximation
/// ([Hendrycks and Gimpel](https://arxiv.org/abs/1606.08415)).
pub fn gelu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    reference::gelu(x)
}

/// `x * sigmoid(1.702 x)`, the approximation of GELU that OpenAI's CLIP was trained with.
pub fn quick_gelu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    reference::quick_gelu(x)
}
