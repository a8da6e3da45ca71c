use burn::nn::Linear;
use burn::nn::conv::Conv2d;
use burn::tensor::Tensor;
use pyrograph_shaders::matmul::{SOFTWARE, TILED};
use pyrograph_shaders::value;

use super::launch::{LARGEST_COUNT, Launch};
use super::{Adapter, adapter};

/// `x W + b` over the last dimension, where both widths are multiples of four.
pub(crate) fn linear<const D: usize>(x: &Tensor<D>, layer: &Linear) -> Option<Tensor<D>> {
    let [d_input, d_output] = layer.weight.dims();
    let mut shape = x.dims();
    let rows = shape[..D - 1].iter().product();
    shape[D - 1] = d_output;
    let weight = layer.weight.val().unsqueeze::<3>();
    let bias = match &layer.bias {
        Some(bias) => bias.val(),
        None => Tensor::zeros([d_output], (&x.device(), x.dtype())),
    };
    let y = product(x.clone().reshape([rows, d_input]), weight, bias, BiasOf::Columns)?;
    Some(y.reshape(shape))
}

/// A convolution of single pixels, where their number and the channels are multiples of four.
pub(super) fn pointwise(x: &Tensor<4>, conv: &Conv2d) -> Option<Tensor<4>> {
    let [batch, channels_in, height, width] = x.dims();
    let channels_out = conv.weight.dims()[0];
    let weight = conv.weight.val().reshape([channels_out, channels_in]);
    let pixels = x.clone().reshape([batch, channels_in, height * width]);
    let y = product(weight, pixels, conv.bias.as_ref()?.val(), BiasOf::Rows)?;
    Some(y.reshape([batch, channels_out, height, width]))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum BiasOf {
    Rows,
    Columns,
}

/// `a b + bias` for every `b` of a batch.
///
/// # Shapes
/// `[rows, depth]`, `[batch, depth, columns]`, `[rows or columns]` -> `[batch, rows, columns]`
fn product(a: Tensor<2>, b: Tensor<3>, bias: Tensor<1>, of: BiasOf) -> Option<Tensor<3>> {
    let Adapter { scalar, software } = adapter(&a)?;
    let [batch, depth, columns] = b.dims();
    let rows = a.dims()[0];
    if depth % 4 != 0 || columns % 4 != 0 {
        return None;
    }
    let stage = if software { &SOFTWARE } else { &TILED };
    let constants = stage.variants[usize::from(of == BiasOf::Columns)];
    let [tile_m, tile_n] = if software {
        [value(constants, "ROWS"), 4 * value(constants, "QUADS") * value(constants, "THREADS")]
    } else {
        [value(constants, "TILE_M"), value(constants, "TILE_N")]
    };
    let workgroups = [columns.div_ceil(tile_n), rows.div_ceil(tile_m), batch];
    if workgroups.iter().any(|&count| count > LARGEST_COUNT) {
        return None;
    }
    let launch = Launch {
        stage,
        constants,
        workgroups,
        sizes: vec![rows, columns, depth],
        shape: [batch, rows, columns].into(),
        scalar,
    };
    Some(launch.on_three(a, b, bias))
}
