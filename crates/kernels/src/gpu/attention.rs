use burn::tensor::Tensor;
use pyrograph_shaders as shaders;
use pyrograph_shaders::attention::{Parameters, Stage};

use super::adapter::{Adapter, Form, adapter};
use super::dispatch::{Tile, narrow};
use super::launch::Launch;
use crate::Mask;

/// Heads up to 512 wide; they may be views of one projection.
pub(crate) fn attention(q: &Tensor<4>, k: &Tensor<4>, v: &Tensor<4>, mask: Mask) -> Option<Tensor<4>> {
    let adapter = adapter(q)?;
    let ([batch, heads, tokens, head_dim], keys) = (q.dims(), k.dims()[2]);
    if head_dim % 4 != 0 {
        return widened(q, k, v, mask);
    }
    let stage = choose(adapter, head_dim)?;
    let parameters = Parameters {
        heads: narrow(heads),
        tokens: narrow(tokens),
        keys: narrow(keys),
        head_dim: narrow(head_dim),
        causal: u32::from(mask == Mask::Causal),
        ..Parameters::default()
    };
    let workgroups = Tile { rows: 1, columns: stage.queries() }.batched([batch, heads, tokens])?;
    let launch = Launch::new(shaders::Stage::Attention(stage), workgroups, [batch, tokens, heads, head_dim]);
    Some(launch.on_heads(q.clone(), k.clone(), v.clone(), parameters).swap_dims(1, 2))
}

/// The stage that suits the adapter, or else one on tiles.
fn choose(adapter: Adapter, head_dim: usize) -> Option<Stage> {
    let stage = match adapter.form {
        Form::Tiled => None,
        Form::Matrix(units) => Stage::matrix(units, head_dim),
        Form::Software => Stage::software(head_dim),
    };
    stage.or_else(|| Stage::tiled(head_dim))
}

/// Heads of a width that is no multiple of four, with zeros beside them, and queries that undo the scale of the new width.
fn widened(q: &Tensor<4>, k: &Tensor<4>, v: &Tensor<4>, mask: Mask) -> Option<Tensor<4>> {
    let head_dim = q.dims()[3];
    let width = head_dim.next_multiple_of(4);
    let widen = |x: Tensor<4>| x.pad((0, width - head_dim, 0, 0), 0.0);
    let q = q.clone() * (width as f64 / head_dim as f64).sqrt();
    let y = attention(&widen(q), &widen(k.clone()), &widen(v.clone()), mask)?;
    Some(y.narrow(3, 0, head_dim))
}
