use burn::tensor::Tensor;

use crate::{cpu, gpu, reference};

/// Which keys a query may look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mask {
    /// Every query sees every key.
    None,
    /// A query sees the keys up to its own position; there are as many keys as queries.
    Causal,
}

impl Mask {
    /// With other numbers of keys, a query's own position could be counted from the first key or from the last.
    pub(crate) fn assert_fits(self, q: &Tensor<4>, k: &Tensor<4>) {
        let ([_, _, tokens, _], [_, _, keys, _]) = (q.dims(), k.dims());
        let fits = self == Self::None || tokens == keys;
        assert!(fits, "a causal mask needs as many keys as queries, not {keys} keys for {tokens} queries");
    }
}

/// Scaled dot-product attention, `softmax(q k^T / sqrt(head_dim)) v` ([Vaswani et al.](https://arxiv.org/abs/1706.03762)).
///
/// The softmax is float32 whatever the dtype. Without autodiff the full score matrix is never materialised for long
/// sequences.
///
/// # Shapes
/// - `q`: `[batch, heads, tokens, head_dim]`
/// - `k`: `[batch, heads, keys, head_dim]`
/// - `v`: `[batch, heads, keys, head_dim]`
/// - output: `[batch, heads, tokens, head_dim]`
///
/// # Panics
/// If the mask is causal and there are not as many keys as queries.
pub fn attention(q: Tensor<4>, k: Tensor<4>, v: Tensor<4>, mask: Mask) -> Tensor<4> {
    mask.assert_fits(&q, &k);
    cpu::attention(&q, &k, &v, mask)
        .or_else(|| gpu::attention(&q, &k, &v, mask))
        .unwrap_or_else(|| reference::attention(q, k, v, mask))
}
