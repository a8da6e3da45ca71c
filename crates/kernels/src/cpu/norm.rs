mod gradient;

use burn::tensor::Tensor;
use rayon::prelude::*;

use super::autodiff::{Inputs, track};
use super::math;
use super::values::{Values, tensor};
use super::vectorized::vectorized;
use crate::{Activation, GroupNorm};

/// Values that are added up in float32; their sums are added up in float64.
const RUN: usize = 4096;

/// See [`crate::group_norm`] and [`crate::group_norm_silu`].
pub(crate) fn group_norm(x: &Tensor<4>, norm: &GroupNorm, activation: Activation) -> Option<Tensor<4>> {
    let [_, channels, height, width] = x.dims();
    let (gamma, beta) = (norm.weight.val(), norm.bias.val());
    let inputs = Inputs::new([track(x), track(&gamma), track(&beta)])?;
    let (values, gamma, beta) = (Values::contiguous(x)?, Values::contiguous(&gamma)?, Values::contiguous(&beta)?);
    if x.shape().num_elements() == 0 {
        return None;
    }
    let mut y = vec![0.0; x.shape().num_elements()];
    let per_group = channels / norm.groups;
    let (area, epsilon) = (height * width, norm.epsilon);
    let groups = y.par_chunks_exact_mut(per_group * area).zip(values.par_chunks_exact(per_group * area));
    groups.enumerate().for_each(|(i, (y, x))| {
        let channels = i % norm.groups * per_group..(i % norm.groups + 1) * per_group;
        normalize(x, y, &gamma[channels.clone()], &beta[channels], area, epsilon, activation);
    });
    let y = tensor(y, x.dims(), x);
    Some(inputs.record(y, || gradient::GroupNormGradient {
        x: values,
        gamma,
        beta,
        per_group,
        area,
        epsilon,
        activation,
    }))
}

vectorized! {
    /// One group of one image, `[channels, area]`.
    fn normalize(
        x: &[f32],
        y: &mut [f32],
        gamma: &[f32],
        beta: &[f32],
        area: usize,
        epsilon: f64,
        activation: Activation,
    ) {
        let average = mean(x, |value| value);
        let centre = average as f32;
        let variance = mean(x, |value| (value - centre) * (value - centre));
        let channels = x.chunks_exact(area).zip(y.chunks_exact_mut(area)).zip(gamma.iter().zip(beta));
        for ((x, y), (gamma, beta)) in channels {
            let scale = f64::from(*gamma) / (variance + epsilon).sqrt();
            let shift = (f64::from(*beta) - average * scale) as f32;
            let scale = scale as f32;
            match activation {
                Activation::Identity => y.iter_mut().zip(x).for_each(|(y, x)| *y = scale * x + shift),
                Activation::Silu => y.iter_mut().zip(x).for_each(|(y, x)| *y = math::silu(scale * x + shift)),
            }
        }
    }
}

/// The mean of `f` over the values.
#[inline(always)]
fn mean(x: &[f32], f: impl Fn(f32) -> f32) -> f64 {
    x.chunks(RUN).map(|run| f64::from(math::sum(run, &f))).sum::<f64>() / x.len() as f64
}
