use burn::tensor::Tensor;
use pyrograph_shaders::conv2d::{Form, Parameters, Software, Stage};
use pyrograph_shaders::{self as shaders, Steps};

use super::adapter::{self, Adapter, adapter};
use super::addend::Addend;
use super::dispatch::{Tile, narrow};
use super::launch::Launch;
use super::matmul::pointwise;
use crate::Conv2d;
use crate::geometry::Geometry;

/// Square kernels of one or three pixels with the same stride in both directions. The input may first be
/// enlarged to `enlarged`, which must be twice its size or one pixel less; `addend` is added to the output.
pub(crate) fn conv2d(
    x: &Tensor<4>,
    conv: &Conv2d,
    enlarged: Option<[usize; 2]>,
    addend: Option<&Tensor<4>>,
) -> Option<Tensor<4>> {
    let adapter = adapter(x)?;
    let [batch, channels_in, height, width] = x.dims();
    let [height, width] = match enlarged {
        Some(size) if size.map(|pixels| pixels.div_ceil(2)) != [height, width] => return None,
        Some(size) => size,
        None => [height, width],
    };
    let geometry = Geometry::new([batch, channels_in, height, width], conv)?;
    let addend = match addend {
        Some(addend) => Some(Addend::of_maps(addend, geometry.shape_out())?),
        None => None,
    };
    if [geometry.kernel, geometry.stride] == [[1, 1]; 2]
        && geometry.size_in == geometry.size_out
        && enlarged.is_none()
        && let Some(y) = pointwise(x, conv, addend.as_ref())
    {
        return Some(y);
    }
    let stage = choose(adapter, &geometry, enlarged.is_some(), addend.is_some())?;
    let launch = plan(stage, &geometry, addend.as_ref())?;
    Some(launch.on_three(x.clone(), conv.weight.val(), bias(conv, x), addend))
}

/// The stage that suits the adapter, `None` where there is none for the kernel and the stride.
fn choose(adapter: Adapter, geometry: &Geometry, doubled: bool, add: bool) -> Option<Stage> {
    let ([kernel, kernel_x], [stride, stride_x]) = (geometry.kernel, geometry.stride);
    if kernel != kernel_x || stride != stride_x {
        return None;
    }
    let pixels = geometry.batch * geometry.area_out();
    let form = match adapter.form {
        adapter::Form::Tiled if geometry.channels_in.is_multiple_of(4) => {
            Form::Tiled(adapter.tiles([geometry.channels_out, pixels]))
        }
        adapter::Form::Matrix(units) if geometry.channels_in.is_multiple_of(4) => Form::Matrix(units),
        _ => Form::Software(Software::new(stride, geometry.channels_out)?),
    };
    Stage::new(form, kernel, doubled, add)
}

/// The launch of a stage, unless it has too many workgroups.
fn plan(stage: Stage, geometry: &Geometry, addend: Option<&Addend>) -> Option<Launch> {
    let Geometry { batch, channels_in, channels_out, size_in, size_out, stride, padding, .. } = *geometry;
    let ([height, width], [height_out, width_out]) = (size_in, size_out);
    let parameters = Parameters {
        batch: narrow(batch),
        channels_in: narrow(channels_in),
        height: narrow(height),
        width: narrow(width),
        channels_out: narrow(channels_out),
        height_out: narrow(height_out),
        width_out: narrow(width_out),
        stride: narrow(stride[0]),
        padding_top: narrow(padding[0]),
        padding_left: narrow(padding[1]),
        addend: addend.map_or(Steps::default(), |addend| addend.steps),
    };
    let (tile, columns) = stage.tile([batch, height_out, width_out]);
    let workgroups = Tile::from(tile).across([channels_out, columns])?;
    Some(Launch::new(shaders::Stage::Conv2d(stage), workgroups, geometry.shape_out()).with_parameters(&parameters))
}

/// The bias of a layer, zeros if it has none.
pub(super) fn bias(conv: &Conv2d, x: &Tensor<4>) -> Tensor<1> {
    match &conv.bias {
        Some(bias) => bias.val(),
        None => Tensor::zeros([conv.weight.dims()[0]], (&x.device(), x.dtype())),
    }
}
