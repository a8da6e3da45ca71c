use rayon::prelude::*;

use super::{GROUP, Operands};
use crate::cpu::autodiff::Gradient;
use crate::cpu::gemm::{Matrix, MatrixMut, Previous, gemm};
use crate::cpu::values::Values;

/// The gradient of `y = x W^T + b` with respect to `x`, `W` and `b`.
#[derive(Clone, Debug)]
pub(super) struct LinearGradient(pub(super) Operands);

impl Gradient<3> for LinearGradient {
    fn gradients(self, output: Values, [x, weight, bias]: [bool; 3]) -> [Option<Vec<f32>>; 3] {
        let output = output.into_contiguous();
        [
            x.then(|| self.input_gradient(&output)),
            weight.then(|| self.weight_gradient(&output)),
            bias.then(|| bias_gradient(&output, self.0.d_output)),
        ]
    }
}

impl LinearGradient {
    /// `output W`, `[tokens, d_input]`; each thread its share of the tokens.
    fn input_gradient(&self, output: &[f32]) -> Vec<f32> {
        let Operands { d_input, d_output, strides, .. } = self.0;
        let tokens = output.len() / d_output;
        let share = tokens.div_ceil(rayon::current_num_threads());
        let weight = Matrix::new(&self.0.weight, [d_output, d_input], strides);
        let mut gradient = vec![0.0; tokens * d_input];
        let shares = gradient.par_chunks_mut(share * d_input).zip(output.par_chunks(share * d_output));
        shares.for_each(|(gradient, output)| {
            let tokens = output.len() / d_output;
            let output = Matrix::new(output, [tokens, d_output], [d_output, 1]);
            gemm(MatrixMut::new(gradient, [tokens, d_input], d_input), output, weight, Previous::Replace);
        });
        gradient
    }

    /// `output^T x`, `[d_output, d_input]`; each thread its share of the rows.
    fn weight_gradient(&self, output: &[f32]) -> Vec<f32> {
        let Operands { d_input, d_output, .. } = self.0;
        let tokens = output.len() / d_output;
        let share = d_output.div_ceil(rayon::current_num_threads());
        let x = Matrix::new(&self.0.x, [tokens, d_input], [d_input, 1]);
        let mut gradient = vec![0.0; d_output * d_input];
        gradient.par_chunks_mut(share * d_input).enumerate().for_each(|(i, gradient)| {
            let rows = gradient.len() / d_input;
            let output = Matrix::new(&output[i * share..], [rows, tokens], [1, d_output]);
            gemm(MatrixMut::new(gradient, [rows, d_input], d_input), output, x, Previous::Replace);
        });
        gradient
    }
}

/// The sum of every column of `output`, `[tokens, d_output]`: of groups of tokens first, so that long sums stay exact.
fn bias_gradient(output: &[f32], d_output: usize) -> Vec<f32> {
    let add = |mut sum: Vec<f32>, row: &[f32]| {
        sum.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
        sum
    };
    let groups = output.par_chunks(GROUP * d_output);
    let sums = groups.map(|group| group.chunks_exact(d_output).fold(vec![0.0; d_output], add));
    sums.collect::<Vec<_>>().iter().fold(vec![0.0; d_output], |sum, group| add(sum, group))
}
