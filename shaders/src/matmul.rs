//! The variants of the product of matrices.

use crate::{Constant, Epilogue, Needs, Stage};

const COMMON: &str = include_str!("../matmul_common.wgsl");
const EPILOGUES: &[Epilogue] = &[Epilogue::Plain, Epilogue::Add, Epilogue::Geglu];

/// For adapters with workgroup memory, `matmul.wgsl`.
pub const TILED: Stage = Stage {
    name: "matmul",
    files: &[COMMON, include_str!("../matmul.wgsl")],
    variants: &[&tiled(0), &tiled(1)],
    epilogues: EPILOGUES,
    needs: Needs::Nothing,
};

/// For adapters that multiply matrices of 8 x 8, `matmul_matrix.wgsl`.
pub const MATRIX_8: Stage = matrix("matmul_matrix_8", &[COMMON, crate::MATRIX_8, MATRIX]);

/// For adapters that multiply matrices of 16 x 16, `matmul_matrix.wgsl`.
pub const MATRIX_16: Stage = matrix("matmul_matrix_16", &[COMMON, crate::MATRIX_16, MATRIX]);

/// For adapters that are a CPU, `matmul_software.wgsl`.
pub const SOFTWARE: Stage = Stage {
    name: "matmul_software",
    files: &[COMMON, include_str!("../matmul_software.wgsl")],
    variants: &[&software(0), &software(1)],
    epilogues: &[Epilogue::Plain],
    needs: Needs::Nothing,
};

const fn tiled(bias_columns: u32) -> [Constant; 6] {
    [("BIAS_COLUMNS", bias_columns), ("TILE_M", 64), ("TILE_N", 64), ("TILE_K", 16), ("THREADS_M", 8), ("THREADS_N", 8)]
}

const TILE: Constant = ("TILE", 64);
const MATRIX: &str = include_str!("../matmul_matrix.wgsl");

const fn matrix(name: &'static str, files: &'static [&'static str]) -> Stage {
    let variants: &[&[Constant]] = &[&[("BIAS_COLUMNS", 0), TILE], &[("BIAS_COLUMNS", 1), TILE]];
    Stage { name, files, variants, epilogues: EPILOGUES, needs: Needs::MatrixUnits }
}

const fn software(bias_columns: u32) -> [Constant; 4] {
    [("BIAS_COLUMNS", bias_columns), ("ROWS", 8), ("QUADS", 2), ("THREADS", 8)]
}
