//! The variants of the convolution.

use crate::{Constant, Epilogue, Needs, Stage};

const COMMON: &str = include_str!("../conv2d_common.wgsl");
const EPILOGUES: &[Epilogue] = &[Epilogue::Plain, Epilogue::Add];

/// For adapters with workgroup memory, `conv2d.wgsl`; the largest tiles first.
pub const TILED: Stage = Stage {
    name: "conv2d",
    files: &[COMMON, include_str!("../conv2d.wgsl")],
    inputs: ["x", "weight", "bias"],
    variants: &[
        &tiled(3, 0, 0),
        &tiled(3, 0, 1),
        &tiled(3, 0, 2),
        &tiled(1, 0, 0),
        &tiled(1, 0, 1),
        &tiled(1, 0, 2),
        &tiled(3, 1, 0),
        &tiled(3, 1, 1),
        &tiled(3, 1, 2),
    ],
    epilogues: EPILOGUES,
    needs: Needs::Nothing,
};

/// For adapters that multiply matrices of 8 x 8, `conv2d_matrix.wgsl`.
pub const MATRIX_8: Stage = matrix("conv2d_matrix_8", &[COMMON, crate::MATRIX_8, crate::MATRIX_COMMON, MATRIX]);

/// For adapters that multiply matrices of 16 x 16, `conv2d_matrix.wgsl`.
pub const MATRIX_16: Stage = matrix("conv2d_matrix_16", &[COMMON, crate::MATRIX_16, crate::MATRIX_COMMON, MATRIX]);

/// For adapters that are a CPU, and for channels in other numbers than multiples of four, `conv2d_software.wgsl`;
/// the one with four rows is for no more channels.
pub const SOFTWARE: Stage = Stage {
    name: "conv2d_software",
    files: &[COMMON, include_str!("../conv2d_software.wgsl")],
    inputs: ["x", "weight", "bias"],
    variants: &[
        &software(3, 0, 1, 4),
        &software(3, 0, 1, 8),
        &software(3, 0, 2, 8),
        &software(1, 0, 1, 8),
        &software(1, 0, 2, 8),
        &software(3, 1, 1, 8),
    ],
    epilogues: EPILOGUES,
    needs: Needs::Nothing,
};

const fn tiled(kernel: u32, doubled: u32, tile: usize) -> [Constant; 7] {
    let [m, n, k, threads_m, threads_n] = crate::TILES[tile];
    [("KERNEL", kernel), ("DOUBLED", doubled), m, n, k, threads_m, threads_n]
}

const TILE: Constant = ("TILE", 64);
const MATRIX: &str = include_str!("../conv2d_matrix.wgsl");

const fn matrix(name: &'static str, files: &'static [&'static str]) -> Stage {
    let variants: &[&[Constant]] = &[
        &[("KERNEL", 3), ("DOUBLED", 0), TILE],
        &[("KERNEL", 1), ("DOUBLED", 0), TILE],
        &[("KERNEL", 3), ("DOUBLED", 1), TILE],
    ];
    Stage { name, files, inputs: ["x", "weight", "bias"], variants, epilogues: EPILOGUES, needs: Needs::MatrixUnits }
}

const fn software(kernel: u32, doubled: u32, stride: u32, rows: u32) -> [Constant; 5] {
    [("KERNEL", kernel), ("DOUBLED", doubled), ("STRIDE", stride), ("ROWS", rows), ("THREADS", 32)]
}
