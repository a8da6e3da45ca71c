use rayon::prelude::*;

use super::mean;
use crate::Activation;
use crate::cpu::autodiff::Gradient;
use crate::cpu::math;
use crate::cpu::values::Values;
use crate::cpu::vectorized::vectorized;

/// The gradient of a group normalisation with respect to its input, its scale and its shift.
#[derive(Clone, Debug)]
pub(super) struct GroupNormGradient {
    /// `[batch, channels, area]`.
    pub(super) x: Values,
    pub(super) gamma: Values,
    pub(super) beta: Values,
    /// Channels of a group.
    pub(super) per_group: usize,
    pub(super) area: usize,
    pub(super) epsilon: f64,
    pub(super) activation: Activation,
}

impl Gradient<3> for GroupNormGradient {
    fn gradients(self, output: Values, wanted: [bool; 3]) -> [Option<Vec<f32>>; 3] {
        let Self { area, per_group, .. } = self;
        let (output, len) = (output.into_contiguous(), per_group * area);
        let channels = self.gamma.len().min(output.len() / area);
        let mut of_x = vec![0.0; output.len()];
        let mut sums = vec![[0.0; 2]; output.len() / area]; // [batch, channels, (scale, shift)]
        let groups = of_x.par_chunks_exact_mut(len).zip(sums.par_chunks_exact_mut(per_group));
        let groups = groups.zip(output.par_chunks_exact(len)).zip(self.x.par_chunks_exact(len));
        groups.enumerate().for_each(|(i, (((of_x, sums), output), x))| {
            let first = i * per_group % channels;
            let weights = [&self.gamma[first..][..per_group], &self.beta[first..][..per_group]];
            differentiate(x, output, weights, self.epsilon, self.activation, sums, of_x);
        });
        let sum = |which: usize| {
            let channel = |channel| sums[channel..].iter().step_by(channels).map(|sums| sums[which]).sum();
            (0..channels).map(channel).collect()
        };
        [wanted[0].then_some(of_x), wanted[1].then(|| sum(0)), wanted[2].then(|| sum(1))]
    }
}

vectorized! {
    /// One group of one image, `[channels, area]`.
    ///
    /// With `n` the normalised input, `z = gamma n + beta`, and `g` the gradient of `z`, every channel's scale has the
    /// gradient `sum(g n)` and its shift `sum(g)`, and the input `(gamma g - mean(gamma g) - n mean(gamma g n)) / deviation`.
    fn differentiate(
        x: &[f32],
        output: &[f32],
        weights: [&[f32]; 2],
        epsilon: f64,
        activation: Activation,
        sums: &mut [[f32; 2]],
        of_x: &mut [f32],
    ) {
        let area = x.len() / sums.len();
        let average = mean(x, |value| value) as f32;
        let variance = mean(x, |value| (value - average) * (value - average));
        let scale = 1.0 / (variance + epsilon).sqrt();
        let (scale_f32, shift) = (scale as f32, (-f64::from(average) * scale) as f32);
        let [mut total_slope, mut total] = [0.0; 2];
        let channels = x.chunks_exact(area).zip(output.chunks_exact(area)).zip(of_x.chunks_exact_mut(area));
        for (((x, output), g), (sums, (gamma, beta))) in
            channels.zip(sums.iter_mut().zip(weights[0].iter().zip(weights[1])))
        {
            match activation {
                Activation::Identity => g.copy_from_slice(output),
                Activation::Silu => {
                    let (scale, shift) = (gamma * scale_f32, gamma * shift + beta);
                    for ((g, output), x) in g.iter_mut().zip(output).zip(x) {
                        *g = output * math::silu_slope(scale * x + shift);
                    }
                }
            }
            let sum = math::sum(g, |g| g);
            *sums = [scale_f32 * math::dot(g, x) + shift * sum, sum];
            total_slope += f64::from(gamma * sums[0]);
            total += f64::from(gamma * sum);
        }
        // The gradient of the input is gamma * scale * g + slope * x + offset.
        let slope = -total_slope / x.len() as f64 * scale * scale;
        let offset = (-total / x.len() as f64 * scale - slope * f64::from(average)) as f32;
        let slope = slope as f32;
        for ((x, g), gamma) in x.chunks_exact(area).zip(of_x.chunks_exact_mut(area)).zip(weights[0]) {
            let scale = gamma * scale_f32;
            g.iter_mut().zip(x).for_each(|(g, x)| *g = scale * *g + slope * x + offset);
        }
    }
}
