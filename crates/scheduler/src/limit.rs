use burn::tensor::{Bool, Tensor};

use crate::SchedulerConfig;

/// Bisections of the interval that contains a quantile: enough to distinguish any two float32 values of the same
/// magnitude.
const BISECTIONS: usize = 32;

/// The limit of the denoised sample.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Limit {
    None,
    /// Clipping to [-range, range].
    Clip {
        range: f64,
    },
    /// Dynamic thresholding, <https://arxiv.org/abs/2205.11487>, section 2.3: each image is clipped to a quantile of
    /// its magnitudes and divided by this quantile, which is limited to the range from 1 to `max`.
    Threshold {
        ratio: f64,
        max: f64,
    },
}

impl Limit {
    /// For the classes that know `clip_sample`; `clipped` is its default.
    pub(crate) fn clip(config: &SchedulerConfig, clipped: bool) -> Self {
        match config.clip_sample.unwrap_or(clipped) {
            true => Self::Clip { range: config.clip_sample_range.unwrap_or(1.0) },
            false => Self::None,
        }
    }

    /// For the classes that know `thresholding`.
    pub(crate) fn threshold(config: &SchedulerConfig) -> Self {
        let (ratio, max) = (config.dynamic_thresholding_ratio.unwrap_or(0.995), config.sample_max_value.unwrap_or(1.0));
        if config.thresholding == Some(true) { Self::Threshold { ratio, max } } else { Self::None }
    }

    /// For the classes that know both; thresholding takes precedence.
    pub(crate) fn threshold_or_clip(config: &SchedulerConfig, clipped: bool) -> Self {
        let threshold = Self::threshold(config);
        if threshold == Self::None { Self::clip(config, clipped) } else { threshold }
    }

    /// # Shapes
    /// - `denoised` and output: `[batch, channels, height, width]`
    pub(crate) fn apply(self, denoised: Tensor<4>) -> Tensor<4> {
        match self {
            Self::None => denoised,
            Self::Clip { range } => denoised.clamp(-range, range),
            Self::Threshold { ratio, max } => dynamic_threshold(denoised, ratio, max),
        }
    }
}

fn dynamic_threshold(denoised: Tensor<4>, ratio: f64, max: f64) -> Tensor<4> {
    let [batch, channels, height, width] = denoised.dims();
    let flat: Tensor<2> = denoised.reshape([batch, channels * height * width]);
    // If the upper bound is below 1, it takes precedence.
    let bound = quantile(flat.clone().abs(), ratio).clamp(f64::min(1.0, max), max); // [batch, 1]
    let clipped = flat.min_pair(bound.clone()).max_pair(-bound.clone());
    (clipped / bound).reshape([batch, channels, height, width])
}

/// The quantile of each row of non-negative values, interpolated linearly as in `torch.quantile`.
///
/// burn's sort reads the values back to the host, which a scheduler must not do; the quantile is therefore found by
/// bisection.
///
/// # Shapes
/// - `values`: `[batch, values]`; output: `[batch, 1]`
fn quantile(values: Tensor<2>, ratio: f64) -> Tensor<2> {
    let count = values.dims()[1];
    let position = ratio * (count - 1) as f64;
    let rank = position.floor();
    let lower = order_statistic(values.clone(), rank);
    // If the value repeats, the next value in order is the same.
    let above = values.clone().greater(lower.clone());
    let largest = values.clone().max_dim(1);
    let next = largest.expand(values.dims()).mask_where(above, values.clone()).min_dim(1);
    let repeats = count_up_to(&values, lower.clone()).greater_equal_elem(rank + 2.0);
    let upper = next.mask_where(repeats, lower.clone());
    lower.clone() + (upper - lower) * (position - rank)
}

/// The value of each row with `rank` values before it in ascending order.
fn order_statistic(values: Tensor<2>, rank: f64) -> Tensor<2> {
    let mut high = values.clone().max_dim(1); // [batch, 1]
    let mut low = high.zeros_like() - 1.0;
    for _ in 0..BISECTIONS {
        let middle = (low.clone() + high.clone()) / 2.0;
        let enough = count_up_to(&values, middle.clone()).greater_equal_elem(rank + 1.0);
        high = high.mask_where(enough.clone(), middle.clone());
        low = middle.mask_where(enough, low);
    }
    // The interval contains one value now: the largest one up to its end.
    let beyond = values.clone().greater(high);
    values.mask_fill(beyond, 0.0).max_dim(1)
}

fn count_up_to(values: &Tensor<2>, bound: Tensor<2>) -> Tensor<2> {
    let within: Tensor<2, Bool> = values.clone().lower_equal(bound);
    within.float().sum_dim(1)
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    /// The quantile of values whose order is known, with repetitions and at both ends.
    #[test]
    fn quantile_is_that_of_the_sorted_values() {
        let rows = [[0.5, 3.0, 0.25, 3.0, 1e-6, 7.0, 2.0], [0.0, 0.0, 0.0, 4.0, 4.0, 4.0, 5.0]];
        for ratio in [0.0, 0.2, 0.5, 0.75, 0.995, 1.0] {
            let found = quantile(Tensor::from_data(rows, &Device::flex()), ratio);
            let found = found.into_data().try_to_vec::<f32>().expect("float32 values");
            for (row, found) in rows.iter().zip(found) {
                let mut sorted = *row;
                sorted.sort_by(f64::total_cmp);
                let position = ratio * 6.0;
                let (below, above) = (sorted[position as usize], sorted[(position.ceil()) as usize]);
                let expected = below + (above - below) * position.fract();
                assert!((f64::from(found) - expected).abs() < 1e-6, "{ratio}: {found} instead of {expected}");
            }
        }
    }
}
