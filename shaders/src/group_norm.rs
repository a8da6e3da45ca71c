//! Group normalisation.

use crate::parameters::layout;
use crate::{Lanes, Program, Threads};

/// The names of the tensors of the first three bindings.
pub const INPUTS: [&str; 3] = ["x", "weight", "bias"];

layout! {
    /// Parameters of every variant.
    Parameters {
        /// Groups of the whole batch.
        rows: u32,
        /// Groups of an image.
        groups: u32,
        /// Channels of a group.
        channels: u32,
        /// Pixels of a channel, a multiple of the lanes.
        pixels: u32,
        /// Added to the variance.
        epsilon: f32,
    }
}

/// A variant of `group_norm.wgsl`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Stage {
    /// Whether x * sigmoid(x) follows.
    pub silu: bool,
    /// Invocations of a workgroup.
    pub threads: Threads,
    /// Values that an invocation reads at a time.
    pub lanes: Lanes,
}

impl Stage {
    /// All variants.
    pub fn all() -> Vec<Self> {
        let mut stages = Vec::new();
        for lanes in Lanes::ALL {
            for threads in Threads::ALL {
                stages.extend([false, true].map(|silu| Self { silu, threads, lanes }));
            }
        }
        stages
    }

    pub(crate) fn program(self) -> Program {
        let files = [self.lanes.file(), include_str!("../norm_common.wgsl"), include_str!("../group_norm.wgsl")];
        let threads = match self.threads {
            Threads::Many => 256,
            Threads::Few => 16,
        };
        Program::new("group_norm", &files).with(&[("SILU", u32::from(self.silu)), ("THREADS", threads)])
    }
}
