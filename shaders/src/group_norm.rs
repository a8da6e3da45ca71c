//! The variants of group normalisation.

use crate::{Constant, Epilogue, Needs, Stage};

/// `group_norm.wgsl`, without and with an activation, for graphics cards and then for adapters that are a CPU.
pub const STAGE: Stage = Stage {
    name: "group_norm",
    files: &[include_str!("../norm_common.wgsl"), include_str!("../group_norm.wgsl")],
    inputs: ["x", "gamma", "beta"],
    variants: &[&variant(0, 256), &variant(1, 256), &variant(0, 16), &variant(1, 16)],
    epilogues: &[Epilogue::Plain],
    needs: Needs::Nothing,
};

const fn variant(silu: u32, threads: u32) -> [Constant; 2] {
    [("SILU", silu), ("THREADS", threads)]
}
