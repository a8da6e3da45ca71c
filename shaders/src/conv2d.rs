//! The variants of the convolution.

use crate::{Constant, Stage};

/// For adapters with workgroup memory, `conv2d.wgsl`.
pub const TILED: Stage =
    Stage { name: "conv2d", body: include_str!("../conv2d.wgsl"), variants: &[&tiled(3), &tiled(1)] };

/// For adapters that are a CPU, `conv2d_software.wgsl`.
pub const SOFTWARE: Stage = Stage {
    name: "conv2d_software",
    body: include_str!("../conv2d_software.wgsl"),
    variants: &[&software(3, 1), &software(3, 2), &software(1, 1)],
};

const fn tiled(kernel: u32) -> [Constant; 6] {
    [("KERNEL", kernel), ("TILE_M", 64), ("TILE_N", 64), ("TILE_K", 16), ("THREADS_M", 8), ("THREADS_N", 8)]
}

const fn software(kernel: u32, stride: u32) -> [Constant; 4] {
    [("KERNEL", kernel), ("STRIDE", stride), ("ROWS", 8), ("THREADS", 32)]
}
