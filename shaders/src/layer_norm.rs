//! Layer normalisation.

use crate::parameters::layout;
use crate::{Lanes, Program, Threads};

/// The names of the tensors of the first three bindings.
pub const INPUTS: [&str; 3] = ["x", "weight", "bias"];

layout! {
    /// Parameters of every variant.
    Parameters {
        /// Tokens of the whole batch.
        rows: u32,
        /// Width of a token, a multiple of the lanes.
        width: u32,
        /// Added to the variance.
        epsilon: f32,
    }
}

/// A variant of `layer_norm.wgsl`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Stage {
    /// Invocations of a workgroup.
    pub threads: Threads,
    /// Values that an invocation reads at a time.
    pub lanes: Lanes,
}

impl Stage {
    /// All variants.
    pub fn all() -> Vec<Self> {
        Lanes::ALL.into_iter().flat_map(|lanes| Threads::ALL.map(|threads| Self { threads, lanes })).collect()
    }

    pub(crate) fn program(self) -> Program {
        let files = [self.lanes.file(), include_str!("../norm_common.wgsl"), include_str!("../layer_norm.wgsl")];
        let threads = match self.threads {
            Threads::Many => 64,
            Threads::Few => 8,
        };
        Program::new("layer_norm", &files).with(&[("THREADS", threads)])
    }
}
