use std::ops::Range;

use rayon::prelude::*;

use super::{share, values_per_image};
use crate::cpu::gemm::{Matrix, MatrixMut, Previous, gemm};
use crate::cpu::im2col::{GAP, PIXELS, write_patches};
use crate::cpu::scratch::Scratch;
use crate::cpu::winograd;
use crate::geometry::Geometry;

/// The gradient of a convolution's weight, `[channels_out, channels_in, height, width]`, from that of its output; every thread
/// adds up images of its own.
pub(super) fn weight_gradient(geometry: &Geometry, x: &[f32], output: &[f32]) -> Vec<f32> {
    let (share, [input_len, output_len]) = (share(geometry), values_per_image(geometry));
    let shares = output[..geometry.batch * output_len].par_chunks(share * output_len);
    let sums = shares.zip(x.par_chunks(share * input_len)).map(|(output, x)| {
        let geometry = Geometry { batch: output.len() / output_len, ..*geometry };
        if winograd::weight_gradient_pays(&geometry) {
            winograd::weight_gradient(&geometry, x, output)
        } else {
            by_patches(&geometry, x, output)
        }
    });
    sum(sums.collect(), geometry)
}

fn sum(parts: Vec<Vec<f32>>, geometry: &Geometry) -> Vec<f32> {
    let add = |mut a: Vec<f32>, b: Vec<f32>| {
        a.iter_mut().zip(b).for_each(|(a, b)| *a += b);
        a
    };
    parts.into_iter().reduce(add).unwrap_or_else(|| vec![0.0; weights(geometry)])
}

fn weights(geometry: &Geometry) -> usize {
    geometry.channels_out * geometry.channels_in * geometry.kernel[0] * geometry.kernel[1]
}

/// The matrix product of the output's gradient and the input's patches, over all pixels of all images.
fn by_patches(geometry: &Geometry, x: &[f32], output: &[f32]) -> Vec<f32> {
    let rows = geometry.batch * geometry.size_out[0]; // output rows of all images, one after the other
    let share = rows.div_ceil(rayon::current_num_threads()).max(1);
    let shares: Vec<usize> = (0..rows).step_by(share).collect();
    let sums = shares.into_par_iter().map(|first| {
        let mut sum = vec![0.0; weights(geometry)];
        add_rows(geometry, x, output, first..(first + share).min(rows), &mut sum);
        sum
    });
    sum(sums.collect(), geometry)
}

/// Adds the part of some output rows.
fn add_rows(geometry: &Geometry, x: &[f32], output: &[f32], rows: Range<usize>, sum: &mut [f32]) {
    let Geometry { channels_in, channels_out, size_out: [_, width], kernel, .. } = *geometry;
    let depth = channels_in * kernel[0] * kernel[1];
    let rows_per_block = PIXELS.div_ceil(width).min(rows.len());
    let stride = rows_per_block * width + GAP;
    let mut patches = Scratch::new(depth * stride);
    let mut block_output = Scratch::new(channels_out * stride);
    for first in rows.clone().step_by(rows_per_block) {
        let block = first..(first + rows_per_block).min(rows.end);
        let pixels = block.len() * width;
        write_patches(geometry, x, block.clone(), &mut patches, stride);
        gather_rows(geometry, output, block, &mut block_output, stride);
        let lhs = Matrix::new(&block_output, [channels_out, pixels], [stride, 1]);
        let rhs = Matrix::new(&patches, [pixels, depth], [1, stride]);
        gemm(MatrixMut::new(sum, [channels_out, depth], depth), lhs, rhs, Previous::Add);
    }
}

/// Fills `block[channel_out, pixel]` with rows of `output`, `[batch, channels_out, height, width]`.
fn gather_rows(geometry: &Geometry, output: &[f32], rows: Range<usize>, block: &mut [f32], stride: usize) {
    let Geometry { channels_out, size_out: [height, width], .. } = *geometry;
    // Where every row begins in the first channel.
    let lines: Vec<_> = rows.map(|row| (row / height * channels_out * height + row % height) * width).collect();
    for (channel, block) in block.chunks_exact_mut(stride).enumerate() {
        for (line, block) in lines.iter().zip(block.chunks_exact_mut(width)) {
            block.copy_from_slice(&output[line + channel * height * width..][..width]);
        }
    }
}
