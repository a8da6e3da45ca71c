//! The variants of the product of matrices.

use crate::{Constant, Epilogue, Stage};

const COMMON: &str = include_str!("../matmul_common.wgsl");
const EPILOGUES: &[Epilogue] = &[Epilogue::Plain, Epilogue::Add, Epilogue::Geglu];

/// For adapters with workgroup memory, `matmul.wgsl`.
pub const TILED: Stage = Stage {
    name: "matmul",
    files: &[COMMON, include_str!("../matmul.wgsl")],
    variants: &[&tiled(0), &tiled(1)],
    epilogues: EPILOGUES,
};

/// For adapters that are a CPU, `matmul_software.wgsl`.
pub const SOFTWARE: Stage = Stage {
    name: "matmul_software",
    files: &[COMMON, include_str!("../matmul_software.wgsl")],
    variants: &[&software(0), &software(1)],
    epilogues: EPILOGUES,
};

const fn tiled(bias_columns: u32) -> [Constant; 6] {
    [("BIAS_COLUMNS", bias_columns), ("TILE_M", 64), ("TILE_N", 64), ("TILE_K", 16), ("THREADS_M", 8), ("THREADS_N", 8)]
}

const fn software(bias_columns: u32) -> [Constant; 4] {
    [("BIAS_COLUMNS", bias_columns), ("ROWS", 8), ("QUADS", 2), ("THREADS", 8)]
}
