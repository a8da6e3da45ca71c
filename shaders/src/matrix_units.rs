/// Units that multiply small matrices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MatrixUnits {
    /// Tiles of 8 x 8.
    Eight,
    /// Tiles of 16 x 16.
    Sixteen,
}

impl MatrixUnits {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Eight, Self::Sixteen];

    /// Rows and columns of a workgroup that multiplies on them.
    pub const SIDE: usize = 64;

    pub(crate) fn file(self) -> &'static str {
        match self {
            Self::Eight => include_str!("../matrix_8.wgsl"),
            Self::Sixteen => include_str!("../matrix_16.wgsl"),
        }
    }
}
