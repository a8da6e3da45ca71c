mod gradient;
mod input_gradient;
mod weight_gradient;

use burn::tensor::Tensor;
use rayon::prelude::*;

use super::autodiff::{Inputs, track};
use super::values::{Values, tensor};
use super::{im2col, pointwise, winograd};
use crate::Conv2d;
use crate::geometry::Geometry;

/// See [`crate::conv2d`].
pub(crate) fn conv2d(x: &Tensor<4>, conv: &Conv2d) -> Option<Tensor<4>> {
    let geometry = Geometry::new(x.dims(), conv)?;
    let (weight, bias) = (conv.weight.val(), conv.bias.as_ref().map(|bias| bias.val()));
    let inputs = Inputs::new([track(x), track(&weight), bias.as_ref().and_then(track)])?;
    let (values, weight) = (Values::contiguous(x)?, Values::contiguous(&weight)?);
    let bias = match &bias {
        Some(bias) => Some(Values::contiguous(bias)?),
        None => None,
    };
    let Geometry { batch, channels_out, size_out: [height, width], .. } = geometry;
    let mut y = vec![0.0; batch * channels_out * height * width];
    convolve(&geometry, &values, &weight, bias.as_deref(), &mut y);
    let y = tensor(y, [batch, channels_out, height, width], x);
    Some(inputs.record(y, || gradient::Conv2dGradient { geometry, x: values, weight }))
}

/// Fills `y`, `[batch, channels_out, height_out, width_out]`. Every thread works on images of its own as far as there are
/// enough: the algorithms' own loops are too short for threads where channels are few.
fn convolve(geometry: &Geometry, x: &[f32], weight: &[f32], bias: Option<&[f32]>, y: &mut [f32]) {
    if y.is_empty() {
        return;
    }
    let (share, [input, output]) = (share(geometry), values_per_image(geometry));
    y.par_chunks_mut(share * output).zip(x.par_chunks(share * input)).for_each(|(y, x)| {
        convolve_share(&Geometry { batch: y.len() / output, ..*geometry }, x, weight, bias, y);
    });
}

/// Images for each thread.
fn share(geometry: &Geometry) -> usize {
    geometry.batch.div_ceil(rayon::current_num_threads()).max(1)
}

/// Of the input and of the output.
fn values_per_image(geometry: &Geometry) -> [usize; 2] {
    [geometry.channels_in * geometry.area_in(), geometry.channels_out * geometry.area_out()]
}

/// By the algorithm that suits the sizes.
fn convolve_share(geometry: &Geometry, x: &[f32], weight: &[f32], bias: Option<&[f32]>, y: &mut [f32]) {
    if pointwise::covers(geometry) {
        pointwise::conv2d(geometry, x, weight, bias, y);
    } else if winograd::pays(geometry) {
        winograd::conv2d(geometry, x, weight, bias, y);
    } else {
        im2col::conv2d(geometry, x, weight, bias, y);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every algorithm on every shape it covers, whatever the sizes that would select it, against the definition.
    #[test]
    fn algorithms_match_the_definition_in_double_precision() {
        let shapes = [
            // batch, channels_in, channels_out, height, width, kernel, stride, [top, left, bottom, right]
            (2, 5, 6, 7, 9, 3, 1, [1, 1, 1, 1]),
            (1, 67, 3, 8, 6, 3, 1, [1, 1, 1, 1]),
            (2, 3, 2, 5, 4, 3, 1, [0, 0, 1, 1]),
            (1, 3, 2, 1, 1, 3, 1, [2, 2, 2, 2]),
            (3, 4, 5, 6, 5, 1, 1, [0, 0, 0, 0]),
            (2, 4, 5, 9, 6, 3, 2, [1, 1, 1, 1]),
            (1, 4, 5, 8, 7, 3, 2, [0, 0, 1, 1]),
            (1, 3, 2, 9, 8, 5, 3, [2, 1, 0, 3]),
        ];
        for (batch, channels_in, channels_out, height, width, kernel, stride, [top, left, bottom, right]) in shapes {
            let size_out =
                [(height + top + bottom - kernel) / stride + 1, (width + left + right - kernel) / stride + 1];
            let geometry = Geometry {
                batch,
                channels_in,
                channels_out,
                size_in: [height, width],
                size_out,
                kernel: [kernel; 2],
                stride: [stride; 2],
                padding: [top, left],
            };
            check(&geometry);
        }
    }

    type Algorithm = fn(&Geometry, &[f32], &[f32], Option<&[f32]>, &mut [f32]);

    fn check(geometry: &Geometry) {
        let x = noise(geometry.batch * geometry.channels_in * geometry.area_in());
        let taps = geometry.kernel[0] * geometry.kernel[1];
        let weight = noise(geometry.channels_out * geometry.channels_in * taps);
        let bias = noise(geometry.channels_out);
        let mut algorithms: Vec<Algorithm> = vec![im2col::conv2d];
        if pointwise::covers(geometry) {
            algorithms.push(pointwise::conv2d);
        }
        if winograd::covers(geometry) {
            algorithms.push(winograd::conv2d);
        }
        for algorithm in algorithms {
            for bias in [None, Some(&bias[..])] {
                let expected = definition(geometry, &x, &weight, bias);
                let mut y = vec![f32::NAN; expected.len()];
                algorithm(geometry, &x, &weight, bias, &mut y);
                let error: f64 = y.iter().zip(&expected).map(|(y, e)| (f64::from(*y) - e).powi(2)).sum();
                let norm: f64 = expected.iter().map(|e| e * e).sum();
                assert!((error / norm).sqrt() < 1e-6, "{geometry:?}");
            }
        }
    }

    fn definition(geometry: &Geometry, x: &[f32], weight: &[f32], bias: Option<&[f32]>) -> Vec<f64> {
        let ([kernel_height, kernel_width], [height, width]) = (geometry.kernel, geometry.size_in);
        let mut y = Vec::new();
        for image in 0..geometry.batch {
            for channel in 0..geometry.channels_out {
                for row in 0..geometry.size_out[0] {
                    for column in 0..geometry.size_out[1] {
                        let mut sum = bias.map_or(0.0, |bias| f64::from(bias[channel]));
                        for (i, &weight) in weight
                            .chunks(kernel_height * kernel_width * geometry.channels_in)
                            .nth(channel)
                            .unwrap()
                            .iter()
                            .enumerate()
                        {
                            let (input, tap) = (i / (kernel_height * kernel_width), i % (kernel_height * kernel_width));
                            let line =
                                (row * geometry.stride[0] + tap / kernel_width).wrapping_sub(geometry.padding[0]);
                            let pixel =
                                (column * geometry.stride[1] + tap % kernel_width).wrapping_sub(geometry.padding[1]);
                            if line < height && pixel < width {
                                sum += f64::from(weight)
                                    * f64::from(geometry.plane(x, image, input)[line * width + pixel]);
                            }
                        }
                        y.push(sum);
                    }
                }
            }
        }
        y
    }

    /// Values in `[-1, 1)` from a linear congruential generator.
    fn noise(len: usize) -> Vec<f32> {
        let mut state = len as u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        };
        (0..len).map(|_| next()).collect()
    }
}
