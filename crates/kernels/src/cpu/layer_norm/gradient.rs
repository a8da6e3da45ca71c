use rayon::prelude::*;

use super::{TOKENS, statistics};
use crate::cpu::autodiff::Gradient;
use crate::cpu::math;
use crate::cpu::values::Values;
use crate::cpu::vectorized::vectorized;

/// The gradient of a layer normalisation with respect to its input, its scale and its shift.
#[derive(Clone, Debug)]
pub(super) struct LayerNormGradient {
    /// `[tokens, width]`.
    pub(super) x: Values,
    pub(super) gamma: Values,
    pub(super) width: usize,
    pub(super) epsilon: f32,
}

impl Gradient<3> for LayerNormGradient {
    fn gradients(self, output: Values, wanted: [bool; 3]) -> [Option<Vec<f32>>; 3] {
        let Self { x, gamma, width, epsilon } = self;
        let output = output.into_contiguous();
        let mut of_x = vec![0.0; output.len()];
        let blocks = of_x.par_chunks_mut(TOKENS * width).zip(output.par_chunks(TOKENS * width));
        let sums = blocks.zip(x.par_chunks(TOKENS * width)).map(|((of_x, output), x)| {
            let mut sums = [vec![0.0; width], vec![0.0; width]];
            differentiate(x, output, &gamma[..width], epsilon, &mut sums, of_x);
            sums
        });
        let sums: Vec<_> = sums.collect();
        let sum = |which: usize| (0..width).map(|column| sums.iter().map(|sums| sums[which][column]).sum()).collect();
        [wanted[0].then_some(of_x), wanted[1].then(|| sum(0)), wanted[2].then(|| sum(1))]
    }
}

vectorized! {
    /// Some tokens, `[tokens, width]`, whose parts of the gradients of scale and shift are added to `sums`.
    ///
    /// With `n` the normalised input and `g` the gradient of the output times the scale, the gradient of the input is
    /// `(g - mean(g) - n mean(g n)) / deviation`.
    fn differentiate(
        x: &[f32],
        output: &[f32],
        gamma: &[f32],
        epsilon: f32,
        sums: &mut [Vec<f32>; 2],
        of_x: &mut [f32],
    ) {
        let width = gamma.len();
        let [of_gamma, of_beta] = sums;
        let mut normalized = vec![0.0; width];
        for ((x, output), g) in x.chunks_exact(width).zip(output.chunks_exact(width)).zip(of_x.chunks_exact_mut(width)) {
            let [mean, scale] = statistics(x, epsilon);
            for (normalized, x) in normalized.iter_mut().zip(x) {
                *normalized = (x - mean) * scale;
            }
            for ((g, output), gamma) in g.iter_mut().zip(output).zip(gamma) {
                *g = output * gamma;
            }
            for (((of_gamma, of_beta), output), n) in
                of_gamma.iter_mut().zip(of_beta.iter_mut()).zip(output).zip(&normalized)
            {
                *of_gamma += output * n;
                *of_beta += output;
            }
            let average = math::sum(g, |g| g) / width as f32;
            let slope = math::dot(g, &normalized) / width as f32;
            for (g, n) in g.iter_mut().zip(&normalized) {
                *g = (*g - average - n * slope) * scale;
            }
        }
    }
}
