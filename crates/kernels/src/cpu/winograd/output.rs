use std::ops::Range;

use rayon::prelude::*;

use super::{Tiling, combine_3, locate};
use crate::cpu::vectorized::vectorized;
use crate::geometry::Geometry;

/// `Y = A^T M A` plus the bias, for a block of rows of tiles and a block of output channels.
///
/// # Shapes
/// - `product`: `[16, channels, tiles]`, the `M` of the formula
/// - `y`: `[batch, channels_out, height, width]`
pub(super) fn transform(
    geometry: &Geometry,
    tiling: &Tiling,
    product: &[f32],
    bias: Option<&[f32]>,
    rows: Range<usize>,
    channels: Range<usize>,
    y: &mut [f32],
) {
    let step = channels.len() * tiling.tiles();
    let planes = y.par_chunks_exact_mut(geometry.area_out()).enumerate();
    planes.for_each_init(
        || [0; 2].map(|_| vec![0.0; 4 * tiling.tiles_per_row]),
        |halves, (plane, y)| {
            let (plane_image, channel) = (plane / geometry.channels_out, plane % geometry.channels_out);
            if !channels.contains(&channel) {
                return;
            }
            let bias = bias.map_or(0.0, |bias| bias[channel]);
            let product = &product[(channel - channels.start) * tiling.tiles()..];
            for (i, (image, row)) in locate(tiling, rows.clone()).enumerate() {
                if image == plane_image {
                    let y = &mut y[2 * row * geometry.size_out[1]..];
                    transform_row(&product[i * tiling.tiles_per_row..], step, bias, halves, geometry.size_out[1], y);
                }
            }
        },
    );
}

vectorized! {
    /// Writes two rows of pixels, or one at the lower border of an image of odd height.
    fn transform_row(
        product: &[f32],
        step: usize,
        bias: f32,
        halves: &mut [Vec<f32>; 2],
        width: usize,
        y: &mut [f32],
    ) {
        let tiles = width.div_ceil(2);
        let [upper, lower] = halves;
        for column in 0..4 {
            let at = |row: usize| &product[(4 * row + column) * step..][..tiles];
            let here = column * tiles..(column + 1) * tiles;
            combine_3(&mut upper[here.clone()], [at(0), at(1), at(2)], |a, b, c| a + b + c);
            combine_3(&mut lower[here], [at(1), at(2), at(3)], |b, c, d| b - c - d);
        }
        for (half, y) in [upper, lower].into_iter().zip(y.chunks_exact_mut(width)) {
            write_line(half, tiles, bias, y);
        }
    }
}

/// Multiplies `A` from the right: four values of every tile become two pixels.
#[inline(always)]
fn write_line(half: &[f32], tiles: usize, bias: f32, y: &mut [f32]) {
    let (left, right) = half.split_at(2 * tiles);
    let ((a, b), (c, d)) = (left.split_at(tiles), right.split_at(tiles));
    let (pairs, last) = y.as_chunks_mut::<2>();
    for ((((pair, a), b), c), d) in pairs.iter_mut().zip(a).zip(b).zip(c).zip(d) {
        *pair = [a + b + c + bias, b - c - d + bias];
    }
    if let [last] = last {
        *last = a[tiles - 1] + b[tiles - 1] + c[tiles - 1] + bias;
    }
}
