use burn::tensor::Tensor;
use pyrograph_shaders as shaders;
use pyrograph_shaders::layer_norm::{Parameters, Stage, Threads};

use super::adapter::{Adapter, Form, adapter};
use super::dispatch::{Tile, narrow};
use super::launch::Launch;
use crate::LayerNorm;

/// Tokens whose width is a multiple of four.
pub(crate) fn layer_norm(x: &Tensor<3>, norm: &LayerNorm) -> Option<Tensor<3>> {
    let adapter = adapter(x)?;
    let [batch, tokens, width] = x.dims();
    if width % 4 != 0 {
        return None;
    }
    let rows = batch * tokens;
    let parameters = Parameters { rows: narrow(rows), width: narrow(width), epsilon: norm.epsilon as f32 };
    let workgroups = Tile { rows: 1, columns: 1 }.across([1, rows])?;
    let stage = shaders::Stage::LayerNorm(choose(adapter));
    let launch = Launch::new(stage, workgroups, x.dims()).with_parameters(&parameters);
    Some(launch.on_three(x.clone(), norm.weight.val(), norm.bias.val(), None))
}

/// The stage that suits the adapter.
fn choose(adapter: Adapter) -> Stage {
    Stage { threads: if adapter.form == Form::Software { Threads::Few } else { Threads::Many } }
}
