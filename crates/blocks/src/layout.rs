//! Conversion of feature maps to token sequences and back.

use burn::tensor::Tensor;

/// A feature map as a sequence of tokens, row by row.
///
/// # Shapes
/// `[batch, channels, height, width]` -> `[batch, height * width, channels]`
pub fn to_tokens(x: Tensor<4>) -> Tensor<3> {
    x.flatten(2, 3).swap_dims(1, 2)
}

/// The inverse of [`to_tokens`] for a feature map of `[height, width]`.
///
/// # Shapes
/// `[batch, height * width, channels]` -> `[batch, channels, height, width]`
pub fn from_tokens(x: Tensor<3>, [height, width]: [usize; 2]) -> Tensor<4> {
    let [batch, _, channels] = x.dims();
    x.swap_dims(1, 2).reshape([batch, channels, height, width])
}
