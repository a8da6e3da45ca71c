//! The variants of the product of matrices.

use crate::{Constant, Stage};

/// For adapters with workgroup memory, `matmul.wgsl`.
pub const TILED: Stage =
    Stage { name: "matmul", body: include_str!("../matmul.wgsl"), variants: &[&tiled(0), &tiled(1)] };

/// For adapters that are a CPU, `matmul_software.wgsl`.
pub const SOFTWARE: Stage = Stage {
    name: "matmul_software",
    body: include_str!("../matmul_software.wgsl"),
    variants: &[&software(0), &software(1)],
};

const fn tiled(bias_columns: u32) -> [Constant; 6] {
    [("BIAS_COLUMNS", bias_columns), ("TILE_M", 64), ("TILE_N", 64), ("TILE_K", 16), ("THREADS_M", 8), ("THREADS_N", 8)]
}

const fn software(bias_columns: u32) -> [Constant; 4] {
    [("BIAS_COLUMNS", bias_columns), ("ROWS", 8), ("QUADS", 2), ("THREADS", 8)]
}
