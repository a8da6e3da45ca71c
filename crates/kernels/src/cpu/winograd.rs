//! 3x3 convolutions with 4 multiplications per output pixel instead of 9: Winograd's F(2x2, 3x3), as in
//! [Lavin and Gray](https://arxiv.org/abs/1509.09308), whose letters are kept.
//!
//! The output is cut into tiles of 2x2 pixels. With `d` the 4x4 input pixels under a tile and `g` a filter,
//!
//! ```text
//! U = G g G^T     V = B^T d B     Y = A^T [U . V] A
//!
//!     |  1    0    0  |         | 1  0 -1  0 |         | 1  1  1  0 |
//! G = | 1/2  1/2  1/2 |   B^T = | 0  1  1  0 |   A^T = | 0  1 -1 -1 |
//!     | 1/2 -1/2  1/2 |         | 0 -1  1  0 |
//!     |  0    0    1  |         | 0  1  0 -1 |
//! ```
//!
//! and the elementwise product, summed over the input channels, is one matrix product per place in the 4x4 grid:
//! `[channels_out, channels_in]` by `[channels_in, tiles]`. The larger F(4x4, 3x3) would save more, but costs two
//! digits of float32.

mod filter;
mod input;
mod output;
mod weight_gradient;

use std::ops::Range;

use rayon::prelude::*;

use super::gemm::{Matrix, MatrixMut, Previous, gemm};
use super::scratch::Scratch;
use crate::geometry::Geometry;

pub(super) use weight_gradient::{pays as weight_gradient_pays, weight_gradient};

/// Places in the 4x4 grid.
const PLACES: usize = 16;

/// Tiles that are worked on at a time, as far as [`VALUES`] allows.
const TILES: usize = 256;

/// Least number of tiles over which the transformed filters are reused, below which transforming them costs too much.
const TILES_TO_PAY: usize = 128;

/// Least number of input channels, below which the transforms cost more than the multiplications they save.
const CHANNELS_TO_PAY: usize = 16;

/// Size of each intermediate buffer.
const VALUES: usize = 8 << 20;

/// Gap between the grids of neighbouring channels, so that they do not start in the same cache set.
const GAP: usize = 16;

/// How the output is cut into tiles. The rows of tiles of all images are counted one after the other.
#[derive(Clone, Copy, Debug)]
struct Tiling {
    rows_per_image: usize,
    tiles_per_row: usize,
    rows_per_block: usize,
    channels_per_block: usize,
}

impl Tiling {
    fn new(geometry: &Geometry) -> Self {
        let Geometry { batch, channels_in, channels_out, size_out: [height, width], .. } = *geometry;
        let (rows_per_image, tiles_per_row) = (height.div_ceil(2), width.div_ceil(2));
        let tiles = TILES.min(VALUES / (PLACES * channels_in.max(channels_out)));
        let rows_per_block = (tiles / tiles_per_row).clamp(1, batch * rows_per_image);
        let channels_per_block = (VALUES / (PLACES * channels_in)).clamp(1, channels_out);
        Self { rows_per_image, tiles_per_row, rows_per_block, channels_per_block }
    }

    /// Tiles of a full block, and the step between places in the grid.
    fn tiles(&self) -> usize {
        self.rows_per_block * self.tiles_per_row
    }

    /// Step between the input channels of `V`.
    fn stride(&self) -> usize {
        PLACES * self.tiles() + GAP
    }
}

pub(super) fn covers(geometry: &Geometry) -> bool {
    geometry.kernel == [3, 3] && geometry.stride == [1, 1]
}

pub(super) fn pays(geometry: &Geometry) -> bool {
    let tiling = Tiling::new(geometry);
    let tiles = geometry.batch * tiling.rows_per_image * tiling.tiles_per_row;
    covers(geometry) && tiles >= TILES_TO_PAY && geometry.channels_in >= CHANNELS_TO_PAY
}

pub(super) fn conv2d(geometry: &Geometry, x: &[f32], weight: &[f32], bias: Option<&[f32]>, y: &mut [f32]) {
    let tiling = Tiling::new(geometry);
    let Geometry { batch, channels_in, channels_out, .. } = *geometry;
    let mut u = Scratch::new(tiling.channels_per_block * filter::stride(channels_in)); // [channels_out, 16, channels_in]
    let mut v = Scratch::new(channels_in * tiling.stride()); // [channels_in, 16, tiles]
    let mut product = Scratch::new(PLACES * tiling.channels_per_block * tiling.tiles()); // [16, channels_out, tiles]
    let rows = batch * tiling.rows_per_image;
    for first in (0..rows).step_by(tiling.rows_per_block) {
        let block = first..(first + tiling.rows_per_block).min(rows);
        input::transform(geometry, &tiling, x, block.clone(), &mut v);
        for channel in (0..channels_out).step_by(tiling.channels_per_block) {
            let channels = channel..(channel + tiling.channels_per_block).min(channels_out);
            if first == 0 || tiling.channels_per_block < channels_out {
                filter::transform(&weight[channel * channels_in * 9..], channels_in, channels.len(), &mut u);
            }
            multiply(&tiling, &u, &v, channels_in, channels.len(), block.len(), &mut product);
            output::transform(geometry, &tiling, &product, bias, block.clone(), channels, y);
        }
    }
}

/// One matrix product per place in the grid.
fn multiply(
    tiling: &Tiling,
    u: &[f32],
    v: &[f32],
    channels_in: usize,
    channels_out: usize,
    rows: usize,
    product: &mut [f32],
) {
    let (step, tiles) = (tiling.tiles(), rows * tiling.tiles_per_row);
    product[..PLACES * channels_out * step].par_chunks_mut(channels_out * step).enumerate().for_each(
        |(place, product)| {
            let u_strides = [filter::stride(channels_in), 1];
            let u = Matrix::new(&u[place * channels_in..], [channels_out, channels_in], u_strides);
            let v = Matrix::new(&v[place * step..], [channels_in, tiles], [tiling.stride(), 1]);
            gemm(MatrixMut::new(product, [channels_out, tiles], step), u, v, Previous::Replace);
        },
    );
}

/// The image and the row within it, for rows counted over all images.
fn locate(tiling: &Tiling, rows: Range<usize>) -> impl Iterator<Item = (usize, usize)> {
    let rows_per_image = tiling.rows_per_image;
    rows.map(move |row| (row / rows_per_image, row % rows_per_image))
}

/// `out[i] = f(a[i], b[i])`.
#[inline(always)]
fn combine(out: &mut [f32], [a, b]: [&[f32]; 2], f: impl Fn(f32, f32) -> f32) {
    for ((out, a), b) in out.iter_mut().zip(a).zip(b) {
        *out = f(*a, *b);
    }
}

/// `out[i] = f(a[i], b[i], c[i])`.
#[inline(always)]
fn combine_3(out: &mut [f32], [a, b, c]: [&[f32]; 3], f: impl Fn(f32, f32, f32) -> f32) {
    for (((out, a), b), c) in out.iter_mut().zip(a).zip(b).zip(c) {
        *out = f(*a, *b, *c);
    }
}
