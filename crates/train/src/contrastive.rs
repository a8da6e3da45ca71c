use burn::tensor::{Tensor, activation::log_softmax};

/// CLIP's symmetric cross-entropy (Radford et al., <https://arxiv.org/abs/2103.00020>, figure 3): of a batch of pairs every
/// image has to find its text, and every text its image.
///
/// # Shapes
/// - `images`, `texts`: `[batch, width]`, of any length
/// - `logit_scale`: `[1]`, the logarithm of the inverse temperature
/// - result: `[1]`
pub fn contrastive_loss(images: Tensor<2>, texts: Tensor<2>, logit_scale: Tensor<1>) -> Tensor<1> {
    let batch = images.dims()[0];
    let similarity = unit(images).matmul(unit(texts).transpose()) * logit_scale.exp().reshape([1, 1]); // [batch, batch]
    let diagonal: Tensor<2> = Tensor::eye(batch, &similarity.device());
    let found = |along: usize| -(log_softmax(similarity.clone(), along) * diagonal.clone()).sum() / batch as f64;
    (found(0) + found(1)) * 0.5
}

/// Rows of length one.
fn unit(x: Tensor<2>) -> Tensor<2> {
    let length = x.clone().square().sum_dim(1).sqrt();
    x / length
}
