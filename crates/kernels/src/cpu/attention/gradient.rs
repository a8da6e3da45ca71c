use rayon::prelude::*;

use super::{Head, Heads, Mask, QUERIES, Sizes};
use crate::cpu::autodiff::Gradient;
use crate::cpu::gemm::{Matrix, MatrixMut, Previous, gemm};
use crate::cpu::math;
use crate::cpu::scratch::Scratch;
use crate::cpu::values::Values;
use crate::cpu::vectorized::vectorized;

/// The gradient of attention with respect to queries, keys and values. The weights are computed again: keeping them would
/// take `tokens * keys` values for every head.
#[derive(Clone, Debug)]
pub(super) struct AttentionGradient {
    pub(super) query: Heads,
    pub(super) key: Heads,
    pub(super) value: Heads,
    pub(super) batch: usize,
    pub(super) sizes: Sizes,
    pub(super) mask: Mask,
}

impl Gradient<3> for AttentionGradient {
    fn gradients(self, output: Values, wanted: [bool; 3]) -> [Option<Vec<f32>>; 3] {
        let Sizes { heads, tokens, keys, head_dim } = self.sizes;
        let output = Heads::of(output).expect("no stride of a gradient runs backwards");
        let count = self.batch * heads;
        let [mut of_query, mut of_key, mut of_value] =
            [tokens, keys, keys].map(|rows| vec![0.0; count * rows * head_dim]);
        let of_heads = of_query
            .par_chunks_exact_mut(tokens * head_dim)
            .zip(of_key.par_chunks_exact_mut(keys * head_dim))
            .zip(of_value.par_chunks_exact_mut(keys * head_dim));
        of_heads.enumerate().for_each(|(i, ((of_query, of_key), of_value))| {
            let inputs =
                [&self.query, &self.key, &self.value, &output].map(|heads_of| heads_of.head(i / heads, i % heads));
            differentiate(&self.sizes, inputs, self.mask, [of_query, of_key, of_value]);
        });
        [wanted[0].then_some(of_query), wanted[1].then_some(of_key), wanted[2].then_some(of_value)]
    }
}

/// One head of one image, block by block of queries: the gradients of queries, keys and values, which begin as zeros, from
/// those three and the gradient of the output.
///
/// With `s` the scaled scores, `p = softmax(s)`, and `g` the output's gradient, that of `v` is `p^T g`, that of `p` is
/// `g v^T`, and that of `s` is `p (g v^T - sum(p g v^T))`.
fn differentiate(
    sizes: &Sizes,
    [q, k, v, output]: [Head; 4],
    mask: Mask,
    [of_query, of_key, of_value]: [&mut [f32]; 3],
) {
    let Sizes { tokens, keys, head_dim, .. } = *sizes;
    let scale = 1.0 / (head_dim as f32).sqrt();
    let block_len = QUERIES.min(tokens) * keys;
    let (mut weights, mut of_weights) = (Scratch::new(block_len), Scratch::new(block_len)); // [queries, keys]
    for first in (0..tokens).step_by(QUERIES) {
        let queries = first..(first + QUERIES).min(tokens);
        let count = queries.len();
        let (query, output) = (q.rows(&queries, head_dim), output.rows(&queries, head_dim));
        gemm(
            MatrixMut::new(&mut weights, [count, keys], keys),
            query,
            k.columns(&(0..keys), head_dim),
            Previous::Replace,
        );
        gemm(
            MatrixMut::new(&mut of_weights, [count, keys], keys),
            output,
            v.columns(&(0..keys), head_dim),
            Previous::Replace,
        );
        for (query, (weights, of_weights)) in
            queries.clone().zip(weights.chunks_exact_mut(keys).zip(of_weights.chunks_exact_mut(keys)))
        {
            let seen = if mask == Mask::Causal { query + 1 } else { keys };
            softmax(weights, of_weights, seen, scale);
        }
        let transposed = |block| Matrix::new(block, [keys, count], [1, keys]);
        gemm(MatrixMut::new(of_value, [keys, head_dim], head_dim), transposed(&weights), output, Previous::Add);
        gemm(MatrixMut::new(of_key, [keys, head_dim], head_dim), transposed(&of_weights), query, Previous::Add);
        let of_query = MatrixMut::new(&mut of_query[first * head_dim..], [count, head_dim], head_dim);
        let of_scores = Matrix::new(&of_weights, [count, keys], [keys, 1]);
        gemm(of_query, of_scores, k.rows(&(0..keys), head_dim), Previous::Replace);
    }
}

vectorized! {
    /// Replaces the scores of one query by their softmax over the keys that it has `seen`, and the gradients of those weights by
    /// those of the scores.
    fn softmax(scores: &mut [f32], gradient: &mut [f32], seen: usize, scale: f32) {
        let largest = math::max(&scores[..seen]) * scale;
        for score in scores[..seen].iter_mut() {
            *score = math::exp(*score * scale - largest);
        }
        scores[seen..].fill(0.0);
        gradient[seen..].fill(0.0);
        let inverse = 1.0 / math::sum(&scores[..seen], |weight| weight);
        scores[..seen].iter_mut().for_each(|weight| *weight *= inverse);
        let average = math::dot(&scores[..seen], &gradient[..seen]);
        for (gradient, weight) in gradient[..seen].iter_mut().zip(&scores[..seen]) {
            *gradient = weight * (*gradient - average) * scale;
        }
    }
}
