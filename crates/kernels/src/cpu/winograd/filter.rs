use rayon::prelude::*;

use super::{GAP, PLACES, combine_3};
use crate::cpu::vectorized::vectorized;

/// Input channels that are transformed at a time.
const CHANNELS: usize = 64;

/// Step between the output channels of `U`.
pub(super) fn stride(channels_in: usize) -> usize {
    PLACES * channels_in + GAP
}

/// `U = G g G^T` for every filter.
///
/// # Shapes
/// - `weight`: `[channels_out, channels_in, 3, 3]`, further channels are ignored
/// - `u`: `[channels_out, 16, channels_in]`, `stride(channels_in)` from one output channel to the next
pub(super) fn transform(weight: &[f32], channels_in: usize, channels_out: usize, u: &mut [f32]) {
    let u = u.par_chunks_mut(stride(channels_in)).take(channels_out);
    u.zip(weight.par_chunks(9 * channels_in)).for_each(|(u, weight)| transform_channel(weight, channels_in, u));
}

vectorized! {
    fn transform_channel(weight: &[f32], channels_in: usize, u: &mut [f32]) {
        for (block, weight) in weight.chunks(9 * CHANNELS).enumerate() {
            let g = transpose(weight);
            let mut rows = [[[0.0; CHANNELS]; 3]; 4]; // G g
            for column in 0..3 {
                let mut out = [[0.0; CHANNELS]; 4];
                multiply(&mut out.each_mut().map(|out| &mut out[..]), [&g[column], &g[3 + column], &g[6 + column]]);
                for (row, out) in out.into_iter().enumerate() {
                    rows[row][column] = out;
                }
            }
            for (row, [a, b, c]) in rows.iter().enumerate() {
                let mut places = u[4 * row * channels_in..].chunks_exact_mut(channels_in);
                let mut out: [&mut [f32]; 4] = std::array::from_fn(|_| places.next().map_or(&mut [][..], |place| {
                    let first = block * CHANNELS;
                    &mut place[first..(first + CHANNELS).min(channels_in)]
                }));
                multiply(&mut out, [a, b, c]);
            }
        }
    }
}

/// `[channels, 9]` to `[9, channels]`.
#[inline(always)]
fn transpose(weight: &[f32]) -> [[f32; CHANNELS]; 9] {
    let mut g = [[0.0; CHANNELS]; 9];
    for (channel, filter) in weight.as_chunks::<9>().0.iter().enumerate() {
        for (tap, value) in filter.iter().enumerate() {
            g[tap][channel] = *value;
        }
    }
    g
}

/// `G` times a column vector, for many at once.
#[inline(always)]
fn multiply(out: &mut [&mut [f32]; 4], column: [&[f32]; 3]) {
    combine_3(out[0], column, |a, _, _| a);
    combine_3(out[1], column, |a, b, c| 0.5 * (a + b + c));
    combine_3(out[2], column, |a, b, c| 0.5 * (a - b + c));
    combine_3(out[3], column, |_, _, c| c);
}
