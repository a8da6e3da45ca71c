use rayon::prelude::*;

use super::convolve;
use crate::cpu::gemm::{Matrix, MatrixMut, Previous, gemm};
use crate::cpu::im2col::{self, PIXELS};
use crate::cpu::scratch::Scratch;
use crate::geometry::Geometry;

/// The gradient of a convolution's input, `[batch, channels_in, height_in, width_in]`, from that of its output.
pub(super) fn input_gradient(geometry: &Geometry, weight: &[f32], output: &[f32]) -> Vec<f32> {
    let mut gradient = vec![0.0; geometry.batch * geometry.channels_in * geometry.area_in()];
    match transposed(geometry) {
        Some(transposed) => convolve(&transposed, output, &turned(geometry, weight), None, &mut gradient),
        None => scatter(geometry, weight, output, &mut gradient),
    }
    gradient
}

/// The convolution from the output to the input: of stride 1, with the other corner's padding.
fn transposed(geometry: &Geometry) -> Option<Geometry> {
    let Geometry { batch, channels_in, channels_out, size_in, size_out, kernel, stride, padding } = *geometry;
    if stride != [1, 1] || padding[0] >= kernel[0] || padding[1] >= kernel[1] {
        return None;
    }
    Some(Geometry {
        batch,
        channels_in: channels_out,
        channels_out: channels_in,
        size_in: size_out,
        size_out: size_in,
        kernel,
        stride,
        padding: [kernel[0] - 1 - padding[0], kernel[1] - 1 - padding[1]],
    })
}

/// The weights of the transposed convolution, `[channels_in, channels_out, height, width]`: every filter turned by 180
/// degrees.
fn turned(geometry: &Geometry, weight: &[f32]) -> Vec<f32> {
    let Geometry { channels_in, channels_out, kernel, .. } = *geometry;
    let taps = kernel[0] * kernel[1];
    let mut turned = vec![0.0; weight.len()];
    for (filter, turned) in turned.chunks_exact_mut(taps).enumerate() {
        let (channel_in, channel_out) = (filter / channels_out, filter % channels_out);
        let filter = &weight[(channel_out * channels_in + channel_in) * taps..][..taps];
        turned.iter_mut().zip(filter.iter().rev()).for_each(|(turned, value)| *turned = *value);
    }
    turned
}

/// Any convolution, backwards through [`im2col`]: the gradients of the patches are a matrix product, and every pixel
/// gathers those of the patches that it is in.
fn scatter(geometry: &Geometry, weight: &[f32], output: &[f32], gradient: &mut [f32]) {
    let Geometry { channels_in, channels_out, size_out: [height, width], kernel, .. } = *geometry;
    let (depth, area) = (channels_in * kernel[0] * kernel[1], height * width);
    let rows_per_block = PIXELS.div_ceil(width).min(height);
    let weight = Matrix::new(weight, [depth, channels_out], [1, depth]);
    let images = gradient.par_chunks_exact_mut(channels_in * geometry.area_in());
    images.zip(output.par_chunks_exact(channels_out * area)).for_each(|(gradient, output)| {
        let mut patches = Scratch::new(depth * rows_per_block * width); // [channels_in, kernel, kernel, pixels]
        for first in (0..height).step_by(rows_per_block) {
            let rows = first..(first + rows_per_block).min(height);
            let pixels = rows.len() * width;
            let output = Matrix::new(&output[first * width..], [channels_out, pixels], [area, 1]);
            gemm(MatrixMut::new(&mut patches, [depth, pixels], pixels), weight, output, Previous::Replace);
            im2col::add_patches(geometry, &patches, rows, gradient);
        }
    });
}
