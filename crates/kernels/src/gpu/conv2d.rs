use burn::nn::conv::Conv2d;
use burn::tensor::Tensor;
use pyrograph_shaders::conv2d::{MATRIX_8, MATRIX_16, SOFTWARE, TILED};
use pyrograph_shaders::{Constant, Epilogue, value};

use super::adapter::{Adapter, Form, Forms, adapter};
use super::addend::Addend;
use super::dispatch::Tile;
use super::launch::Launch;
use super::matmul::pointwise;
use crate::geometry::Geometry;

const FORMS: Forms = Forms { tiled: &TILED, matrix_8: &MATRIX_8, matrix_16: &MATRIX_16, software: &SOFTWARE };

/// Square kernels of one or three pixels with the same stride in both directions. The input may first be
/// enlarged to `enlarged`, which must be twice its size or one pixel less; `addend` is added to the output.
pub(crate) fn conv2d(
    x: &Tensor<4>,
    conv: &Conv2d,
    enlarged: Option<[usize; 2]>,
    addend: Option<&Tensor<4>>,
) -> Option<Tensor<4>> {
    let adapter @ Adapter { scalar, form, .. } = adapter(x)?;
    let [batch, channels_in, height, width] = x.dims();
    let [height, width] = match enlarged {
        Some(size) if size.map(|pixels| pixels.div_ceil(2)) != [height, width] => return None,
        Some(size) => size,
        None => [height, width],
    };
    let geometry = Geometry::new([batch, channels_in, height, width], conv)?;
    let ([kernel, kernel_x], [stride, stride_x]) = (geometry.kernel, geometry.stride);
    let ([top, left], [height_out, width_out]) = (geometry.padding, geometry.size_out);
    if kernel != kernel_x || stride != stride_x {
        return None;
    }
    let channels_out = geometry.channels_out;
    let shape = [batch, channels_out, height_out, width_out];
    let addend = match addend {
        Some(addend) => Some(Addend::of_maps(addend, shape)?),
        None => None,
    };
    if [kernel, stride] == [1, 1]
        && geometry.size_in == geometry.size_out
        && enlarged.is_none()
        && let Some(y) = pointwise(x, conv, addend.as_ref())
    {
        return Some(y);
    }
    // The other forms read weights in groups of four.
    let form = if channels_in % 4 == 0 { form } else { Form::Software };
    let stage = FORMS.get(form);
    let mut variants = stage.variants.iter().copied().filter(|constants| {
        value(constants, "KERNEL") == kernel
            && value(constants, "DOUBLED") == usize::from(enlarged.is_some())
            && (form != Form::Software
                || value(constants, "STRIDE") == stride
                    && (value(constants, "ROWS") == 8 || value(constants, "ROWS") >= channels_out))
    });
    let pixels = batch * height_out * width_out;
    let constants = match form {
        Form::Tiled => adapter.tiles(variants, [channels_out, pixels])?,
        _ => variants.next()?,
    };
    let (tile, columns) = tile(constants, [batch, height_out, width_out]);
    let sizes = [batch, channels_in, height, width, channels_out, height_out, width_out, stride, top, left];
    let steps = addend.as_ref().map_or([0; 3], |addend| addend.steps);
    let launch = Launch {
        stage,
        constants,
        epilogue: if addend.is_some() { Epilogue::Add } else { Epilogue::Plain },
        workgroups: tile.across([channels_out, columns])?,
        sizes: sizes.into_iter().chain(steps).collect(),
        shape: shape.into(),
        scalar,
    };
    Some(launch.on_three(x.clone(), conv.weight.val(), bias(conv, x), addend))
}

/// Output channels and columns of a workgroup, and how many columns there are for pictures `[batch, height, width]`: pixels, or
/// groups of four neighbours of a row.
pub(super) fn tile(constants: &[Constant], [batch, height, width]: [usize; 3]) -> (Tile, usize) {
    let value = |name| value(constants, name);
    let pixels = batch * height * width;
    match (value("TILE_M"), value("TILE")) {
        (0, 0) => {
            let quads = batch * height * width.div_ceil(4);
            let columns = quads.min(value("THREADS"));
            (Tile { rows: value("THREADS") / columns * value("ROWS"), columns }, quads)
        }
        (0, side) => (Tile { rows: side, columns: side }, pixels),
        (rows, _) => (Tile { rows, columns: value("TILE_N") }, pixels),
    }
}

/// The bias of a layer, zeros if it has none.
pub(super) fn bias(conv: &Conv2d, x: &Tensor<4>) -> Tensor<1> {
    match &conv.bias {
        Some(bias) => bias.val(),
        None => Tensor::zeros([conv.weight.dims()[0]], (&x.device(), x.dtype())),
    }
}
