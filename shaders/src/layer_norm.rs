//! Layer normalisation.

use crate::Program;
use crate::parameters::layout;

/// The names of the tensors of the first three bindings.
pub const INPUTS: [&str; 3] = ["x", "weight", "bias"];

layout! {
    /// Parameters of every variant.
    Parameters {
        /// Tokens of the whole batch.
        rows: u32,
        /// Width of a token, a multiple of four.
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
}

/// Invocations that share a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Threads {
    /// 64, for graphics cards.
    Many,
    /// 8, for adapters that are a CPU.
    Few,
}

impl Stage {
    /// All variants.
    pub fn all() -> Vec<Self> {
        [Threads::Many, Threads::Few].map(|threads| Self { threads }).into()
    }

    pub(crate) fn program(self) -> Program {
        let files = [include_str!("../norm_common.wgsl"), include_str!("../layer_norm.wgsl")];
        let threads = match self.threads {
            Threads::Many => 64,
            Threads::Few => 8,
        };
        Program::new("layer_norm", &files).with(&[("THREADS", threads)])
    }
}
