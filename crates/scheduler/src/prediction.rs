use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::SchedulerConfig;
use crate::level::{Level, weighted_sum};
use crate::limit::Limit;

/// The quantity that a network predicts from a noisy sample.
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

/// Converts a network's output to the denoised sample or the noise. No sampler needs to know the prediction type.
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
    pub(crate) fn denoised(&self, output: Tensor<4>, sample: Tensor<4>, level: Level) -> Tensor<4> {
        let Level { alpha, sigma } = level;
        let norm = level.norm();
        let (of_sample, of_output) = match self.kind {
            PredictionType::Epsilon => (1.0 / alpha, -sigma / alpha),
            PredictionType::VPrediction => (alpha / norm.powi(2), -sigma / norm),
            PredictionType::Sample => (0.0, 1.0),
        };
        self.limit.apply(weighted_sum([(of_sample, sample), (of_output, output)]))
    }

    /// The noise according to the output; the limit of `x_0` does not affect it.
    ///
    /// # Shapes
    /// - `output`, `sample` and result: `[batch, channels, height, width]`
    pub(crate) fn epsilon(&self, output: Tensor<4>, sample: Tensor<4>, level: Level) -> Tensor<4> {
        let Level { alpha, sigma } = level;
        let norm = level.norm();
        let (of_sample, of_output) = match self.kind {
            PredictionType::Epsilon => (0.0, 1.0),
            PredictionType::VPrediction => (sigma / norm.powi(2), alpha / norm),
            PredictionType::Sample => (1.0 / sigma, -alpha / sigma),
        };
        weighted_sum([(of_sample, sample), (of_output, output)])
    }
}
