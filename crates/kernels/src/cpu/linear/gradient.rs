use rayon::prelude::*;

use super::{GROUP, Operands};
use crate::cpu::autodiff::Gradient;
use crate::cpu::gemm::{Matrix, MatrixMut, Previous, gemm_on_all_threads};
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
    /// `output W`, `[tokens, d_input]`.
    fn input_gradient(&self, output: &[f32]) -> Vec<f32> {
        let Operands { d_input, d_output, strides, .. } = self.0;
        let tokens = output.len() / d_output;
        let output = Matrix::new(output, [tokens, d_output], [d_output, 1]);
        let weight = Matrix::new(&self.0.weight, [d_output, d_input], strides);
        product(output, weight, [tokens, d_input])
    }

    /// `output^T x`, `[d_output, d_input]`.
    fn weight_gradient(&self, output: &[f32]) -> Vec<f32> {
        let Operands { d_input, d_output, .. } = self.0;
        let tokens = output.len() / d_output;
        let output = Matrix::new(output, [d_output, tokens], [1, d_output]);
        let x = Matrix::new(&self.0.x, [tokens, d_input], [d_input, 1]);
        product(output, x, [d_output, d_input])
    }
}

/// `lhs rhs`, of this size.
fn product(lhs: Matrix, rhs: Matrix, size: [usize; 2]) -> Vec<f32> {
    let [rows, columns] = size;
    let mut result = vec![0.0; rows * columns];
    gemm_on_all_threads(MatrixMut::new(&mut result, size, columns), lhs, rhs, Previous::Replace);
    result
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
