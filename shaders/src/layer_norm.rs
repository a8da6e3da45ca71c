//! The variants of layer normalisation.

use crate::{Epilogue, Needs, Stage};

/// `layer_norm.wgsl`, for graphics cards and then for adapters that are a CPU.
pub const STAGE: Stage = Stage {
    name: "layer_norm",
    files: &[include_str!("../norm_common.wgsl"), include_str!("../layer_norm.wgsl")],
    inputs: ["x", "gamma", "beta"],
    variants: &[&[("THREADS", 64)], &[("THREADS", 8)]],
    epilogues: &[Epilogue::Plain],
    needs: Needs::Nothing,
};
