mod gradient;

use std::ops::Range;

use burn::tensor::Tensor;
use rayon::prelude::*;

use super::autodiff::{Inputs, track};
use super::gemm::{Matrix, MatrixMut, Previous, gemm};
use super::math;
use super::scratch::Scratch;
use super::values::{Values, tensor};
use super::vectorized::vectorized;
use crate::Mask;

/// Queries and keys of one block of scores, which must stay in the cache.
const QUERIES: usize = 256;
const KEYS: usize = 512;

/// See [`crate::attention`].
///
/// The scores are made block by block and the softmax is carried along: every query keeps its largest score and the
/// sum of exponentials so far, and rescales its sums when the largest score grows
/// ([Dao et al.](https://arxiv.org/abs/2205.14135)).
pub(crate) fn attention(q: &Tensor<4>, k: &Tensor<4>, v: &Tensor<4>, mask: Mask) -> Option<Tensor<4>> {
    let [batch, heads, tokens, head_dim] = q.dims();
    let [_, _, keys, _] = k.dims();
    let agree = k.dims() == v.dims() && k.dims() == [batch, heads, keys, head_dim];
    if !agree || keys == 0 || q.shape().num_elements() == 0 {
        return None;
    }
    let inputs = Inputs::new([track(q), track(k), track(v)])?;
    let (query, key, value) = (Heads::new(q)?, Heads::new(k)?, Heads::new(v)?);
    let sizes = Sizes { heads, tokens, keys, head_dim };
    // Neighbouring heads lie side by side, so that joining them afterwards copies nothing.
    let mut out = vec![0.0; batch * tokens * heads * head_dim]; // [batch, tokens, heads, head_dim]
    let queries = tokens.div_ceil(rayon::current_num_threads().div_ceil(batch)).min(QUERIES);
    out.par_chunks_exact_mut(tokens * heads * head_dim).enumerate().for_each(|(image, out)| {
        out.par_chunks_mut(queries * heads * head_dim).enumerate().for_each(|(block, out)| {
            let block = block * queries..((block + 1) * queries).min(tokens);
            for head in 0..heads {
                let [query, key, value] = [&query, &key, &value].map(|x| x.head(image, head));
                let out = &mut out[head * head_dim..];
                attend(&sizes, query, key, value, mask, block.clone(), out);
            }
        });
    });
    let out = tensor(out, [batch, tokens, heads, head_dim], q).swap_dims(1, 2);
    Some(inputs.record(out, || gradient::AttentionGradient { query, key, value, batch, sizes, mask }))
}

#[derive(Clone, Copy, Debug)]
struct Sizes {
    heads: usize,
    tokens: usize,
    keys: usize,
    head_dim: usize,
}

/// `[batch, heads, tokens, head_dim]`, however it lies in memory.
#[derive(Clone, Debug)]
struct Heads {
    values: Values,
    strides: [usize; 4],
}

impl Heads {
    fn new(x: &Tensor<4>) -> Option<Self> {
        Self::of(Values::strided(x)?)
    }

    fn of(values: Values) -> Option<Self> {
        let strides = values.strides()?;
        Some(Self { values, strides })
    }

    fn head(&self, image: usize, head: usize) -> Head<'_> {
        let [batch_stride, head_stride, token_stride, stride] = self.strides;
        Head { values: &self.values[image * batch_stride + head * head_stride..], strides: [token_stride, stride] }
    }
}

/// One head of one image, `[tokens, head_dim]`.
#[derive(Clone, Copy, Debug)]
struct Head<'a> {
    values: &'a [f32],
    strides: [usize; 2],
}

impl<'a> Head<'a> {
    fn rows(&self, tokens: &Range<usize>, head_dim: usize) -> Matrix<'a> {
        Matrix::new(&self.values[tokens.start * self.strides[0]..], [tokens.len(), head_dim], self.strides)
    }

    fn columns(&self, tokens: &Range<usize>, head_dim: usize) -> Matrix<'a> {
        let [token_stride, stride] = self.strides;
        Matrix::new(&self.values[tokens.start * token_stride..], [head_dim, tokens.len()], [stride, token_stride])
    }
}

/// The largest score and the sum of exponentials of one query.
#[derive(Clone, Copy, Debug)]
struct Softmax {
    largest: f32,
    sum: f32,
}

/// One head of one block of queries, written every `heads * head_dim` values.
fn attend(sizes: &Sizes, q: Head, k: Head, v: Head, mask: Mask, queries: Range<usize>, out: &mut [f32]) {
    let Sizes { heads, keys, head_dim, .. } = *sizes;
    let last_key = |query: usize| if mask == Mask::Causal { query } else { keys - 1 };
    let mut scores = Scratch::new(queries.len() * KEYS.min(keys));
    let mut sums = Scratch::new(queries.len() * head_dim); // [queries, head_dim]
    sums.fill(0.0);
    let mut softmax = vec![Softmax { largest: f32::MIN, sum: 0.0 }; queries.len()];
    let query = q.rows(&queries, head_dim);
    for first in (0..=last_key(queries.end - 1)).step_by(KEYS) {
        let block = first..(first + KEYS).min(keys);
        let width = block.len();
        let result = MatrixMut::new(&mut scores, [queries.len(), width], width);
        gemm(result, query, k.columns(&block, head_dim), Previous::Replace);
        if mask == Mask::Causal {
            for (query, scores) in queries.clone().zip(scores.chunks_exact_mut(width)) {
                scores[(last_key(query) + 1).saturating_sub(first).min(width)..].fill(f32::NEG_INFINITY);
            }
        }
        let scale = 1.0 / (head_dim as f32).sqrt();
        exponentiate(&mut scores[..queries.len() * width], width, scale, &mut softmax, &mut sums, head_dim);
        let weights = Matrix::new(&scores, [queries.len(), width], [width, 1]);
        let result = MatrixMut::new(&mut sums, [queries.len(), head_dim], head_dim);
        gemm(result, weights, v.rows(&block, head_dim), Previous::Add);
    }
    divide(&sums, &softmax, head_dim, heads * head_dim, out);
}

vectorized! {
    /// Replaces a block of scores by their exponentials relative to the largest score so far.
    fn exponentiate(
        scores: &mut [f32],
        width: usize,
        scale: f32,
        softmax: &mut [Softmax],
        sums: &mut [f32],
        head_dim: usize,
    ) {
        let queries = scores.chunks_exact_mut(width).zip(softmax).zip(sums.chunks_exact_mut(head_dim));
        for ((scores, softmax), sums) in queries {
            let largest = softmax.largest.max(math::max(scores) * scale);
            for score in scores.iter_mut() {
                *score = math::exp(*score * scale - largest);
            }
            let shrink = math::exp(softmax.largest - largest);
            *softmax = Softmax { largest, sum: softmax.sum * shrink + math::sum(scores, |weight| weight) };
            sums.iter_mut().for_each(|sum| *sum *= shrink);
        }
    }
}

vectorized! {
    fn divide(sums: &[f32], softmax: &[Softmax], head_dim: usize, stride: usize, out: &mut [f32]) {
        for ((sums, softmax), out) in sums.chunks_exact(head_dim).zip(softmax).zip(out.chunks_mut(stride)) {
            for (out, sum) in out.iter_mut().zip(sums) {
                *out = sum / softmax.sum;
            }
        }
    }
}
