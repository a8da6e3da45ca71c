mod gradient;

use burn::tensor::Tensor;
use rayon::prelude::*;

use super::autodiff::{Inputs, track};
use super::math;
use super::values::{Values, tensor};
use super::vectorized::vectorized;
use crate::LayerNorm;

/// Tokens that one thread works on at a time.
const TOKENS: usize = 64;

/// See [`crate::layer_norm`].
pub(crate) fn layer_norm(x: &Tensor<3>, norm: &LayerNorm) -> Option<Tensor<3>> {
    let width = x.dims()[2];
    let (gamma, beta) = (norm.weight.val(), norm.bias.val());
    let inputs = Inputs::new([track(x), track(&gamma), track(&beta)])?;
    let (values, gamma, beta) = (Values::contiguous(x)?, Values::contiguous(&gamma)?, Values::contiguous(&beta)?);
    if x.shape().num_elements() == 0 || norm.weight.dims() != [width] {
        return None;
    }
    let mut y = vec![0.0; x.shape().num_elements()];
    y.par_chunks_mut(TOKENS * width).zip(values.par_chunks(TOKENS * width)).for_each(|(y, x)| {
        normalize(x, &gamma[..width], &beta[..width], norm.epsilon as f32, y);
    });
    let y = tensor(y, x.dims(), x);
    Some(inputs.record(y, || gradient::LayerNormGradient { x: values, gamma, width, epsilon: norm.epsilon as f32 }))
}

vectorized! {
    /// Some tokens, `[tokens, width]`.
    fn normalize(x: &[f32], gamma: &[f32], beta: &[f32], epsilon: f32, y: &mut [f32]) {
        let width = gamma.len();
        for (x, y) in x.chunks_exact(width).zip(y.chunks_exact_mut(width)) {
            let [mean, scale] = statistics(x, epsilon);
            for (((y, x), gamma), beta) in y.iter_mut().zip(x).zip(gamma).zip(beta) {
                *y = (x - mean) * scale * gamma + beta;
            }
        }
    }
}

/// The mean of one token's values and the inverse of their standard deviation.
#[inline(always)]
fn statistics(x: &[f32], epsilon: f32) -> [f32; 2] {
    let mean = math::sum(x, |value| value) / x.len() as f32;
    let variance = math::sum(x, |value| (value - mean) * (value - mean)) / x.len() as f32;
    [mean, 1.0 / (variance + epsilon).sqrt()]
}
