use burn::tensor::Tensor;
use pyrograph_shaders::layer_norm::{Parameters, Stage};
use pyrograph_shaders::{self as shaders, Lanes, Threads};

use super::adapter::{Adapter, Form, adapter};
use super::dispatch::{Tile, narrow};
use super::launch::Launch;
use crate::LayerNorm;

/// See [`crate::layer_norm`].
pub(crate) fn layer_norm(x: &Tensor<3>, norm: &LayerNorm) -> Option<Tensor<3>> {
    let adapter = adapter(x)?;
    let [batch, tokens, width] = x.dims();
    let rows = batch * tokens;
    let parameters = Parameters { rows: narrow(rows), width: narrow(width), epsilon: norm.epsilon as f32 };
    let workgroups = Tile { rows: 1, columns: 1 }.across([1, rows])?;
    let stage = shaders::Stage::LayerNorm(choose(adapter, width));
    let launch = Launch::new(stage, workgroups, x.dims()).with_parameters(&parameters);
    Some(launch.on_three(x.clone(), norm.weight.val(), norm.bias.val(), None))
}

/// The stage that suits the adapter and the width of a token.
fn choose(adapter: Adapter, width: usize) -> Stage {
    let threads = if adapter.form == Form::Software { Threads::Few } else { Threads::Many };
    Stage { threads, lanes: Lanes::of(width) }
}
