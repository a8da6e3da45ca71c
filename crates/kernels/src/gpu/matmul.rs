use burn::tensor::Tensor;
use pyrograph_shaders::matmul::{Form, Layer, Parameters, Stage};
use pyrograph_shaders::{self as shaders, Epilogue, Steps};

use super::adapter::{self, Adapter, adapter};
use super::addend::Addend;
use super::conv2d::bias;
use super::dispatch::{Tile, narrow};
use super::launch::Launch;
use crate::{Conv2d, Linear};

/// `x W^T + b` over the last dimension, and `addend` of the output's shape on it where both widths are multiples of four.
pub(crate) fn linear<const D: usize>(x: &Tensor<D>, layer: &Linear, addend: Option<&Tensor<D>>) -> Option<Tensor<D>> {
    let [d_output, _] = layer.weight.dims();
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
    let [d_output, _] = proj.weight.dims();
    let [batch, tokens, _] = x.dims();
    if d_output % 8 != 0 {
        return None;
    }
    Some(projection(x, proj, After::Geglu)?.reshape([batch, tokens, d_output / 2]))
}

fn projection<const D: usize>(x: &Tensor<D>, layer: &Linear, after: After<'_>) -> Option<Tensor<3>> {
    let [d_output, d_input] = layer.weight.dims();
    let rows = x.dims()[..D - 1].iter().product();
    let bias = match &layer.bias {
        Some(bias) => bias.val(),
        None => Tensor::zeros([d_output], (&x.device(), x.dtype())),
    };
    product(x.clone().reshape([rows, d_input]), layer.weight.val().unsqueeze(), bias, Layer::Linear, after)
}

/// A convolution of single pixels, where their number and the channels are multiples of four.
pub(super) fn pointwise(x: &Tensor<4>, conv: &Conv2d, addend: Option<&Addend>) -> Option<Tensor<4>> {
    let [batch, channels_in, height, width] = x.dims();
    let channels_out = conv.weight.dims()[0];
    let weight = conv.weight.val().reshape([channels_out, channels_in]);
    let pixels = x.clone().reshape([batch, channels_in, height * width]);
    let after = addend.map_or(After::Nothing, After::Add);
    let y = product(weight, pixels, bias(conv, x), Layer::Pointwise, after)?;
    Some(y.reshape([batch, channels_out, height, width]))
}

/// The operation on the result of a product.
#[derive(Clone, Copy)]
enum After<'a> {
    Nothing,
    Add(&'a Addend),
    Geglu,
}

/// `a b + bias` for every `b` of a batch, and the operation after it.
///
/// # Shapes
/// - `a`: `[rows, depth]`
/// - `b`: `[batch, depth, columns]`, or the weights `[1, columns, depth]` of a linear layer
/// - `bias`: `[rows]`, or `[columns]` of a linear layer
/// - output: `[batch, rows, columns]`, or half as many columns after [`After::Geglu`]
fn product(a: Tensor<2>, b: Tensor<3>, bias: Tensor<1>, layer: Layer, after: After<'_>) -> Option<Tensor<3>> {
    let adapter = adapter(&a)?;
    let size = Size::of(&a, &b, layer);
    if !size.depth.is_multiple_of(4) || !size.columns.is_multiple_of(4) {
        return if matches!(after, After::Nothing) { widened(a, b, bias, layer) } else { None };
    }
    let launch = plan(choose(adapter, size, layer, after)?, size, after)?;
    let addend = if let After::Add(addend) = after { Some(addend.clone()) } else { None };
    Some(launch.on_three(a, b, bias, addend))
}

/// The size of a batch of products.
#[derive(Clone, Copy)]
struct Size {
    batch: usize,
    rows: usize,
    columns: usize,
    depth: usize,
}

impl Size {
    fn of(a: &Tensor<2>, b: &Tensor<3>, layer: Layer) -> Self {
        let ([rows, depth], [batch, ..]) = (a.dims(), b.dims());
        let columns = b.dims()[if layer == Layer::Linear { 1 } else { 2 }];
        Self { batch, rows, columns, depth }
    }
}

/// The stage that suits the adapter.
fn choose(adapter: Adapter, size: Size, layer: Layer, after: After<'_>) -> Option<Stage> {
    let form = match adapter.form {
        adapter::Form::Tiled => Form::Tiled(adapter.tiles([size.rows, size.batch * size.columns])),
        adapter::Form::Matrix(units) => Form::Matrix(units),
        adapter::Form::Software => Form::Software,
    };
    let epilogue = match after {
        After::Nothing => Epilogue::Plain,
        After::Add(_) => Epilogue::Add,
        After::Geglu => Epilogue::Geglu,
    };
    Stage::new(form, layer, epilogue)
}

/// The launch of a stage, unless it has too many workgroups.
fn plan(stage: Stage, size: Size, after: After<'_>) -> Option<Launch> {
    let Size { batch, rows, columns, depth } = size;
    let (columns_out, addend) = match after {
        After::Nothing => (columns, Steps::default()),
        After::Add(addend) => (columns, addend.steps),
        After::Geglu => (columns / 2, Steps::default()),
    };
    let parameters = Parameters { rows: narrow(rows), columns: narrow(columns), depth: narrow(depth), addend };
    let workgroups = Tile::from(stage.tile()).batched([batch, rows, columns])?;
    Some(
        Launch::new(shaders::Stage::Matmul(stage), workgroups, [batch, rows, columns_out]).with_parameters(&parameters),
    )
}

/// Matrices whose depth or columns are no multiples of four, with zeros beside them.
fn widened(a: Tensor<2>, b: Tensor<3>, bias: Tensor<1>, layer: Layer) -> Option<Tensor<3>> {
    let Size { columns, depth, .. } = Size::of(&a, &b, layer);
    let missing = |length: usize| length.next_multiple_of(4) - length;
    let (deeper, wider) = (missing(depth), missing(columns));
    let a = a.pad((0, deeper, 0, 0), 0.0);
    let (b, bias) = match layer {
        Layer::Linear => (b.pad((0, deeper, 0, wider), 0.0), bias.pad([(0, wider)], 0.0)),
        Layer::Pointwise => (b.pad((0, wider, 0, deeper), 0.0), bias),
    };
    Some(product(a, b, bias, layer, After::Nothing)?.narrow(2, 0, columns))
}
