use std::fmt;
use std::str::FromStr;

use crate::SchedulerError;
use crate::spacing::linspace;

/// rho of Karras et al., <https://arxiv.org/abs/2206.00364>, table 1.
const RHO: f64 = 7.0;
/// Both parameters of the beta distribution in <https://arxiv.org/abs/2407.12173>.
const BETA_SHAPE: f64 = 0.6;
/// Number of halvings after which a term no longer changes an `f64`.
const HALVINGS: u32 = 64;

/// The spacing of a run's noise levels between the largest and the smallest one, where they do not follow from
/// timesteps. `Display` and `FromStr` use the names of the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SigmaSchedule {
    /// Dense at low noise: equation 5 of <https://arxiv.org/abs/2206.00364>.
    Karras,
    /// Equally spaced in log sigma.
    Exponential,
    /// Dense at both ends, quantiles of a beta distribution: <https://arxiv.org/abs/2407.12173>.
    Beta,
}

impl SigmaSchedule {
    /// Every schedule, in the order of the command line's help.
    pub const ALL: [Self; 3] = [Self::Karras, Self::Exponential, Self::Beta];

    /// The name of the schedule in AUTOMATIC1111's web UI.
    #[must_use]
    pub fn automatic1111_name(self) -> &'static str {
        match self {
            Self::Karras => "Karras",
            Self::Exponential => "Exponential",
            Self::Beta => "Beta",
        }
    }

    /// `count` descending levels from `max` to `min`, both included. The final zero is not one of them.
    pub(crate) fn sigmas(self, max: f64, min: f64, count: usize) -> Vec<f64> {
        let shares = linspace(0.0, 1.0, count).into_iter();
        match self {
            Self::Karras => {
                let (max, min) = (max.powf(1.0 / RHO), min.powf(1.0 / RHO));
                shares.map(|share| (max + share * (min - max)).powf(RHO)).collect()
            }
            Self::Exponential => shares.map(|share| (max.ln() + share * (min / max).ln()).exp()).collect(),
            Self::Beta => shares.map(|share| min + beta_quantile(1.0 - share) * (max - min)).collect(),
        }
    }

    pub(crate) fn all_names() -> String {
        Self::ALL.map(|schedule| schedule.to_string()).join(", ")
    }
}

impl fmt::Display for SigmaSchedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.automatic1111_name().to_lowercase())
    }
}

impl FromStr for SigmaSchedule {
    type Err = SchedulerError;

    fn from_str(name: &str) -> Result<Self, SchedulerError> {
        let schedule = Self::ALL.into_iter().find(|schedule| schedule.to_string() == name);
        schedule.ok_or_else(|| SchedulerError::UnknownSchedule(name.to_owned()))
    }
}

/// The quantile of the beta distribution whose two parameters are [`BETA_SHAPE`].
fn beta_quantile(p: f64) -> f64 {
    if p > 0.5 {
        return 1.0 - beta_quantile(1.0 - p); // the density is symmetric
    }
    let weight = 2.0 * p * beta_integral(0.5);
    let (mut low, mut high) = (0.0, 0.5);
    for _ in 0..HALVINGS {
        let middle = (low + high) / 2.0;
        if beta_integral(middle) < weight { low = middle } else { high = middle }
    }
    high
}

/// The integral of (t (1 - t))^(a - 1) from 0 to `x`, at most 1/2, computed with the binomial series of (1 - t)^(a -
/// 1).
fn beta_integral(x: f64) -> f64 {
    let mut power = x.powf(BETA_SHAPE);
    let mut sum = power / BETA_SHAPE;
    for n in (1..HALVINGS).map(f64::from) {
        power *= (n - BETA_SHAPE) / n * x;
        sum += power / (n + BETA_SHAPE);
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The ends and the middle follow the formula in the paper, and the order is descending.
    #[test]
    fn karras_sigmas_follow_the_formula() {
        let sigmas = SigmaSchedule::Karras.sigmas(14.0, 0.03, 11);
        let middle = ((0.03_f64.powf(1.0 / 7.0) + 14.0_f64.powf(1.0 / 7.0)) / 2.0).powi(7);
        assert!((sigmas[0] - 14.0).abs() < 1e-12 && (sigmas[10] - 0.03).abs() < 1e-12);
        assert!((sigmas[5] - middle).abs() < 1e-12);
    }

    /// Every schedule falls from the largest level to the smallest.
    #[test]
    fn schedules_fall_from_end_to_end() {
        for schedule in SigmaSchedule::ALL {
            for count in 2..200 {
                let sigmas = schedule.sigmas(14.6146, 0.0292, count);
                assert!(sigmas.is_sorted_by(|a, b| a > b), "{schedule} {count}");
                let ends = [sigmas[0] - 14.6146, sigmas[count - 1] - 0.0292];
                assert!(ends.iter().all(|end| end.abs() < 1e-9), "{schedule} {count}: {ends:?}");
            }
            assert!((schedule.sigmas(14.0, 0.03, 1)[0] - 14.0).abs() < 1e-9, "{schedule}");
        }
    }

    /// One tenth of the density of the beta distribution lies between each two of eleven levels.
    #[test]
    fn beta_levels_are_quantiles() {
        let levels = SigmaSchedule::Beta.sigmas(1.0, 0.0, 11);
        // x = sin^2(angle) removes the poles of the density at both ends.
        let density = |angle: f64| (angle.sin() * angle.cos()).powf(2.0 * BETA_SHAPE - 1.0);
        let integral = |from: f64, to: f64| {
            let (from, to) = (from.sqrt().asin(), to.sqrt().asin());
            let step = (to - from) / 20_000.0;
            (0..20_000).map(|i| density(from + (f64::from(i) + 0.5) * step) * step).sum::<f64>()
        };
        let total = integral(0.0, 1.0);
        for pair in levels.windows(2) {
            assert!((integral(pair[1], pair[0]) / total - 0.1).abs() < 1e-5, "{pair:?}");
        }
    }
}
