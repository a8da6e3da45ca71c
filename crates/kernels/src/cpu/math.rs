//! Scalar functions without branches and reductions without a serial chain, so that loops over them vectorise.

use std::f32::consts::{FRAC_1_SQRT_2, LOG2_E};

/// Partial results of a reduction, enough to fill two of the widest registers.
const LANES: usize = 32;

/// `e^x` to one unit in the last place, for `x` clamped to the finite range.
///
/// `x = n ln 2 + r`, and `e^r` by the polynomial of Cephes' `expf`.
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    // Adding 1.5 * 2^23 rounds to an integer, which is left in the low bits of the sum.
    const ROUND: f32 = 12_582_912.0;
    // ln 2 in two parts: the first has few digits, so that its product with n is exact.
    const LN_2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];
    const POLYNOMIAL: [f32; 5] = [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_6e-1, 0.5];

    let x = x.clamp(-87.3, 88.7);
    let shifted = x * LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = x - n * LN_2[0] - n * LN_2[1];
    let p = POLYNOMIAL.iter().fold(1.987_569_1e-4, |p, coefficient| p * r + coefficient);
    let two_to_n = f32::from_bits(shifted.to_bits().wrapping_add(127) << 23);
    (p * r * r + r + 1.0) * two_to_n
}

/// `x * sigmoid(x)`.
#[inline(always)]
pub(super) fn silu(x: f32) -> f32 {
    x / (1.0 + exp(-x))
}

/// The derivative of [`silu`].
#[inline(always)]
pub(super) fn silu_slope(x: f32) -> f32 {
    let sigmoid = 1.0 / (1.0 + exp(-x));
    sigmoid * (1.0 + x * (1.0 - sigmoid))
}

/// `x * Phi(x)`.
#[inline(always)]
pub(super) fn gelu(x: f32) -> f32 {
    x * normal(x)
}

/// The derivative of [`gelu`], `Phi(x) + x Phi'(x)`.
#[inline(always)]
pub(super) fn gelu_slope(x: f32) -> f32 {
    const DENSITY_AT_0: f32 = 0.398_942_3;

    normal(x) + x * DENSITY_AT_0 * exp(-0.5 * x * x)
}

/// `Phi(x)`, the normal distribution function, by Abramowitz and Stegun 7.1.26 (error below 1.5e-7).
#[inline(always)]
fn normal(x: f32) -> f32 {
    const POLYNOMIAL: [f32; 4] = [-1.453_152_1, 1.421_413_8, -0.284_496_72, 0.254_829_6];

    let z = x.abs() * FRAC_1_SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * z);
    let p = POLYNOMIAL.iter().fold(1.061_405_4, |p, coefficient| p * t + coefficient);
    let half_erfc = 0.5 * p * t * exp(-z * z);
    if x > 0.0 { 1.0 - half_erfc } else { half_erfc }
}

/// The largest value, or `f32::MIN` of none.
#[inline(always)]
pub(super) fn max(x: &[f32]) -> f32 {
    let larger = |a: f32, b: f32| if b > a { b } else { a };
    let (chunks, rest) = x.as_chunks::<LANES>();
    let mut lanes = [f32::MIN; LANES];
    for chunk in chunks {
        for (lane, &value) in lanes.iter_mut().zip(chunk) {
            *lane = larger(*lane, value);
        }
    }
    lanes.into_iter().chain(rest.iter().copied()).fold(f32::MIN, larger)
}

/// The sum of `f` over the values.
#[inline(always)]
pub(super) fn sum(x: &[f32], f: impl Fn(f32) -> f32) -> f32 {
    let (chunks, rest) = x.as_chunks::<LANES>();
    let mut lanes = [0.0; LANES];
    for chunk in chunks {
        for (lane, &value) in lanes.iter_mut().zip(chunk) {
            *lane += f(value);
        }
    }
    lanes.into_iter().sum::<f32>() + rest.iter().map(|&value| f(value)).sum::<f32>()
}

/// The sum of the products of neighbours.
#[inline(always)]
pub(super) fn dot(x: &[f32], y: &[f32]) -> f32 {
    let ((x, x_rest), (y, y_rest)) = (x.as_chunks::<LANES>(), y.as_chunks::<LANES>());
    let mut lanes = [0.0; LANES];
    for (x, y) in x.iter().zip(y) {
        for ((lane, x), y) in lanes.iter_mut().zip(x).zip(y) {
            *lane += x * y;
        }
    }
    lanes.into_iter().sum::<f32>() + x_rest.iter().zip(y_rest).map(|(x, y)| x * y).sum::<f32>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_follows_the_double_precision_one() {
        for i in -8700..8800 {
            let x = i as f32 / 100.0 + 1e-3;
            let expected = f64::from(x).exp();
            assert!((f64::from(exp(x)) / expected - 1.0).abs() < 1.5e-7, "at {x}");
        }
        assert!(exp(f32::NEG_INFINITY) < 1.3e-38);
    }

    #[test]
    fn reductions_count_every_value_once() {
        for len in [0, 1, 31, 32, 33, 100] {
            let x: Vec<f32> = (0..len).map(|i| i as f32 - 200.0).collect();
            assert_eq!(sum(&x, |value| value + 200.0), (0..len).sum::<usize>() as f32);
            assert_eq!(max(&x), x.last().copied().unwrap_or(f32::MIN));
        }
    }
}
