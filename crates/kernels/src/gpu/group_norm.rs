use burn::tensor::Tensor;
use pyrograph_shaders as shaders;
use pyrograph_shaders::group_norm::{Parameters, Stage, Threads};

use super::adapter::{Adapter, Form, adapter};
use super::dispatch::{Tile, narrow};
use super::launch::Launch;
use crate::{Activation, GroupNorm};

/// Images whose number of pixels is a multiple of four.
pub(crate) fn group_norm(x: &Tensor<4>, norm: &GroupNorm, activation: Activation) -> Option<Tensor<4>> {
    let adapter = adapter(x)?;
    let [batch, channels, height, width] = x.dims();
    let (groups, pixels) = (norm.groups, height * width);
    if pixels % 4 != 0 {
        return None;
    }
    let (rows, channels) = (batch * groups, channels / groups);
    let parameters = Parameters {
        rows: narrow(rows),
        groups: narrow(groups),
        channels: narrow(channels),
        pixels: narrow(pixels),
        epsilon: norm.epsilon as f32,
    };
    let stage = shaders::Stage::GroupNorm(choose(adapter, channels * pixels, activation));
    let workgroups = Tile { rows: 1, columns: 1 }.across([1, rows])?;
    let launch = Launch::new(stage, workgroups, x.dims()).with_parameters(&parameters);
    Some(launch.on_three(x.clone(), norm.weight.val(), norm.bias.val(), None))
}

/// The stage that suits the adapter and the values of a group.
fn choose(adapter: Adapter, values: usize, activation: Activation) -> Stage {
    // Mesa's software adapters end an invocation's loops after 65,535 turns in all.
    let few = adapter.form == Form::Software && values < 1 << 20;
    let threads = if few { Threads::Few } else { Threads::Many };
    Stage { silu: activation == Activation::Silu, threads }
}
