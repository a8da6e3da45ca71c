//! Classifier-free guidance.

use burn::tensor::Tensor;

/// Moves the prediction away from that of the negative prompt (Ho and Salimans 2022,
/// <https://arxiv.org/abs/2207.12598>), then pulls its contrast back by `rescale` (Lin et al. 2023,
/// <https://arxiv.org/abs/2305.08891>, equations 15 and 16).
///
/// # Shapes
/// `[2 * batch, channels, height, width]`, the negative prompt's half first -> `[batch, channels, height, width]`
pub(crate) fn guide(prediction: Tensor<4>, scale: f64, rescale: f64) -> Tensor<4> {
    let halves = prediction.chunk(2, 0);
    let (negative, positive) = (halves[0].clone(), halves[1].clone());
    let guided = negative.clone() + (positive.clone() - negative) * scale;
    if rescale == 0.0 {
        return guided;
    }
    let rescaled = guided.clone() * (deviation(positive) / deviation(guided.clone()));
    rescaled * rescale + guided * (1.0 - rescale)
}

/// The standard deviation of each picture of the batch.
///
/// # Shapes
/// `[batch, channels, height, width]` -> `[batch, 1, 1, 1]`
fn deviation(x: Tensor<4>) -> Tensor<4> {
    let variance: Tensor<2> = x.flatten::<2>(1, 3).var(1); // [batch, 1]
    variance.sqrt().unsqueeze_dims(&[2, 3])
}
