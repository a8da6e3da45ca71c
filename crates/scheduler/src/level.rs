use burn::tensor::Tensor;

/// A noise level: a sample at this level is x = alpha * `x_0` + sigma * epsilon.
///
/// Two views of the same process differ by a factor of the sample. In the variance-preserving view of Ho et al.
/// (<https://arxiv.org/abs/2006.11239>) alpha^2 + sigma^2 = 1; in the variance-exploding view of Karras et al.
/// (<https://arxiv.org/abs/2206.00364>) alpha = 1. Every formula here is valid in both.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Level {
    pub(crate) alpha: f64,
    pub(crate) sigma: f64,
}

impl Level {
    /// No noise.
    pub(crate) const CLEAN: Self = Self { alpha: 1.0, sigma: 0.0 };

    /// The variance-preserving level with alpha^2 = alpha-bar.
    pub(crate) fn from_alpha_cumprod(alpha_cumprod: f64) -> Self {
        Self { alpha: alpha_cumprod.sqrt(), sigma: (1.0 - alpha_cumprod).sqrt() }
    }

    /// The variance-exploding level.
    pub(crate) fn exploding(sigma: f64) -> Self {
        Self { alpha: 1.0, sigma }
    }

    /// The same level in the variance-preserving view.
    pub(crate) fn to_preserving(self) -> Self {
        Self { alpha: self.alpha / self.norm(), sigma: self.sigma / self.norm() }
    }

    /// The standard deviation of a sample whose original and noise have unit variance: 1 in the variance-preserving
    /// view.
    pub(crate) fn norm(self) -> f64 {
        self.alpha.hypot(self.sigma)
    }

    /// Half the logarithm of the signal-to-noise ratio.
    pub(crate) fn lambda(self) -> f64 {
        self.alpha.ln() - self.sigma.ln()
    }

    /// `original` at this level.
    ///
    /// # Shapes
    /// - `original`, `noise` and output: `[batch, channels, height, width]`
    pub(crate) fn add_noise(self, original: Tensor<4>, noise: Tensor<4>) -> Tensor<4> {
        weighted_sum([(self.alpha, original), (self.sigma, noise)])
    }

    /// The sample in the variance-preserving view, in which networks are trained.
    ///
    /// # Shapes
    /// - `sample` and output: `[batch, channels, height, width]`
    pub(crate) fn scale_to_unit(self, sample: Tensor<4>) -> Tensor<4> {
        let norm = self.norm();
        if norm as f32 == 1.0 { sample } else { sample / norm }
    }

    /// The sample at the level `to`, if `epsilon` is its noise: equation 12 of DDIM
    /// (<https://arxiv.org/abs/2010.02502>) without fresh noise, equation 11 of PNDM
    /// (<https://arxiv.org/abs/2202.09778>), and in the variance-exploding view Euler's step, x + (sigma' - sigma)
    /// epsilon.
    ///
    /// # Shapes
    /// - `sample`, `epsilon` and output: `[batch, channels, height, width]`
    pub(crate) fn transfer(self, sample: Tensor<4>, epsilon: Tensor<4>, to: Self) -> Tensor<4> {
        let of_sample = to.alpha / self.alpha;
        weighted_sum([(of_sample, sample), (to.sigma - of_sample * self.sigma, epsilon)])
    }
}

/// The weighted sum of tensors. A term with weight zero is left out, even if its tensor contains NaN.
///
/// # Shapes
/// - every tensor and output: `[batch, channels, height, width]`
pub(crate) fn weighted_sum(terms: impl IntoIterator<Item = (f64, Tensor<4>)>) -> Tensor<4> {
    let mut terms = terms.into_iter().peekable();
    let zero = terms.peek().map(|(_, tensor)| tensor.clone());
    let products = terms.filter(|(weight, _)| *weight != 0.0);
    let products = products.map(|(weight, tensor)| if weight == 1.0 { tensor } else { tensor * weight });
    let sum = products.reduce(|sum, product| sum + product);
    sum.or_else(|| zero.map(|tensor| tensor.zeros_like())).expect("a sum has at least one term")
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    fn values(tensor: Tensor<4>) -> Vec<f32> {
        tensor.into_data().try_to_vec().expect("float32 values")
    }

    /// Converting to the other view and back keeps alpha-bar, lambda and the ratio of signal and noise.
    #[test]
    fn views_convert_into_each_other() {
        for sigma in [0.0, 0.029, 0.5, 1.0, 14.6146, 4096.0] {
            let exploding = Level::exploding(sigma);
            let preserving = exploding.to_preserving();
            assert!((preserving.norm() - 1.0).abs() < 1e-15);
            assert!((preserving.sigma / preserving.alpha - sigma).abs() <= 1e-12 * sigma);
            let again = Level::from_alpha_cumprod(preserving.alpha.powi(2));
            assert!((again.alpha - preserving.alpha).abs() < 1e-12 && (again.sigma - preserving.sigma).abs() < 1e-9);
            let lambda = exploding.lambda();
            assert!(lambda == preserving.lambda() || (lambda - preserving.lambda()).abs() < 1e-12);
        }
    }

    /// A sample that is transferred with its own noise is the original at the other level, in either view.
    #[test]
    fn transfer_with_the_true_noise_is_add_noise_at_the_other_level() {
        let device = Device::flex();
        let original = Tensor::<4>::from_data([[[[0.3, -1.2, 2.0]]]], &device);
        let noise = Tensor::<4>::from_data([[[[-0.7, 0.1, 1.1]]]], &device);
        for (from, to) in [(14.6, 3.0), (3.0, 0.2), (0.2, 0.0)].map(|(a, b)| (Level::exploding(a), Level::exploding(b)))
        {
            for (from, to) in [(from, to), (from.to_preserving(), to.to_preserving())] {
                let sample = from.add_noise(original.clone(), noise.clone());
                let found = values(from.transfer(sample, noise.clone(), to));
                let expected = values(to.add_noise(original.clone(), noise.clone()));
                for (found, expected) in found.iter().zip(expected) {
                    assert!((found - expected).abs() < 1e-5, "{from:?} to {to:?}: {found} instead of {expected}");
                }
            }
        }
    }
}
