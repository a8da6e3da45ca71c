//! The variants of attention.

use crate::{Constant, Epilogue, Stage};

/// For adapters with workgroup memory, `attention.wgsl`; for heads up to `HEAD_DIM` wide, the narrowest first.
pub const TILED: Stage = Stage {
    name: "attention",
    files: &[include_str!("../attention.wgsl")],
    variants: &[&tiled(64), &tiled(128), &tiled(192), &tiled(512)],
    epilogues: &[Epilogue::Plain],
};

/// For adapters that are a CPU, `attention_software.wgsl`; for heads `HEAD_DIM` wide. More rows at once are faster as long
/// as the compiler unrolls the loops over them, which Mesa does up to forty turns.
pub const SOFTWARE: Stage = Stage {
    name: "attention_software",
    files: &[include_str!("../attention_software.wgsl")],
    variants: &[
        &software(4, 4),
        &software(8, 4),
        &software(16, 4),
        &software(24, 6),
        &software(32, 6),
        &software(40, 6),
        &software(64, 6),
        &software(80, 6),
        &software(160, 4),
        &software(512, 1),
    ],
    epilogues: &[Epilogue::Plain],
};

const fn tiled(head_dim: u32) -> [Constant; 2] {
    [("HEAD_DIM", head_dim), ("TILE_Q", 32)]
}

const fn software(head_dim: u32, rows: u32) -> [Constant; 3] {
    [("HEAD_DIM", head_dim), ("ROWS", rows), ("THREADS", 8)]
}
