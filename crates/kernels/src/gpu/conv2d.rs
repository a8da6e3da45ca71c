use burn::nn::PaddingConfig2d;
use burn::nn::conv::Conv2d;
use burn::tensor::Tensor;
use pyrograph_shaders::conv2d::{SOFTWARE, TILED};
use pyrograph_shaders::value;

use super::launch::{Launch, across};
use super::matmul::pointwise;
use super::{Adapter, adapter};

/// Square kernels of one or three pixels, one stride for both directions.
pub(crate) fn conv2d(x: &Tensor<4>, conv: &Conv2d) -> Option<Tensor<4>> {
    let Adapter { scalar, software } = adapter(x)?;
    let (top, left, bottom, right) = match conv.padding {
        PaddingConfig2d::Valid => (0, 0, 0, 0),
        PaddingConfig2d::Explicit(top, left, bottom, right) => (top, left, bottom, right),
        PaddingConfig2d::Same => return None,
    };
    let [batch, channels_in, height, width] = x.dims();
    let [channels_out, _, kernel, kernel_x] = conv.weight.dims();
    let [stride, stride_x] = conv.stride;
    if kernel != kernel_x || stride != stride_x || top != left || conv.dilation != [1, 1] || conv.groups != 1 {
        return None;
    }
    if kernel == 1
        && stride == 1
        && top + left + bottom + right == 0
        && let Some(y) = pointwise(x, conv)
    {
        return Some(y);
    }
    let out = |size: usize, padding: usize| (size + padding - kernel) / stride + 1;
    let (height_out, width_out) = (out(height, top + bottom), out(width, left + right));
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
        shape: [batch, channels_out, height_out, width_out],
        scalar,
    };
    let bias = conv.bias.as_ref()?.val();
    Some(launch.on_three(x.clone(), conv.weight.val(), bias))
}
