//! Every operation of this crate in the plainest burn operations. The fast forms are compared with these, and these run under
//! autodiff on a GPU.

use burn::module::Param;
use burn::tensor::module;
use burn::tensor::ops::{AttentionModuleOptions, ConvOptions, InterpolateMode, InterpolateOptions};
use burn::tensor::{DType, FloatDType, Tensor, activation};

use crate::{Conv2d, GroupNorm, LayerNorm, Linear, Mask};

/// See [`crate::silu`].
pub fn silu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    activation::silu(x)
}

/// See [`crate::gelu`]. Not burn's: its gradient is that of the approximation with tanh, 2e-4 away.
pub fn gelu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    let erf = (x.clone() * std::f64::consts::FRAC_1_SQRT_2).erf();
    x * (erf + 1.0) * 0.5
}

/// See [`crate::quick_gelu`].
pub fn quick_gelu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    x.clone() * activation::sigmoid(x * 1.702)
}

/// See [`crate::conv2d`].
pub fn conv2d(x: Tensor<4>, conv: &Conv2d) -> Tensor<4> {
    let [top, left, bottom, right] = conv.padding;
    let bias = conv.bias.as_ref().map(|bias| bias.val());
    // burn pads all sides alike.
    let (x, padding) = match [top, left] == [bottom, right] {
        true => (x, [top, left]),
        false => (x.pad((left, right, top, bottom), 0.0), [0, 0]),
    };
    module::conv2d(x, conv.weight.val(), bias, ConvOptions::new(conv.stride, padding, [1, 1], 1))
}

/// See [`crate::conv2d_add`].
pub fn conv2d_add(x: Tensor<4>, conv: &Conv2d, addend: Tensor<4>) -> Tensor<4> {
    conv2d(x, conv) + addend
}

/// See [`crate::upsample_conv2d`].
pub fn upsample_conv2d(x: Tensor<4>, size: [usize; 2], conv: &Conv2d) -> Tensor<4> {
    conv2d(upsample_nearest(x, size), conv)
}

/// See [`crate::upsample_nearest_2x`].
pub fn upsample_nearest_2x(x: Tensor<4>) -> Tensor<4> {
    let [_, _, height, width] = x.dims();
    upsample_nearest(x, [2 * height, 2 * width])
}

/// See [`crate::upsample_nearest`].
pub fn upsample_nearest(x: Tensor<4>, size: [usize; 2]) -> Tensor<4> {
    module::interpolate(x, InterpolateOptions::new(InterpolateMode::Nearest).with_output_size(size))
}

/// See [`crate::linear`].
pub fn linear<const D: usize>(x: Tensor<D>, layer: &Linear) -> Tensor<D> {
    module::linear(x, layer.weight.val().transpose(), layer.bias.as_ref().map(|bias| bias.val()))
}

/// See [`crate::linear_add`].
pub fn linear_add<const D: usize>(x: Tensor<D>, layer: &Linear, addend: Tensor<D>) -> Tensor<D> {
    linear(x, layer) + addend
}

/// See [`crate::geglu`].
pub fn geglu(x: Tensor<3>, proj: &Linear) -> Tensor<3> {
    gate(linear(x, proj))
}

/// The left half of the columns times the GELU of the right half.
pub(crate) fn gate(x: Tensor<3>) -> Tensor<3> {
    let mut halves = x.chunk(2, 2).into_iter();
    let (Some(value), Some(gate)) = (halves.next(), halves.next()) else {
        unreachable!("a tensor chunked in two has two chunks")
    };
    value * gelu(gate)
}

/// See [`crate::group_norm`].
pub fn group_norm(x: Tensor<4>, norm: &GroupNorm) -> Tensor<4> {
    let [batch, channels, height, width] = x.dims();
    let dtype = x.dtype();
    let x = to_f32(x).reshape([batch, norm.groups, channels / norm.groups * height * width]);
    let mean = x.clone().mean_dim(2); // [batch, groups, 1]
    let centred = x - mean;
    let variance = centred.clone().square().mean_dim(2);
    let normalised = centred / (variance + norm.epsilon).sqrt();
    let per_channel = |weights: &Param<Tensor<1>>| to_f32(weights.val()).reshape([1, channels, 1, 1]);
    let y = normalised.reshape([batch, channels, height, width]) * per_channel(&norm.weight) + per_channel(&norm.bias);
    from_f32(y, dtype)
}

/// See [`crate::group_norm_silu`].
pub fn group_norm_silu(x: Tensor<4>, norm: &GroupNorm) -> Tensor<4> {
    silu(group_norm(x, norm))
}

/// See [`crate::layer_norm`].
pub fn layer_norm(x: Tensor<3>, norm: &LayerNorm) -> Tensor<3> {
    let dtype = x.dtype();
    let (weight, bias) = (to_f32(norm.weight.val()), to_f32(norm.bias.val()));
    from_f32(module::layer_norm(to_f32(x), weight, Some(bias), norm.epsilon), dtype)
}

/// See [`crate::attention`].
///
/// burn chooses the algorithm: tiles where the backend has them, the full score matrix under autodiff.
pub fn attention(q: Tensor<4>, k: Tensor<4>, v: Tensor<4>, mask: Mask) -> Tensor<4> {
    mask.assert_fits(&q, &k);
    let dtype = q.dtype();
    let options = AttentionModuleOptions { is_causal: mask == Mask::Causal, ..Default::default() };
    from_f32(module::attention(to_f32(q), to_f32(k), to_f32(v), None, None, options), dtype)
}

fn to_f32<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    if x.dtype() == DType::F32 { x } else { x.cast(FloatDType::F32) }
}

fn from_f32<const D: usize>(x: Tensor<D>, dtype: DType) -> Tensor<D> {
    if dtype == DType::F32 { x } else { x.cast(FloatDType::from(dtype)) }
}
