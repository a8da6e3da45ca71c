/// Values that an invocation reads at a time; a row is a multiple of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lanes {
    /// One.
    One,
    /// Four.
    Four,
}

impl Lanes {
    /// Both.
    pub const ALL: [Self; 2] = [Self::One, Self::Four];

    /// The most for rows of this length.
    pub fn of(length: usize) -> Self {
        if length.is_multiple_of(4) { Self::Four } else { Self::One }
    }

    /// 1 or 4.
    pub fn count(self) -> usize {
        match self {
            Self::One => 1,
            Self::Four => 4,
        }
    }

    pub(crate) fn file(self) -> &'static str {
        match self {
            Self::One => include_str!("../norm_1.wgsl"),
            Self::Four => include_str!("../norm_4.wgsl"),
        }
    }
}
