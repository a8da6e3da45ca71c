//! The variants of attention.

use crate::{Constant, Epilogue, Needs, Stage};

/// The widest head of any stage.
pub const WIDEST_HEAD: usize = 512;

/// For adapters with workgroup memory, `attention.wgsl`; for heads up to `HEAD_DIM` wide, the narrowest first.
pub const TILED: Stage = Stage {
    name: "attention",
    files: &[include_str!("../attention.wgsl")],
    inputs: ["q", "k", "v"],
    variants: &[&tiled(64), &tiled(128), &tiled(192), &tiled(WIDEST_HEAD as u32)],
    epilogues: &[Epilogue::Plain],
    needs: Needs::Nothing,
};

/// For adapters that multiply matrices of 8 x 8, `attention_matrix.wgsl`; for heads up to `HEAD_DIM` wide, the narrowest first.
pub const MATRIX_8: Stage = matrix("attention_matrix_8", &[crate::MATRIX_8, MATRIX]);

/// For adapters that multiply matrices of 16 x 16, `attention_matrix.wgsl`.
pub const MATRIX_16: Stage = matrix("attention_matrix_16", &[crate::MATRIX_16, MATRIX]);

/// For adapters that are a CPU, `attention_software.wgsl`; for heads `HEAD_DIM` wide. More rows at once are faster as long
/// as the compiler unrolls the loops over them, which Mesa does up to forty turns.
pub const SOFTWARE: Stage = Stage {
    name: "attention_software",
    files: &[include_str!("../attention_software.wgsl")],
    inputs: ["q", "k", "v"],
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
    needs: Needs::Nothing,
};

const fn tiled(head_dim: u32) -> [Constant; 2] {
    [("HEAD_DIM", head_dim), ("TILE_Q", 32)]
}

const TILE: Constant = ("TILE", 32);
const MATRIX: &str = include_str!("../attention_matrix.wgsl");

const fn matrix(name: &'static str, files: &'static [&'static str]) -> Stage {
    Stage {
        name,
        files,
        inputs: ["q", "k", "v"],
        variants: &[&[("HEAD_DIM", 64), TILE], &[("HEAD_DIM", 96), TILE], &[("HEAD_DIM", 160), TILE]],
        epilogues: &[Epilogue::Plain],
        needs: Needs::MatrixUnits,
    }
}

const fn software(head_dim: u32, rows: u32) -> [Constant; 3] {
    [("HEAD_DIM", head_dim), ("ROWS", rows), ("THREADS", 8)]
}
