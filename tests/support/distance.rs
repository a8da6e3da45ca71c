//! The distance between tensors and their reference: one measure for the tests of all crates.

use std::fmt;

use burn::tensor::TensorData;

/// The error of a tensor, relative to its reference. All comparisons check both numbers: the norm overlooks a single wrong
/// value of many, and the maximum a small error of all.
#[derive(Clone, Copy, Default)]
pub(crate) struct Distance {
    /// Relative L2: `|actual - expected| / |expected|` in the Euclidean norm.
    pub(crate) relative: f64,
    /// Max-abs: the largest error of a value over the largest value of the reference.
    pub(crate) largest: f64,
}

impl Distance {
    /// # Panics
    /// If the numbers of values differ.
    pub(crate) fn between(actual: TensorData, expected: TensorData) -> Self {
        let [actual, expected] =
            [actual, expected].map(|data| data.convert::<f32>().try_to_vec::<f32>().expect("converted to float32"));
        assert_eq!(actual.len(), expected.len(), "numbers of values");
        let error: Vec<f64> = actual.iter().zip(&expected).map(|(a, e)| f64::from(a - e)).collect();
        let expected: Vec<f64> = expected.into_iter().map(f64::from).collect();
        let norm = |values: &[f64]| values.iter().map(|value| value * value).sum::<f64>().sqrt();
        let largest = |values: &[f64]| values.iter().map(|value| value.abs()).fold(0.0, f64::max);
        let ratio = |error: f64, expected: f64| if error == 0.0 { 0.0 } else { error / expected };
        Self {
            relative: ratio(norm(&error), norm(&expected)), // NaN if a value is
            largest: ratio(largest(&error), largest(&expected)),
        }
    }

    /// Whether both are at most `tolerance`.
    pub(crate) fn within(self, tolerance: f64) -> bool {
        self.relative <= tolerance && self.largest <= tolerance
    }
}

impl fmt::Display for Distance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "relative L2 {:.1e}, max-abs {:.1e}", self.relative, self.largest)
    }
}

impl fmt::Debug for Distance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
