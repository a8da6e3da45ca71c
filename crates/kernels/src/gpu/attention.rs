use burn::tensor::Tensor;
use pyrograph_shaders::attention::{MATRIX_8, MATRIX_16, SOFTWARE, TILED};
use pyrograph_shaders::{Constant, Epilogue, value};

use super::adapter::{Adapter, Form, Forms, adapter};
use super::dispatch::Tile;
use super::launch::Launch;
use crate::Mask;

const FORMS: Forms = Forms { tiled: &TILED, matrix_8: &MATRIX_8, matrix_16: &MATRIX_16, software: &SOFTWARE };

/// Heads up to 512 wide; they may be views of one projection.
pub(crate) fn attention(q: &Tensor<4>, k: &Tensor<4>, v: &Tensor<4>, mask: Mask) -> Option<Tensor<4>> {
    let Adapter { scalar, form, .. } = adapter(q)?;
    let [batch, heads, tokens, head_dim] = q.dims();
    let keys = k.dims()[2];
    if head_dim % 4 != 0 {
        return widened(q, k, v, mask);
    }
    let variant = |form| {
        let fits = |constants: &&'static [Constant]| match form {
            Form::Software => value(constants, "HEAD_DIM") == head_dim,
            _ => value(constants, "HEAD_DIM") >= head_dim,
        };
        Some((FORMS.get(form), FORMS.get(form).variants.iter().copied().find(fits)?))
    };
    let (stage, constants) = variant(form).or_else(|| variant(Form::Tiled))?;
    let launch = Launch {
        stage,
        constants,
        epilogue: Epilogue::Plain,
        workgroups: tile(constants).batched([batch, heads, tokens])?,
        sizes: vec![heads, tokens, keys, head_dim, usize::from(mask == Mask::Causal)],
        shape: [batch, tokens, heads, head_dim].into(),
        scalar,
    };
    Some(launch.on_heads(q.clone(), k.clone(), v.clone()).swap_dims(1, 2))
}

/// Heads and queries of a workgroup.
pub(super) fn tile(constants: &[Constant]) -> Tile {
    let queries = match (value(constants, "TILE_Q"), value(constants, "TILE")) {
        (0, 0) => value(constants, "ROWS") * value(constants, "THREADS"), // in registers
        (queries, tile) => queries.max(tile),
    };
    Tile { rows: 1, columns: queries }
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
