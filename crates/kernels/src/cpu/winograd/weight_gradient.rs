use std::ops::Range;

use rayon::prelude::*;

use super::{CHANNELS_TO_PAY, PLACES, Tiling, combine, covers, input, locate};
use crate::cpu::gemm::{Matrix, MatrixMut, Previous, gemm};
use crate::cpu::scratch::Scratch;
use crate::cpu::vectorized::vectorized;
use crate::geometry::Geometry;

/// Whether the multiplications that are saved outweigh both transforms.
pub(in crate::cpu) fn pays(geometry: &Geometry) -> bool {
    covers(geometry) && geometry.channels_in.min(geometry.channels_out) >= CHANNELS_TO_PAY
}

/// The gradient of the weight, `[channels_out, channels_in, 3, 3]`, from that of the output. Backwards through the formula, with
/// `d` for gradients: `dM = A dY A^T`, `dU = dM V^T` at every place, summed over the tiles, and `dg = G^T dU G`.
pub(in crate::cpu) fn weight_gradient(geometry: &Geometry, x: &[f32], output: &[f32]) -> Vec<f32> {
    let tiling = Tiling::new(geometry);
    let Geometry { batch, channels_in, channels_out, .. } = *geometry;
    let mut v = Scratch::new(channels_in * tiling.stride()); // [channels_in, 16, tiles]
    let mut dm = Scratch::new(channels_out * tiling.stride()); // [channels_out, 16, tiles]
    let mut du = Scratch::new(PLACES * channels_out * channels_in); // [16, channels_out, channels_in]
    du.fill(0.0);
    let rows = batch * tiling.rows_per_image;
    for first in (0..rows).step_by(tiling.rows_per_block) {
        let block = first..(first + tiling.rows_per_block).min(rows);
        input::transform(geometry, &tiling, x, block.clone(), &mut v);
        transform_output(geometry, &tiling, output, block.clone(), &mut dm);
        let tiles = block.len() * tiling.tiles_per_row;
        du.par_chunks_exact_mut(channels_out * channels_in).enumerate().for_each(|(place, du)| {
            let first = place * tiling.tiles();
            let dm = Matrix::new(&dm[first..], [channels_out, tiles], [tiling.stride(), 1]);
            let v = Matrix::new(&v[first..], [tiles, channels_in], [1, tiling.stride()]);
            gemm(MatrixMut::new(du, [channels_out, channels_in], channels_in), dm, v, Previous::Add);
        });
    }
    let mut gradient = vec![0.0; channels_out * channels_in * 9];
    gradient.par_chunks_exact_mut(channels_in * 9).enumerate().for_each(|(channel, gradient)| {
        transform_filters(&du[channel * channels_in..], channels_out * channels_in, gradient);
    });
    gradient
}

/// `dM = A dY A^T` for a block of rows of tiles.
///
/// # Shapes
/// - `output`: `[batch, channels_out, height, width]`
/// - `dm`: `[channels_out, 16, tiles]`, `tiling.stride()` from one channel to the next
fn transform_output(geometry: &Geometry, tiling: &Tiling, output: &[f32], rows: Range<usize>, dm: &mut [f32]) {
    let [height, width] = geometry.size_out;
    let channels = dm.par_chunks_mut(tiling.stride()).enumerate();
    channels.for_each_init(
        || vec![0.0; 8 * tiling.tiles_per_row],
        |halves, (channel, dm)| {
            for (i, (image, row)) in locate(tiling, rows.clone()).enumerate() {
                let plane = &output[(image * geometry.channels_out + channel) * height * width..][..height * width];
                let lines = &plane[2 * row * width..(2 * row + 2).min(height) * width];
                transform_row(lines, width, halves, &mut dm[i * tiling.tiles_per_row..], tiling.tiles());
            }
        },
    );
}

vectorized! {
    /// One row of tiles: two lines of pixels, or one at the lower border of an image of odd height.
    fn transform_row(lines: &[f32], width: usize, halves: &mut [f32], dm: &mut [f32], step: usize) {
        let tiles = width.div_ceil(2);
        halves.fill(0.0);
        for (line, half) in lines.chunks_exact(width).zip(halves.chunks_exact_mut(4 * tiles)) {
            spread_line(line, tiles, half);
        }
        let (upper, lower) = halves.split_at(4 * tiles);
        for column in 0..4 {
            let [a, b] = [upper, lower].map(|half| &half[column * tiles..][..tiles]);
            combine(&mut dm[column * step..][..tiles], [a, b], |a, _| a);
            combine(&mut dm[(4 + column) * step..][..tiles], [a, b], |a, b| a + b);
            combine(&mut dm[(8 + column) * step..][..tiles], [a, b], |a, b| a - b);
            combine(&mut dm[(12 + column) * step..][..tiles], [a, b], |_, b| -b);
        }
    }
}

/// Multiplies `A^T` from the right: the two pixels of every tile become four values, `[4, tiles]`.
#[inline(always)]
fn spread_line(line: &[f32], tiles: usize, half: &mut [f32]) {
    let (left, right) = half.split_at_mut(2 * tiles);
    let ((p_0, p_1), (p_2, p_3)) = (left.split_at_mut(tiles), right.split_at_mut(tiles));
    let (pairs, last) = line.as_chunks::<2>();
    for (((([a, b], p_0), p_1), p_2), p_3) in
        pairs.iter().zip(p_0.iter_mut()).zip(p_1.iter_mut()).zip(p_2.iter_mut()).zip(p_3.iter_mut())
    {
        [*p_0, *p_1, *p_2, *p_3] = [*a, a + b, a - b, -b];
    }
    if let [last] = last {
        for p in [p_0, p_1, p_2] {
            p[tiles - 1] = *last;
        }
    }
}

vectorized! {
    /// `dg = G^T dU G` for the filters of one output channel: `du` is `[16, channels_in]` with `step` between the places, and
    /// `gradient` is `[channels_in, 9]`.
    fn transform_filters(du: &[f32], step: usize, gradient: &mut [f32]) {
        for (channel, gradient) in gradient.as_chunks_mut::<9>().0.iter_mut().enumerate() {
            let columns = [0, 1, 2, 3].map(|column| gather([0, 4, 8, 12].map(|row| du[(row + column) * step + channel])));
            for row in 0..3 {
                let filter_row = gather(columns.map(|column| column[row]));
                gradient[3 * row..3 * row + 3].copy_from_slice(&filter_row);
            }
        }
    }
}

/// `G^T` times a column vector.
#[inline(always)]
fn gather([a, b, c, d]: [f32; 4]) -> [f32; 3] {
    [a + 0.5 * (b + c), 0.5 * (b - c), 0.5 * (b + c) + d]
}
