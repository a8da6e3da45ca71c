use std::ops::Range;

use rayon::prelude::*;

use super::{Tiling, combine, locate};
use crate::cpu::vectorized::vectorized;
use crate::geometry::Geometry;

/// `V = B^T d B` for a block of rows of tiles.
///
/// # Shapes
/// - `x`: `[batch, channels_in, height, width]`
/// - `v`: `[channels_in, 16, tiles]`, `tiling.stride()` from one channel to the next
pub(super) fn transform(geometry: &Geometry, tiling: &Tiling, x: &[f32], rows: Range<usize>, v: &mut [f32]) {
    let channels = v.par_chunks_mut(tiling.stride()).enumerate();
    channels.for_each_init(
        || Lines::new(tiling.tiles_per_row),
        |lines, (channel, v)| {
            for (i, (image, row)) in locate(tiling, rows.clone()).enumerate() {
                let plane = geometry.plane(x, image, channel);
                let v = &mut v[i * tiling.tiles_per_row..];
                transform_row(plane, geometry.size_in, geometry.padding, row, lines, v, tiling.tiles());
            }
        },
    );
}

/// Buffers for the four lines of input under a row of tiles.
#[derive(Debug)]
struct Lines {
    padded: Vec<f32>,
    /// The pixels `0, 2, 4, ...` of the padded line.
    even: Vec<f32>,
    /// The pixels `1, 3, 5, ...` of the padded line.
    odd: Vec<f32>,
    /// `d B`: by line, then by column of the grid, then by tile.
    products: [[Vec<f32>; 4]; 4],
}

impl Lines {
    fn new(tiles: usize) -> Self {
        let zeros = |len| vec![0.0; len];
        let products = [0; 4].map(|_| [0; 4].map(|_| zeros(tiles)));
        Self { padded: zeros(2 * (tiles + 1)), even: zeros(tiles + 1), odd: zeros(tiles + 1), products }
    }
}

vectorized! {
    fn transform_row(
        plane: &[f32],
        size: [usize; 2],
        padding: [usize; 2],
        row: usize,
        lines: &mut Lines,
        v: &mut [f32],
        step: usize,
    ) {
        for i in 0..4 {
            let line = (2 * row + i).wrapping_sub(padding[0]);
            let line = if line < size[0] { &plane[line * size[1]..][..size[1]] } else { &[] };
            transform_line(line, padding[1], lines, i);
        }
        let [d_0, d_1, d_2, d_3] = &lines.products;
        for column in 0..4 {
            let [a, b, c, d] = [&d_0[column][..], &d_1[column], &d_2[column], &d_3[column]];
            let tiles = a.len();
            combine(&mut v[column * step..][..tiles], [a, c], |a, c| a - c);
            combine(&mut v[(4 + column) * step..][..tiles], [b, c], |b, c| b + c);
            combine(&mut v[(8 + column) * step..][..tiles], [b, c], |b, c| c - b);
            combine(&mut v[(12 + column) * step..][..tiles], [b, d], |b, d| b - d);
        }
    }
}

/// `d B` for one line of the input, all tiles of the row at once.
#[inline(always)]
fn transform_line(line: &[f32], left: usize, lines: &mut Lines, i: usize) {
    let Lines { padded, even, odd, products } = lines;
    pad(line, left, padded);
    for ((pair, even), odd) in padded.as_chunks::<2>().0.iter().zip(even.iter_mut()).zip(odd.iter_mut()) {
        [*even, *odd] = *pair;
    }
    let (next_even, next_odd) = (&even[1..], &odd[1..]);
    let [p_0, p_1, p_2, p_3] = &mut products[i];
    combine(p_0, [even, next_even], |a, c| a - c);
    combine(p_1, [odd, next_even], |b, c| b + c);
    combine(p_2, [odd, next_even], |b, c| c - b);
    combine(p_3, [odd, next_odd], |b, d| b - d);
}

/// Puts zeros around a line; values that do not fit on the right are not needed.
#[inline(always)]
fn pad(line: &[f32], left: usize, padded: &mut [f32]) {
    let left = left.min(padded.len());
    let inside = line.len().min(padded.len() - left);
    padded[..left].fill(0.0);
    padded[left..left + inside].copy_from_slice(&line[..inside]);
    padded[left + inside..].fill(0.0);
}
