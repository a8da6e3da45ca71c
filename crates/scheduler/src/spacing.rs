use serde::{Deserialize, Serialize};

/// The selection of the training timesteps, table 2 of <https://arxiv.org/abs/2305.08891>.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TimestepSpacing {
    /// From the last timestep to 0, both included.
    Linspace,
    /// Multiples of an integer from 0 upwards, plus `steps_offset`.
    Leading,
    /// From the last timestep downwards, without 0.
    Trailing,
}

/// `count` descending timesteps out of `train`. Those of `Linspace` are not rounded.
pub(crate) fn spaced(spacing: TimestepSpacing, train: usize, count: usize, offset: usize) -> Vec<f64> {
    match spacing {
        TimestepSpacing::Linspace => linspace_descending(train, count),
        TimestepSpacing::Leading => multiples_descending(train / count, count, offset),
        TimestepSpacing::Trailing => trailing(train, train, count),
    }
}

/// The first `count` of `count + 1` whole timesteps below `last`, as in the multistep solvers: the last step leads
/// beyond the smallest timestep.
pub(crate) fn spaced_open(
    spacing: TimestepSpacing,
    train: usize,
    last: usize,
    count: usize,
    offset: usize,
) -> Vec<f64> {
    let mut timesteps = match spacing {
        TimestepSpacing::Linspace => linspace_descending(last, count + 1),
        TimestepSpacing::Leading => multiples_descending(last / (count + 1), count + 1, offset),
        TimestepSpacing::Trailing => trailing(train, last, count),
    };
    timesteps.truncate(count);
    timesteps.into_iter().map(f64::round_ties_even).collect()
}

/// From `train - 1` to 0.
fn linspace_descending(train: usize, count: usize) -> Vec<f64> {
    linspace(0.0, (train - 1) as f64, count).into_iter().rev().collect()
}

fn multiples_descending(ratio: usize, count: usize, offset: usize) -> Vec<f64> {
    (0..count).rev().map(|i| (i * ratio + offset) as f64).collect()
}

/// From `last - 1` downwards in steps of `train / count`. Where rounding gives one value too many in numpy's `arange`,
/// -1, it is left out.
fn trailing(train: usize, last: usize, count: usize) -> Vec<f64> {
    let (train, last, ratio) = (train as f64, last as f64, train as f64 / count as f64);
    let step = (train - ratio) - train;
    let descending = (0..count).map(|i| last + i as f64 * step).take_while(|&timestep| timestep > 0.0);
    descending.map(|timestep| timestep.round_ties_even() - 1.0).filter(|&timestep| timestep >= 0.0).collect()
}

/// `numpy.linspace`: `count` values from `start` to `end`, both included; only `start` if `count` is one.
pub(crate) fn linspace(start: f64, end: f64, count: usize) -> Vec<f64> {
    let step = (end - start) / count.saturating_sub(1).max(1) as f64;
    (0..count).map(|i| if i > 0 && i + 1 == count { end } else { start + i as f64 * step }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rows of the table in the paper cited above, for 1000 timesteps and 10 steps.
    #[test]
    fn spacings_are_those_of_the_paper() {
        let leading: Vec<f64> = (0..10).rev().map(|i| f64::from(i) * 100.0).collect();
        let trailing: Vec<f64> = (1..=10).rev().map(|i| f64::from(i) * 100.0 - 1.0).collect();
        let linspace = [999.0, 888.0, 777.0, 666.0, 555.0, 444.0, 333.0, 222.0, 111.0, 0.0];
        assert_eq!(spaced(TimestepSpacing::Leading, 1000, 10, 0), leading);
        assert_eq!(spaced(TimestepSpacing::Trailing, 1000, 10, 0), trailing);
        assert_eq!(spaced(TimestepSpacing::Linspace, 1000, 10, 0), linspace);
    }

    /// Every count gives this number of timesteps, descending and within the schedule.
    #[test]
    fn every_count_is_served() {
        for spacing in [TimestepSpacing::Linspace, TimestepSpacing::Leading, TimestepSpacing::Trailing] {
            for count in 1..1000 {
                for timesteps in [spaced(spacing, 1000, count, 0), spaced_open(spacing, 1000, 1000, count, 0)] {
                    assert_eq!(timesteps.len(), count, "{spacing:?}");
                    assert!(timesteps.iter().all(|timestep| (0.0..1000.0).contains(timestep)), "{spacing:?} {count}");
                    assert!(timesteps.is_sorted_by(|a, b| a > b), "{spacing:?} {count}");
                }
            }
        }
    }
}
