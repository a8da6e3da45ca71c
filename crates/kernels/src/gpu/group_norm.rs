use burn::tensor::Tensor;
use pyrograph_shaders::group_norm::{Parameters, Stage};
use pyrograph_shaders::{self as shaders, Lanes, Threads};

use super::adapter::{Adapter, Form, adapter};
use super::dispatch::{Tile, narrow};
use super::launch::Launch;
use crate::{Activation, GroupNorm};

/// See [`crate::group_norm`] and [`crate::group_norm_silu`].
pub(crate) fn group_norm(x: &Tensor<4>, norm: &GroupNorm, activation: Activation) -> Option<Tensor<4>> {
    let adapter = adapter(x)?;
    let [batch, channels, height, width] = x.dims();
    let (groups, pixels) = (norm.groups, height * width);
    let (rows, channels) = (batch * groups, channels / groups);
    let parameters = Parameters {
        rows: narrow(rows),
        groups: narrow(groups),
        channels: narrow(channels),
        pixels: narrow(pixels),
        epsilon: norm.epsilon as f32,
    };
    let stage = shaders::Stage::GroupNorm(choose(adapter, [channels, pixels], activation));
    let workgroups = Tile { rows: 1, columns: 1 }.across([1, rows])?;
    let launch = Launch::new(stage, workgroups, x.dims()).with_parameters(&parameters);
    Some(launch.on_three(x.clone(), norm.weight.val(), norm.bias.val(), None))
}

/// The stage that suits the adapter and a group of so many channels and pixels.
fn choose(adapter: Adapter, [channels, pixels]: [usize; 2], activation: Activation) -> Stage {
    let lanes = Lanes::of(pixels);
    // Mesa's software adapters end an invocation's loops after 65,535 turns in all.
    let turns = channels * pixels / lanes.count();
    let few = adapter.form == Form::Software && turns < 1 << 18;
    let threads = if few { Threads::Few } else { Threads::Many };
    Stage { silu: activation == Activation::Silu, threads, lanes }
}
