//! The numbers that a stage is started with.

/// WebGPU's limit on the workgroups of a dimension.
const LARGEST_COUNT: usize = 65_535;

/// Rows and columns of a result that one workgroup makes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tile {
    pub(super) rows: usize,
    pub(super) columns: usize,
}

impl From<[usize; 2]> for Tile {
    fn from([rows, columns]: [usize; 2]) -> Self {
        Self { rows, columns }
    }
}

impl Tile {
    /// Workgroups for a result of so many rows and columns, `None` if they are too many. A stage finds its tile's column as
    /// `z * 65535 + x`.
    pub(super) fn across(self, [rows, columns]: [usize; 2]) -> Option<[usize; 3]> {
        let columns = columns.div_ceil(self.columns);
        within_limits([columns.min(LARGEST_COUNT), rows.div_ceil(self.rows), columns.div_ceil(LARGEST_COUNT)])
    }

    /// Workgroups for a batch of results, `None` if they are too many.
    pub(super) fn batched(self, [batch, rows, columns]: [usize; 3]) -> Option<[usize; 3]> {
        within_limits([columns.div_ceil(self.columns), rows.div_ceil(self.rows), batch])
    }
}

/// A size as the shaders have it.
///
/// # Panics
/// If it is 4 Gi or more, which no tensor of a GPU has.
pub(super) fn narrow(size: usize) -> u32 {
    u32::try_from(size).expect("tensors are smaller than 4 Gi")
}

fn within_limits(workgroups: [usize; 3]) -> Option<[usize; 3]> {
    workgroups.iter().all(|&count| count <= LARGEST_COUNT).then_some(workgroups)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use pyrograph_shaders::{attention, conv2d, matmul};

    use super::{LARGEST_COUNT, Tile};

    /// Within the limit, and at least as many rows and columns as the result has.
    fn covers(tile: Tile, workgroups: [usize; 3], [rows, columns]: [usize; 2]) -> Result<(), TestCaseError> {
        let [x, y, z] = workgroups;
        prop_assert!(workgroups.iter().all(|&count| (1..=LARGEST_COUNT).contains(&count)), "{workgroups:?}");
        prop_assert!(x * z * tile.columns >= columns && y * tile.rows >= rows, "{workgroups:?} of {tile:?}");
        Ok(())
    }

    proptest! {
        #[test]
        fn convolutions_are_covered(batch in 1..257usize, channels in 1..20_000usize, size in [1..9_000usize, 1..9_000]) {
            for stage in conv2d::Stage::all() {
                let (tile, columns) = stage.tile([batch, size[0], size[1]]);
                let tile = Tile::from(tile);
                let workgroups = tile.across([channels, columns]);
                covers(tile, workgroups.expect("no convolution is too large"), [channels, columns])?;
            }
        }

        #[test]
        fn products_are_covered(batch in 1..100_000usize, rows in 1..2_000_000usize, columns in 1..100_000usize) {
            for stage in matmul::Stage::all() {
                let tile = Tile::from(stage.tile());
                match tile.batched([batch, rows, columns]) {
                    Some([x, y, z]) => {
                        prop_assert_eq!(z, batch);
                        covers(tile, [x, y, 1], [rows, columns])?;
                    }
                    None => prop_assert!(batch > LARGEST_COUNT || rows > 8 * LARGEST_COUNT),
                }
            }
        }

        #[test]
        fn attentions_are_covered(batch in 1..100_000usize, heads in 1..100_000usize, tokens in 1..5_000_000usize) {
            for stage in attention::Stage::all() {
                let tile = Tile { rows: 1, columns: stage.queries() };
                match tile.batched([batch, heads, tokens]) {
                    Some([x, y, z]) => {
                        prop_assert_eq!(z, batch);
                        covers(tile, [x, y, 1], [heads, tokens])?;
                    }
                    None => prop_assert!(batch.max(heads) > LARGEST_COUNT || tokens > 8 * LARGEST_COUNT),
                }
            }
        }

        #[test]
        fn normalisations_are_covered(rows in 1..1usize << 32) {
            let tile = Tile { rows: 1, columns: 1 };
            match tile.across([1, rows]) {
                Some(workgroups) => covers(tile, workgroups, [1, rows])?,
                None => prop_assert!(rows > LARGEST_COUNT * LARGEST_COUNT),
            }
        }
    }
}
