use burn::nn::GroupNorm;
use burn::tensor::Tensor;
use pyrograph_shaders::group_norm::STAGE;

use super::launch::{Launch, across};
use super::{Adapter, adapter};
use crate::Activation;

/// Pictures whose number of pixels is a multiple of four.
pub(crate) fn group_norm(x: &Tensor<4>, norm: &GroupNorm, activation: Activation) -> Option<Tensor<4>> {
    let Adapter { scalar, software } = adapter(x)?;
    let (gamma, beta) = (norm.gamma.as_ref()?.val(), norm.beta.as_ref()?.val());
    let [batch, channels, height, width] = x.dims();
    let (groups, pixels) = (norm.num_groups, height * width);
    if pixels % 4 != 0 || channels != norm.num_channels {
        return None;
    }
    let rows = batch * groups;
    let launch = Launch {
        stage: &STAGE,
        constants: STAGE.variants[usize::from(activation == Activation::Silu) + 2 * usize::from(software)],
        workgroups: across(rows, 1),
        sizes: vec![rows, groups, channels / groups, pixels, (norm.epsilon as f32).to_bits() as usize],
        shape: x.shape(),
        scalar,
    };
    Some(launch.on_three(x.clone(), gamma, beta))
}
