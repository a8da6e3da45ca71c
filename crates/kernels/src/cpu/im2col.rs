use std::ops::Range;

use rayon::prelude::*;

use super::gemm::{Matrix, MatrixMut, Previous, gemm};
use super::scratch::Scratch;
use crate::geometry::Geometry;

/// Output pixels that are worked on at a time, so that their patches stay in the cache.
pub(super) const PIXELS: usize = 256;

/// Rows of patches per matrix product: a longer sum spills out of the cache.
const DEPTH: usize = 2048;

/// Gap between rows, so that they do not start in the same cache set when the row length is a power of two.
pub(super) const GAP: usize = 16;

/// Any convolution as matrix products: for a block of output pixels, the input patches are written out as the columns
/// of a matrix, which the weights multiply ([Chellapilla et al.](https://inria.hal.science/inria-00112631)).
pub(super) fn conv2d(geometry: &Geometry, x: &[f32], weight: &[f32], bias: Option<&[f32]>, y: &mut [f32]) {
    let Geometry { batch, channels_in, channels_out, size_out: [height, width], kernel, .. } = *geometry;
    let rows = batch * height; // output rows of all images, one after the other
    let rows_per_block = PIXELS.div_ceil(width).min(rows);
    let stride = rows_per_block * width + GAP;
    let mut patches = Scratch::new(channels_in * kernel[0] * kernel[1] * stride);
    let mut product = Scratch::new(channels_out * stride);
    for first in (0..rows).step_by(rows_per_block) {
        let block = first..(first + rows_per_block).min(rows);
        write_patches(geometry, x, block.clone(), &mut patches, stride);
        multiply(geometry, weight, &patches, &mut product, block.len() * width, stride);
        write_rows(geometry, &product, stride, bias, block, y);
    }
}

/// Fills `patches[channel_in, kernel_row, kernel_column, pixel]`.
pub(super) fn write_patches(geometry: &Geometry, x: &[f32], block: Range<usize>, patches: &mut [f32], stride: usize) {
    let Geometry { size_in: [height, width], size_out: [height_out, width_out], kernel, stride: steps, .. } = *geometry;
    // The image of every row and the input line under its first tap: divisions are slow.
    let lines: Vec<_> = block.map(|row| (row / height_out, row % height_out * steps[0])).collect();
    patches.par_chunks_mut(kernel[0] * kernel[1] * stride).enumerate().for_each(|(channel, patches)| {
        for (tap, patches) in patches.chunks_exact_mut(stride).enumerate() {
            let (tap_row, tap_column) = (tap / kernel[1], tap % kernel[1]);
            let overlap = Overlap::new(geometry, tap_column, width, width_out);
            for (&(image, line), patches) in lines.iter().zip(patches.chunks_exact_mut(width_out)) {
                let line = (line + tap_row).wrapping_sub(geometry.padding[0]);
                match line < height {
                    true => {
                        gather(&geometry.plane(x, image, channel)[line * width..][..width], overlap, steps[1], patches)
                    }
                    false => patches.fill(0.0),
                }
            }
        }
    });
}

/// Adds `patches[channel_in, kernel_row, kernel_column, pixel]` of some output rows of one image to the pixels of `x`,
/// `[channels_in, height, width]`, that they were taken from.
pub(super) fn add_patches(geometry: &Geometry, patches: &[f32], rows: Range<usize>, x: &mut [f32]) {
    let Geometry { size_in: [height, width], size_out: [_, width_out], kernel, stride, .. } = *geometry;
    let (taps, pixels) = (kernel[0] * kernel[1], rows.len() * width_out);
    for (x, patches) in x.chunks_exact_mut(height * width).zip(patches.chunks_exact(taps * pixels)) {
        for (tap, patches) in patches.chunks_exact(pixels).enumerate() {
            let (tap_row, tap_column) = (tap / kernel[1], tap % kernel[1]);
            let overlap = Overlap::new(geometry, tap_column, width, width_out);
            for (row, patches) in rows.clone().zip(patches.chunks_exact(width_out)) {
                let line = (row * stride[0] + tap_row).wrapping_sub(geometry.padding[0]);
                if line < height {
                    let x = x[line * width..][..width][overlap.from..].iter_mut().step_by(stride[1]);
                    x.zip(&patches[overlap.left..][..overlap.inside]).for_each(|(x, value)| *x += value);
                }
            }
        }
    }
}

/// Which output pixels of a row see a pixel of the input through one tap of the filter.
#[derive(Clone, Copy, Debug)]
struct Overlap {
    /// Output pixels before the first.
    left: usize,
    /// The input pixel of the first.
    from: usize,
    /// The number of these output pixels.
    inside: usize,
}

impl Overlap {
    fn new(geometry: &Geometry, tap: usize, width_in: usize, width_out: usize) -> Self {
        let (stride, padding) = (geometry.stride[1], geometry.padding[1]);
        let left = padding.saturating_sub(tap).div_ceil(stride).min(width_out);
        let from = (left * stride + tap).saturating_sub(padding).min(width_in);
        Self { left, from, inside: (width_in - from).div_ceil(stride).min(width_out - left) }
    }
}

/// The values of `line` that the output pixels see through one tap, and zero for those that see none.
fn gather(line: &[f32], Overlap { left, from, inside }: Overlap, stride: usize, out: &mut [f32]) {
    out[..left].fill(0.0);
    out[left + inside..].fill(0.0);
    let out = &mut out[left..left + inside];
    match stride {
        1 => out.copy_from_slice(&line[from..from + inside]),
        _ => out.iter_mut().zip(line[from..].iter().step_by(stride)).for_each(|(out, value)| *out = *value),
    }
}

/// `product[channel_out, pixel]`, each thread its share of the output channels.
fn multiply(geometry: &Geometry, weight: &[f32], patches: &[f32], product: &mut [f32], pixels: usize, stride: usize) {
    let depth = geometry.channels_in * geometry.kernel[0] * geometry.kernel[1];
    let channels = geometry.channels_out.div_ceil(rayon::current_num_threads());
    product.par_chunks_mut(channels * stride).zip(weight.par_chunks(channels * depth)).for_each(|(product, weight)| {
        let count = product.len() / stride;
        for first in (0..depth).step_by(DEPTH) {
            let length = DEPTH.min(depth - first);
            let weight = Matrix::new(&weight[first..], [count, length], [depth, 1]);
            let patches = Matrix::new(&patches[first * stride..], [length, pixels], [stride, 1]);
            let previous = if first == 0 { Previous::Replace } else { Previous::Add };
            gemm(MatrixMut::new(product, [count, pixels], stride), weight, patches, previous);
        }
    });
}

fn write_rows(
    geometry: &Geometry,
    product: &[f32],
    stride: usize,
    bias: Option<&[f32]>,
    block: Range<usize>,
    y: &mut [f32],
) {
    let [height, width] = geometry.size_out;
    y.par_chunks_exact_mut(height * width).enumerate().for_each(|(plane, y)| {
        let (image, channel) = (plane / geometry.channels_out, plane % geometry.channels_out);
        let bias = bias.map_or(0.0, |bias| bias[channel]);
        for (row, product) in block.clone().zip(product[channel * stride..].chunks_exact(width)) {
            if row / height == image {
                let y = &mut y[row % height * width..][..width];
                y.iter_mut().zip(product).for_each(|(y, product)| *y = product + bias);
            }
        }
    });
}
