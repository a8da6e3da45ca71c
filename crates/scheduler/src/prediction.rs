use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::SchedulerConfig;
use crate::limit::Limit;

/// What a model predicts from a noisy sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum PredictionType {
    /// The noise, <https://arxiv.org/abs/2006.11239>.
    #[serde(rename = "epsilon")]
    Epsilon,
    /// The velocity, a mixture of noise and sample: <https://arxiv.org/abs/2202.00512>, section 4.
    #[serde(rename = "v_prediction", alias = "v-prediction")]
    VPrediction,
    /// The sample without noise.
    #[serde(rename = "sample")]
    Sample,
}

/// A noise level: a sample is x = alpha * `x_0` + sigma * epsilon.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Level {
    pub(crate) alpha: f64,
    pub(crate) sigma: f64,
}

impl Level {
    /// alpha^2 + sigma^2 = 1 with alpha^2 = alpha-bar.
    pub(crate) fn from_alpha_cumprod(alpha_cumprod: f64) -> Self {
        Self { alpha: alpha_cumprod.sqrt(), sigma: (1.0 - alpha_cumprod).sqrt() }
    }

    /// The sample keeps its size while the noise grows: alpha = 1, as in <https://arxiv.org/abs/2206.00364>.
    pub(crate) fn exploding(sigma: f64) -> Self {
        Self { alpha: 1.0, sigma }
    }

    /// alpha^2 + sigma^2 = 1 with the ratio sigma / alpha given.
    pub(crate) fn preserving(ratio: f64) -> Self {
        let alpha = 1.0 / (ratio * ratio + 1.0).sqrt();
        Self { alpha, sigma: ratio * alpha }
    }

    /// Half the logarithm of the signal-to-noise ratio.
    pub(crate) fn lambda(self) -> f64 {
        self.alpha.ln() - self.sigma.ln()
    }
}

/// Turns a model's output into the denoised sample or the noise, so that no update rule knows what was predicted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Prediction {
    kind: PredictionType,
    limit: Limit,
}

impl Prediction {
    pub(crate) fn new(config: &SchedulerConfig, limit: Limit) -> Self {
        Self { kind: config.prediction_type.unwrap_or(PredictionType::Epsilon), limit }
    }

    /// `x_0` within the limit.
    ///
    /// # Shapes
    /// - `output`, `sample` and result: `[batch, channels, height, width]`
    pub(crate) fn denoised(&self, output: &Tensor<4>, sample: &Tensor<4>, level: Level) -> Tensor<4> {
        let Level { alpha, sigma } = level;
        let norm = alpha.hypot(sigma);
        let (of_sample, of_output) = match self.kind {
            PredictionType::Epsilon => (1.0 / alpha, -sigma / alpha),
            PredictionType::VPrediction => (alpha / norm.powi(2), -sigma / norm),
            PredictionType::Sample => (0.0, 1.0),
        };
        self.limit.apply(mix(of_sample, sample, of_output, output))
    }

    /// The noise that the output stands for; the limit of `x_0` does not touch it.
    ///
    /// # Shapes
    /// - `output`, `sample` and result: `[batch, channels, height, width]`
    pub(crate) fn epsilon(&self, output: &Tensor<4>, sample: &Tensor<4>, level: Level) -> Tensor<4> {
        let Level { alpha, sigma } = level;
        let norm = alpha.hypot(sigma);
        let (of_sample, of_output) = match self.kind {
            PredictionType::Epsilon => (0.0, 1.0),
            PredictionType::VPrediction => (sigma / norm.powi(2), alpha / norm),
            PredictionType::Sample => (1.0 / sigma, -alpha / sigma),
        };
        mix(of_sample, sample, of_output, output)
    }
}

fn mix(of_sample: f64, sample: &Tensor<4>, of_output: f64, output: &Tensor<4>) -> Tensor<4> {
    weighted_sum([(of_sample, sample.clone()), (of_output, output.clone().cast(sample.dtype()))])
}

/// The sum of the products. A term with weight zero is left out, whatever its tensor holds.
///
/// # Shapes
/// - every tensor and output: `[batch, channels, height, width]`
pub(crate) fn weighted_sum(terms: impl IntoIterator<Item = (f64, Tensor<4>)>) -> Tensor<4> {
    let mut terms = terms.into_iter().peekable();
    let zero = terms.peek().map(|(_, tensor)| tensor.clone());
    let products = terms.filter(|(weight, _)| *weight != 0.0).map(|(weight, tensor)| tensor * weight);
    let sum = products.reduce(|sum, product| sum + product);
    sum.or_else(|| zero.map(|tensor| tensor.zeros_like())).expect("a sum has at least one term")
}
