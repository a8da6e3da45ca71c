/// Invocations of a workgroup that share a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Threads {
    /// For graphics cards.
    Many,
    /// For adapters that are a CPU.
    Few,
}

impl Threads {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Many, Self::Few];
}
