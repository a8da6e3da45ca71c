use burn::tensor::Tensor;

use crate::noise_schedule::NoiseSchedule;
use crate::timesteps::{linspace, spaced};
use crate::{SchedulerConfig, TimestepSpacing};

/// rho of Karras et al., <https://arxiv.org/abs/2206.00364>, table 1.
const RHO: f64 = 7.0;

/// The noise levels of a sampler that works on x = `x_0` + sigma * epsilon, <https://arxiv.org/abs/2206.00364>.
///
/// Timesteps and sigmas are rounded to float32, the type in which diffusers holds them.
#[derive(Debug, Clone)]
pub(crate) struct SigmaSchedule {
    pub(crate) timesteps: Vec<f64>,
    /// One more than timesteps: the level after the last step, zero as a rule.
    pub(crate) sigmas: Vec<f64>,
    /// Sigma of each training timestep, for [`timestep_of`].
    log_sigmas: Vec<f32>,
    spacing: TimestepSpacing,
}

impl SigmaSchedule {
    /// `steps` levels, spaced as Karras et al. do if `karras`, and zero. An absent spacing is `linspace`.
    pub(crate) fn new(noise: &NoiseSchedule, config: &SchedulerConfig, steps: usize, karras: bool) -> Self {
        let spacing = config.timestep_spacing.unwrap_or(TimestepSpacing::Linspace);
        let mut timesteps = spaced(spacing, noise.train_steps(), steps, config.steps_offset.unwrap_or(0));
        timesteps.iter_mut().for_each(round_to_f32);
        let table = noise.sigmas();
        let log_sigmas: Vec<f32> = table.iter().map(|sigma| sigma.ln()).collect();
        let mut sigmas: Vec<f64> = timesteps.iter().map(|&timestep| interpolate(&table, timestep)).collect();
        if karras {
            sigmas = karras_sigmas(sigmas[steps - 1], sigmas[0], steps);
            timesteps = sigmas.iter().map(|&sigma| timestep_of(sigma, &log_sigmas)).collect();
            timesteps.iter_mut().for_each(round_to_f32);
        }
        sigmas.push(0.0);
        sigmas.iter_mut().for_each(round_to_f32);
        Self { timesteps, sigmas, log_sigmas, spacing }
    }

    /// Each position is visited twice but the first, as methods of second order do.
    pub(crate) fn doubled(values: &[f64]) -> Vec<f64> {
        let twice = values.iter().flat_map(|&value| [value, value]);
        twice.skip(1).collect()
    }

    /// The timestep whose noise level `sigma` is, as a rule a fraction.
    pub(crate) fn timestep_of(&self, sigma: f64) -> f64 {
        timestep_of(sigma, &self.log_sigmas)
    }

    /// The largest sigma; with `leading` spacing the size of a sample at that level.
    pub(crate) fn init_noise_sigma(&self) -> f64 {
        let max = self.sigmas.iter().copied().fold(0.0, f64::max);
        if self.spacing == TimestepSpacing::Leading { max.hypot(1.0) } else { max }
    }
}

/// The model sees samples of unit variance.
///
/// # Shapes
/// - `sample` and output: `[batch, channels, height, width]`
pub(crate) fn scale_to_unit(sample: Tensor<4>, sigma: f64) -> Tensor<4> {
    sample / sigma.hypot(1.0)
}

/// Equation 5 of <https://arxiv.org/abs/2206.00364>, descending, without the final zero.
pub(crate) fn karras_sigmas(min: f64, max: f64, count: usize) -> Vec<f64> {
    let (min, max) = (min.powf(1.0 / RHO), max.powf(1.0 / RHO));
    linspace(0.0, 1.0, count).iter().map(|ramp| (max + ramp * (min - max)).powf(RHO)).collect()
}

/// The timestep at which the schedule has this sigma, interpolated linearly in log sigma and kept within the schedule.
pub(crate) fn timestep_of(sigma: f64, log_sigmas: &[f32]) -> f64 {
    let log_sigma = sigma.max(1e-10).ln();
    let not_above = log_sigmas.partition_point(|&log| f64::from(log) <= log_sigma);
    let low = not_above.saturating_sub(1).min(log_sigmas.len().saturating_sub(2));
    let high = (low + 1).min(log_sigmas.len() - 1);
    let (low_log, high_log) = (f64::from(log_sigmas[low]), f64::from(log_sigmas[high]));
    let share = ((low_log - log_sigma) / (low_log - high_log)).clamp(0.0, 1.0);
    (1.0 - share) * low as f64 + share * high as f64
}

/// The table's value at a fraction of an index; the ends go on beyond the table.
pub(crate) fn interpolate(table: &[f32], position: f64) -> f64 {
    let last = table.len() - 1;
    let low = (position.max(0.0) as usize).min(last);
    let (value, next) = (f64::from(table[low]), f64::from(table[(low + 1).min(last)]));
    value + (next - value) * (position - low as f64).clamp(0.0, 1.0)
}

pub(crate) fn round_to_f32(value: &mut f64) {
    *value = f64::from(*value as f32);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ends and middle of the formula in the paper, and descending order.
    #[test]
    fn karras_sigmas_follow_the_formula() {
        let sigmas = karras_sigmas(0.03, 14.0, 11);
        let middle = ((0.03_f64.powf(1.0 / 7.0) + 14.0_f64.powf(1.0 / 7.0)) / 2.0).powi(7);
        assert!((sigmas[0] - 14.0).abs() < 1e-12 && (sigmas[10] - 0.03).abs() < 1e-12);
        assert!((sigmas[5] - middle).abs() < 1e-12);
        assert!(sigmas.is_sorted_by(|a, b| a > b));
    }

    /// Looking up the timestep of a level and the level of a timestep undo each other at whole timesteps.
    #[test]
    fn timestep_of_a_sigma_of_the_table_is_its_index() {
        let table: Vec<f32> = (0..50).map(|i| 0.03 * 1.13_f32.powi(i)).collect();
        let logs: Vec<f32> = table.iter().map(|sigma| sigma.ln()).collect();
        for index in 0..50 {
            let timestep = timestep_of(f64::from(table[index]), &logs);
            assert!((timestep - index as f64).abs() < 1e-4, "{timestep}");
            assert_eq!(interpolate(&table, index as f64), f64::from(table[index]));
        }
        assert_eq!((timestep_of(0.0, &logs), timestep_of(1e9, &logs)), (0.0, 49.0));
    }
}
