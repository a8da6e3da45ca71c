use burn::tensor::Tensor;
use pyrograph_shaders::attention::{SOFTWARE, TILED};
use pyrograph_shaders::value;

use super::launch::Launch;
use super::{Adapter, adapter};
use crate::Mask;

/// Heads whose width is a multiple of four; they may be views of one projection.
pub(crate) fn attention(q: &Tensor<4>, k: &Tensor<4>, v: &Tensor<4>, mask: Mask) -> Option<Tensor<4>> {
    let Adapter { scalar, software } = adapter(q)?;
    let [batch, heads, tokens, head_dim] = q.dims();
    let keys = k.dims()[2];
    if head_dim % 4 != 0 || k.dtype() != q.dtype() || v.dtype() != q.dtype() {
        return None;
    }
    let stage = if software { &SOFTWARE } else { &TILED };
    let constants = stage.variants.iter().copied().find(|constants| {
        let widest = value(constants, "HEAD_DIM");
        if software { widest == head_dim } else { widest >= head_dim }
    })?;
    let tile =
        if software { value(constants, "ROWS") * value(constants, "THREADS") } else { value(constants, "TILE_Q") };
    let launch = Launch {
        stage,
        constants,
        workgroups: [tokens.div_ceil(tile), heads, batch],
        sizes: vec![heads, tokens, keys, head_dim, usize::from(mask == Mask::Causal)],
        shape: [batch, tokens, heads, head_dim].into(),
        scalar,
    };
    Some(launch.on_heads(q.clone(), k.clone(), v.clone()).swap_dims(1, 2))
}
