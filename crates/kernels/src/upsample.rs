use burn::tensor::Tensor;

use crate::reference;

/// Doubles height and width by repeating every pixel.
///
/// # Shapes
/// - `x`: `[batch, channels, height, width]`
/// - output: `[batch, channels, 2 height, 2 width]`
pub fn upsample_nearest_2x(x: Tensor<4>) -> Tensor<4> {
    reference::upsample_nearest_2x(x)
}

/// Resizes to `size = [height, width]` by taking the nearest pixel towards the origin, `floor(i * in / out)`.
///
/// # Shapes
/// - `x`: `[batch, channels, height_in, width_in]`
/// - output: `[batch, channels, size[0], size[1]]`
pub fn upsample_nearest(x: Tensor<4>, size: [usize; 2]) -> Tensor<4> {
    reference::upsample_nearest(x, size)
}
