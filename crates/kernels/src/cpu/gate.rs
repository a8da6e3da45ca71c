use burn::tensor::Tensor;
use rayon::prelude::*;

use super::autodiff::{Gradient, Inputs, track};
use super::math;
use super::values::{Values, tensor};
use super::vectorized::vectorized;

/// Tokens that one thread works on at a time.
const TOKENS: usize = 64;

/// The left half of the columns of `x`, `[batch, tokens, 2 width]`, times the GELU of the right half.
pub(crate) fn gate(x: &Tensor<3>) -> Option<Tensor<3>> {
    let inputs = Inputs::new([track(x)])?;
    let ([batch, tokens, columns], values) = (x.dims(), Values::contiguous(x)?);
    let width = columns / 2;
    if width == 0 || columns % 2 != 0 {
        return None;
    }
    let mut y = vec![0.0; batch * tokens * width];
    gate_in_parallel(&values, width, &mut y);
    let y = tensor(y, [batch, tokens, width], x);
    Some(inputs.record(y, || GateGradient { x: values, width }))
}

/// The same for `x: [tokens, 2 width]` and `y: [tokens, width]`, on all threads.
pub(super) fn gate_in_parallel(x: &[f32], width: usize, y: &mut [f32]) {
    let blocks = y.par_chunks_mut(TOKENS * width).zip(x.par_chunks(TOKENS * 2 * width));
    blocks.for_each(|(y, x)| gate_tokens(x, width, y));
}

vectorized! {
    /// The same on the calling thread.
    fn gate_tokens(x: &[f32], width: usize, y: &mut [f32]) {
        for (y, x) in y.chunks_exact_mut(width).zip(x.chunks_exact(2 * width)) {
            let (values, gates) = x.split_at(width);
            for ((y, value), gate) in y.iter_mut().zip(values).zip(gates) {
                *y = value * math::gelu(*gate);
            }
        }
    }
}

/// The gradient of [`gate`] with respect to both halves of its input.
#[derive(Clone, Debug)]
struct GateGradient {
    x: Values,
    width: usize,
}

impl Gradient<1> for GateGradient {
    fn gradients(self, output: Values, _: [bool; 1]) -> [Option<Vec<f32>>; 1] {
        let (output, width) = (output.into_contiguous(), self.width);
        let mut gradient = vec![0.0; 2 * output.len()];
        let blocks = gradient.par_chunks_mut(2 * TOKENS * width).zip(self.x.par_chunks(2 * TOKENS * width));
        blocks.zip(output.par_chunks(TOKENS * width)).for_each(|((gradient, x), output)| {
            differentiate(x, output, width, gradient);
        });
        [Some(gradient)]
    }
}

vectorized! {
    /// `value * gelu(gate)` has the gradient `gelu(gate)` for the value and `value * gelu'(gate)` for the gate.
    fn differentiate(x: &[f32], output: &[f32], width: usize, gradient: &mut [f32]) {
        let tokens = gradient.chunks_exact_mut(2 * width).zip(x.chunks_exact(2 * width));
        for ((gradient, x), output) in tokens.zip(output.chunks_exact(width)) {
            let (of_values, of_gates) = gradient.split_at_mut(width);
            let (values, gates) = x.split_at(width);
            for i in 0..width {
                of_values[i] = output[i] * math::gelu(gates[i]);
                of_gates[i] = output[i] * values[i] * math::gelu_slope(gates[i]);
            }
        }
    }
}
