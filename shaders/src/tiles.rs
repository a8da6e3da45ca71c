use crate::Constant;

/// Tiles of a product of matrices in workgroup memory. Large ones load least; small ones keep more of an adapter busy where the
/// product is small.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tiles {
    /// 128 rows x 128 columns, 8 terms at a time.
    Large,
    /// 64 rows x 64 columns, 16 terms at a time.
    Medium,
    /// 32 rows x 32 columns, 16 terms at a time.
    Small,
}

impl Tiles {
    /// The largest first.
    pub const ALL: [Self; 3] = [Self::Large, Self::Medium, Self::Small];

    /// Rows and columns, which are equally many.
    pub fn side(self) -> usize {
        match self {
            Self::Large => 128,
            Self::Medium => 64,
            Self::Small => 32,
        }
    }

    /// `TILE_M` rows x `TILE_N` columns of a workgroup, `TILE_K` terms at a time, and `THREADS_M` x `THREADS_N` invocations of
    /// eight rows x eight columns, or of four x eight in the smallest.
    pub(crate) fn constants(self) -> [Constant; 5] {
        let side = self.side() as u32;
        let [terms, threads_m, threads_n] = match self {
            Self::Large => [8, 16, 16],
            Self::Medium => [16, 8, 8],
            Self::Small => [16, 8, 4],
        };
        [("TILE_M", side), ("TILE_N", side), ("TILE_K", terms), ("THREADS_M", threads_m), ("THREADS_N", threads_n)]
    }
}
