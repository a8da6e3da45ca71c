//! The variants of the product of matrices.

use crate::{Constant, Epilogue, Needs, Stage};

const COMMON: &str = include_str!("../matmul_common.wgsl");
const EPILOGUES: &[Epilogue] = &[Epilogue::Plain, Epilogue::Add, Epilogue::Geglu];

/// For adapters with workgroup memory, `matmul.wgsl`; the largest tiles first.
pub const TILED: Stage = Stage {
    name: "matmul",
    files: &[COMMON, include_str!("../matmul.wgsl")],
    inputs: ["a", "b", "bias"],
    variants: &[&tiled(0, 0), &tiled(0, 1), &tiled(0, 2), &tiled(1, 0), &tiled(1, 1), &tiled(1, 2)],
    epilogues: EPILOGUES,
    needs: Needs::Nothing,
};

/// For adapters that multiply matrices of 8 x 8, `matmul_matrix.wgsl`.
pub const MATRIX_8: Stage = matrix("matmul_matrix_8", &[COMMON, crate::MATRIX_8, crate::MATRIX_COMMON, MATRIX]);

/// For adapters that multiply matrices of 16 x 16, `matmul_matrix.wgsl`.
pub const MATRIX_16: Stage = matrix("matmul_matrix_16", &[COMMON, crate::MATRIX_16, crate::MATRIX_COMMON, MATRIX]);

/// For adapters that are a CPU, `matmul_software.wgsl`.
pub const SOFTWARE: Stage = Stage {
    name: "matmul_software",
    files: &[COMMON, include_str!("../matmul_software.wgsl")],
    inputs: ["a", "b", "bias"],
    variants: &[&software(0), &software(1)],
    epilogues: &[Epilogue::Plain],
    needs: Needs::Nothing,
};

const fn tiled(bias_columns: u32, tile: usize) -> [Constant; 6] {
    let [m, n, k, threads_m, threads_n] = crate::TILES[tile];
    [("BIAS_COLUMNS", bias_columns), m, n, k, threads_m, threads_n]
}

const TILE: Constant = ("TILE", 64);
const MATRIX: &str = include_str!("../matmul_matrix.wgsl");

const fn matrix(name: &'static str, files: &'static [&'static str]) -> Stage {
    let variants: &[&[Constant]] = &[&[("BIAS_COLUMNS", 0), TILE], &[("BIAS_COLUMNS", 1), TILE]];
    Stage { name, files, inputs: ["a", "b", "bias"], variants, epilogues: EPILOGUES, needs: Needs::MatrixUnits }
}

const fn software(bias_columns: u32) -> [Constant; 4] {
    [("BIAS_COLUMNS", bias_columns), ("ROWS", 8), ("QUADS", 2), ("THREADS", 8)]
}
