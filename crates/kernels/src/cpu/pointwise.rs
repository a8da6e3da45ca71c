use rayon::prelude::*;

use super::gemm::{Matrix, MatrixMut, Previous, gemm};
use crate::geometry::Geometry;

/// Whether every output pixel depends on the input pixel at its own place alone.
pub(super) fn covers(geometry: &Geometry) -> bool {
    geometry.kernel == [1, 1] && geometry.stride == [1, 1] && geometry.size_in == geometry.size_out
}

/// A 1x1 convolution, which is one matrix product per image: `[channels_out, channels_in]` by `[channels_in, pixels]`.
pub(super) fn conv2d(geometry: &Geometry, x: &[f32], weight: &[f32], bias: Option<&[f32]>, y: &mut [f32]) {
    let Geometry { channels_in, channels_out, .. } = *geometry;
    let area = geometry.area_out();
    let channels = channels_out.div_ceil(rayon::current_num_threads());
    y.par_chunks_mut(channels_out * area).zip(x.par_chunks(channels_in * area)).for_each(|(y, x)| {
        y.par_chunks_mut(channels * area).enumerate().for_each(|(i, y)| {
            let first = i * channels;
            let count = y.len() / area;
            for (channel, y) in y.chunks_exact_mut(area).enumerate() {
                y.fill(bias.map_or(0.0, |bias| bias[first + channel]));
            }
            let weight = Matrix::new(&weight[first * channels_in..], [count, channels_in], [channels_in, 1]);
            let x = Matrix::new(x, [channels_in, area], [area, 1]);
            gemm(MatrixMut::new(y, [count, area], area), weight, x, Previous::Add);
        });
    });
}
