/// Sigma of each timestep of training, ascending, in float32 as in diffusers.
#[derive(Debug, Clone)]
pub(crate) struct SigmaTable {
    sigmas: Vec<f32>,
    logs: Vec<f32>,
}

impl SigmaTable {
    pub(crate) fn new(sigmas: Vec<f32>) -> Self {
        Self { logs: sigmas.iter().map(|sigma| sigma.ln()).collect(), sigmas }
    }

    pub(crate) fn min(&self) -> f64 {
        f64::from(self.sigmas[0])
    }

    pub(crate) fn max(&self) -> f64 {
        f64::from(self.sigmas[self.sigmas.len() - 1])
    }

    /// The number of sigmas that are at most `bound`.
    pub(crate) fn count_up_to(&self, bound: f64) -> usize {
        self.sigmas.iter().filter(|&&sigma| f64::from(sigma) <= bound).count()
    }

    /// Sigma at a timestep, interpolated linearly between whole timesteps and clamped to the table.
    pub(crate) fn sigma_of(&self, timestep: f64) -> f64 {
        let last = self.sigmas.len() - 1;
        let low = (timestep.max(0.0) as usize).min(last);
        let (value, next) = (f64::from(self.sigmas[low]), f64::from(self.sigmas[(low + 1).min(last)]));
        value + (next - value) * (timestep - low as f64).clamp(0.0, 1.0)
    }

    /// The timestep of a sigma, interpolated linearly in log sigma and clamped to the table; usually a fraction.
    pub(crate) fn timestep_of(&self, sigma: f64) -> f64 {
        let (logs, log_sigma) = (&self.logs, sigma.max(1e-10).ln());
        let not_above = logs.partition_point(|&log| f64::from(log) <= log_sigma);
        let low = not_above.saturating_sub(1).min(logs.len().saturating_sub(2));
        let high = (low + 1).min(logs.len() - 1);
        let (low_log, high_log) = (f64::from(logs[low]), f64::from(logs[high]));
        let share = ((low_log - log_sigma) / (low_log - high_log)).clamp(0.0, 1.0);
        (1.0 - share) * low as f64 + share * high as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sigmas() -> Vec<f32> {
        (0..50).map(|i| 0.03 * 1.13_f32.powi(i)).collect()
    }

    fn table() -> SigmaTable {
        SigmaTable::new(sigmas())
    }

    /// At whole timesteps, the lookup of a timestep and the lookup of a sigma are inverse.
    #[test]
    fn timestep_of_a_sigma_of_the_table_is_its_index() {
        let table = table();
        for (index, sigma) in sigmas().into_iter().map(f64::from).enumerate() {
            assert_eq!(table.sigma_of(index as f64), sigma);
            assert!((table.timestep_of(sigma) - index as f64).abs() < 1e-4, "{index}");
        }
        assert_eq!((table.timestep_of(0.0), table.timestep_of(1e9)), (0.0, 49.0));
        assert_eq!((table.sigma_of(-1.0), table.sigma_of(77.0)), (table.min(), table.max()));
        assert_eq!((table.count_up_to(table.min()), table.count_up_to(1e9), table.count_up_to(0.0)), (1, 50, 0));
    }

    /// Between whole timesteps, one interpolates in sigma and the other in log sigma: there and back is close.
    #[test]
    fn timesteps_and_sigmas_are_in_the_same_order() {
        let table = table();
        let timesteps: Vec<f64> = (0..490).map(|tenth| f64::from(tenth) / 10.0).collect();
        let sigmas: Vec<f64> = timesteps.iter().map(|&timestep| table.sigma_of(timestep)).collect();
        assert!(sigmas.is_sorted_by(|a, b| a < b));
        for (timestep, sigma) in timesteps.iter().zip(sigmas) {
            assert!((table.timestep_of(sigma) - timestep).abs() < 0.02, "{timestep}");
        }
    }
}
