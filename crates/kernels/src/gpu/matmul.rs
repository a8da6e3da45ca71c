use burn::nn::Linear;
use burn::nn::conv::Conv2d;
use burn::tensor::Tensor;
use pyrograph_shaders::matmul::{MATRIX_8, MATRIX_16, SOFTWARE, TILED};
use pyrograph_shaders::{Constant, Epilogue, value};

use super::adapter::{Adapter, Form, Forms, adapter};
use super::addend::Addend;
use super::conv2d::bias;
use super::dispatch::Tile;
use super::launch::Launch;

const FORMS: Forms = Forms { tiled: &TILED, matrix_8: &MATRIX_8, matrix_16: &MATRIX_16, software: &SOFTWARE };

/// `x W + b` over the last dimension, and `addend` of the output's shape on it where both widths are multiples of four.
pub(crate) fn linear<const D: usize>(x: &Tensor<D>, layer: &Linear, addend: Option<&Tensor<D>>) -> Option<Tensor<D>> {
    let [_, d_output] = layer.weight.dims();
    let mut shape = x.dims();
    shape[D - 1] = d_output;
    if addend.is_some_and(|addend| addend.dims() != shape) {
        return None;
    }
    let rows = shape[..D - 1].iter().product();
    let addend = addend.map(|addend| Addend::same(addend, [1, rows, d_output]));
    Some(projection(x, layer, addend.as_ref().map_or(After::Nothing, After::Add))?.reshape(shape))
}

/// A projection whose left half is multiplied with the GELU of its right half, each a multiple of four wide.
pub(crate) fn geglu(x: &Tensor<3>, proj: &Linear) -> Option<Tensor<3>> {
    let [_, d_output] = proj.weight.dims();
    let [batch, tokens, _] = x.dims();
    if d_output % 8 != 0 {
        return None;
    }
    Some(projection(x, proj, After::Geglu)?.reshape([batch, tokens, d_output / 2]))
}

fn projection<const D: usize>(x: &Tensor<D>, layer: &Linear, after: After<'_>) -> Option<Tensor<3>> {
    let [d_input, d_output] = layer.weight.dims();
    let rows = x.dims()[..D - 1].iter().product();
    let bias = match &layer.bias {
        Some(bias) => bias.val(),
        None => Tensor::zeros([d_output], (&x.device(), x.dtype())),
    };
    product(x.clone().reshape([rows, d_input]), layer.weight.val().unsqueeze(), bias, BiasOf::Columns, after)
}

/// A convolution of single pixels, where their number and the channels are multiples of four.
pub(super) fn pointwise(x: &Tensor<4>, conv: &Conv2d, addend: Option<&Addend>) -> Option<Tensor<4>> {
    let [batch, channels_in, height, width] = x.dims();
    let channels_out = conv.weight.dims()[0];
    let weight = conv.weight.val().reshape([channels_out, channels_in]);
    let pixels = x.clone().reshape([batch, channels_in, height * width]);
    let after = addend.map_or(After::Nothing, After::Add);
    let y = product(weight, pixels, bias(conv, x), BiasOf::Rows, after)?;
    Some(y.reshape([batch, channels_out, height, width]))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum BiasOf {
    Rows,
    Columns,
}

/// What follows a product.
enum After<'a> {
    Nothing,
    Add(&'a Addend),
    Geglu,
}

/// `a b + bias` for every `b` of a batch, and what follows.
///
/// # Shapes
/// `[rows, depth]`, `[batch, depth, columns]`, `[rows or columns]` -> `[batch, rows, columns]`, or half as many columns
/// after [`After::Geglu`]
fn product(a: Tensor<2>, b: Tensor<3>, bias: Tensor<1>, of: BiasOf, after: After<'_>) -> Option<Tensor<3>> {
    let adapter @ Adapter { scalar, form, .. } = adapter(&a)?;
    let [batch, depth, columns] = b.dims();
    let rows = a.dims()[0];
    if depth % 4 != 0 || columns % 4 != 0 {
        return if matches!(after, After::Nothing) { widened(a, b, bias, of) } else { None };
    }
    let stage = FORMS.get(form);
    let bias_columns = usize::from(of == BiasOf::Columns);
    let mut variants =
        stage.variants.iter().copied().filter(|constants| value(constants, "BIAS_COLUMNS") == bias_columns);
    let constants = match form {
        Form::Tiled => adapter.tiles(variants, [rows, batch * columns])?,
        _ => variants.next()?,
    };
    let (epilogue, columns_out, addend) = match after {
        After::Nothing => (Epilogue::Plain, columns, None),
        After::Add(addend) => (Epilogue::Add, columns, Some(addend)),
        After::Geglu => (Epilogue::Geglu, columns / 2, None),
    };
    if !stage.epilogues.contains(&epilogue) {
        return None;
    }
    let steps = addend.map_or([0; 3], |addend| addend.steps);
    let launch = Launch {
        stage,
        constants,
        epilogue,
        workgroups: tile(constants).batched([batch, rows, columns])?,
        sizes: [rows, columns, depth].into_iter().chain(steps).collect(),
        shape: [batch, rows, columns_out].into(),
        scalar,
    };
    Some(launch.on_three(a, b, bias, addend.cloned()))
}

/// Rows and columns of a workgroup.
pub(super) fn tile(constants: &[Constant]) -> Tile {
    let value = |name| value(constants, name);
    match (value("TILE_M"), value("TILE")) {
        (0, 0) => Tile { rows: value("ROWS"), columns: 4 * value("QUADS") * value("THREADS") }, // in registers
        (0, side) => Tile { rows: side, columns: side },
        (rows, _) => Tile { rows, columns: value("TILE_N") },
    }
}

/// Matrices whose depth or columns are no multiples of four, with zeros beside them.
fn widened(a: Tensor<2>, b: Tensor<3>, bias: Tensor<1>, of: BiasOf) -> Option<Tensor<3>> {
    let [_, depth, columns] = b.dims();
    let missing = |length: usize| length.next_multiple_of(4) - length;
    let (deeper, wider) = (missing(depth), missing(columns));
    let a = a.pad((0, deeper, 0, 0), 0.0);
    let b = b.pad((0, wider, 0, deeper), 0.0);
    let bias = if of == BiasOf::Columns { bias.pad([(0, wider)], 0.0) } else { bias };
    Some(product(a, b, bias, of, After::Nothing)?.narrow(2, 0, columns))
}
