use burn::nn::conv::Conv2d;
use burn::tensor::Tensor;
use pyrograph_shaders::conv2d::{SOFTWARE, TILED};
use pyrograph_shaders::value;

use super::launch::{Launch, across};
use super::matmul::pointwise;
use super::{Adapter, adapter};
use crate::geometry::Geometry;

/// Square kernels of one or three pixels; stride and padding are the same for both directions.
pub(crate) fn conv2d(x: &Tensor<4>, conv: &Conv2d) -> Option<Tensor<4>> {
    let Adapter { scalar, software } = adapter(x)?;
    let bias = conv.bias.as_ref()?.val();
    let geometry = Geometry::new(x, conv)?;
    let ([kernel, kernel_x], [stride, stride_x]) = (geometry.kernel, geometry.stride);
    let [top, left] = geometry.padding;
    if kernel != kernel_x || stride != stride_x || top != left {
        return None;
    }
    if kernel == 1
        && stride == 1
        && geometry.size_in == geometry.size_out
        && let Some(y) = pointwise(x, conv)
    {
        return Some(y);
    }
    let Geometry { batch, channels_in, channels_out, .. } = geometry;
    let ([height, width], [height_out, width_out]) = (geometry.size_in, geometry.size_out);
    let stage = if software { &SOFTWARE } else { &TILED };
    let constants = stage.variants.iter().copied().find(|constants| {
        value(constants, "KERNEL") == kernel && (!software || value(constants, "STRIDE") == stride)
    })?;
    let [columns, rows] = if software {
        let quads = batch * height_out * width_out.div_ceil(4);
        [quads.div_ceil(value(constants, "THREADS")), channels_out.div_ceil(value(constants, "ROWS"))]
    } else {
        let pixels = batch * height_out * width_out;
        [pixels.div_ceil(value(constants, "TILE_N")), channels_out.div_ceil(value(constants, "TILE_M"))]
    };
    let launch = Launch {
        stage,
        constants,
        workgroups: across(columns, rows),
        sizes: vec![batch, channels_in, height, width, channels_out, height_out, width_out, stride, top],
        shape: [batch, channels_out, height_out, width_out].into(),
        scalar,
    };
    Some(launch.on_three(x.clone(), conv.weight.val(), bias))
}
