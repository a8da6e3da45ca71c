use burn::nn::GroupNorm;
use burn::tensor::Tensor;
use pyrograph_shaders::Epilogue;
use pyrograph_shaders::group_norm::STAGE;

use super::adapter::{Adapter, Form, adapter};
use super::dispatch::Tile;
use super::launch::Launch;
use crate::Activation;

/// Pictures whose number of pixels is a multiple of four.
pub(crate) fn group_norm(x: &Tensor<4>, norm: &GroupNorm, activation: Activation) -> Option<Tensor<4>> {
    let Adapter { scalar, form, .. } = adapter(x)?;
    let (gamma, beta) = (norm.gamma.as_ref()?.val(), norm.beta.as_ref()?.val());
    let [batch, channels, height, width] = x.dims();
    let (groups, pixels) = (norm.num_groups, height * width);
    if pixels % 4 != 0 || channels != norm.num_channels {
        return None;
    }
    let rows = batch * groups;
    // Mesa's software adapters end an invocation's loops after 65,535 turns in all.
    let few_threads = form == Form::Software && channels / groups * pixels < 1 << 20;
    let variant = usize::from(activation == Activation::Silu) + 2 * usize::from(few_threads);
    let launch = Launch {
        stage: &STAGE,
        constants: STAGE.variants[variant],
        epilogue: Epilogue::Plain,
        workgroups: Tile { rows: 1, columns: 1 }.across([1, rows])?,
        sizes: vec![rows, groups, channels / groups, pixels, (norm.epsilon as f32).to_bits() as usize],
        shape: x.shape(),
        scalar,
    };
    Some(launch.on_three(x.clone(), gamma, beta, None))
}
