//! The variants of the convolution.

use crate::{Constant, Epilogue, Stage};

const COMMON: &str = include_str!("../conv2d_common.wgsl");
const EPILOGUES: &[Epilogue] = &[Epilogue::Plain, Epilogue::Add];

/// For adapters with workgroup memory, `conv2d.wgsl`.
pub const TILED: Stage = Stage {
    name: "conv2d",
    files: &[COMMON, include_str!("../conv2d.wgsl")],
    variants: &[&tiled(3, 0), &tiled(1, 0), &tiled(3, 1)],
    epilogues: EPILOGUES,
};

/// For adapters that are a CPU, and for channels in other numbers than multiples of four, `conv2d_software.wgsl`.
pub const SOFTWARE: Stage = Stage {
    name: "conv2d_software",
    files: &[COMMON, include_str!("../conv2d_software.wgsl")],
    variants: &[&software(3, 0, 1), &software(3, 0, 2), &software(1, 0, 1), &software(1, 0, 2), &software(3, 1, 1)],
    epilogues: EPILOGUES,
};

const fn tiled(kernel: u32, doubled: u32) -> [Constant; 7] {
    [
        ("KERNEL", kernel),
        ("DOUBLED", doubled),
        ("TILE_M", 64),
        ("TILE_N", 64),
        ("TILE_K", 16),
        ("THREADS_M", 8),
        ("THREADS_N", 8),
    ]
}

const fn software(kernel: u32, doubled: u32, stride: u32) -> [Constant; 5] {
    [("KERNEL", kernel), ("DOUBLED", doubled), ("STRIDE", stride), ("ROWS", 8), ("THREADS", 32)]
}
