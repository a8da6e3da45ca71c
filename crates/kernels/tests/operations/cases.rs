//! Operations with their references, on the shapes they are tested with.

use burn::module::Param;
use burn::tensor::{Device, FloatDType, Tensor, TensorData};
use pyrograph_kernels as kernels;
use pyrograph_kernels::{
    Conv2d, Conv2dConfig, GroupNorm, GroupNormConfig, LayerNorm, Linear, LinearConfig, Mask, reference,
};

/// One operation as a function of its main input, its reference, and the shape of that input.
pub(crate) struct Case {
    pub(crate) name: String,
    shape: Vec<usize>,
    pub(crate) fast: Box<dyn Fn(Tensor<1>) -> Tensor<1>>,
    pub(crate) plain: Box<dyn Fn(Tensor<1>) -> Tensor<1>>,
}

impl Case {
    fn new<const I: usize, const O: usize>(
        name: String,
        shape: [usize; I],
        fast: impl Fn(Tensor<I>) -> Tensor<O> + 'static,
        plain: impl Fn(Tensor<I>) -> Tensor<O> + 'static,
    ) -> Self {
        let flat = |x: Tensor<O>| {
            let len = x.shape().num_elements();
            x.reshape([len])
        };
        let (fast, plain): (Box<dyn Fn(_) -> _>, Box<dyn Fn(_) -> _>) = (
            Box::new(move |x: Tensor<1>| flat(fast(x.reshape(shape)))),
            Box::new(move |x: Tensor<1>| flat(plain(x.reshape(shape)))),
        );
        Self { name, shape: shape.to_vec(), fast, plain }
    }

    pub(crate) fn input(&self, device: &Device, dtype: FloatDType) -> Tensor<1> {
        random([self.shape.iter().product()], self.shape.len() as u32, device).cast(dtype)
    }
}

/// Values in `[-1, 1)` that are the same on every device.
pub(crate) fn random<const D: usize>(shape: [usize; D], seed: u32, device: &Device) -> Tensor<D> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    let values: Vec<f32> = (0..shape.iter().product()).map(|_| next()).collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}

fn parameter<const D: usize>(shape: [usize; D], seed: u32, device: &Device, dtype: FloatDType) -> Param<Tensor<D>> {
    Param::from_tensor(random(shape, seed, device).cast(dtype))
}

pub(crate) fn conv(
    [channels_in, channels_out]: [usize; 2],
    kernel: usize,
    stride: usize,
    padding: [usize; 4],
    device: &Device,
    dtype: FloatDType,
) -> Conv2d {
    let mut conv = Conv2dConfig::new([channels_in, channels_out], [kernel; 2])
        .with_stride([stride; 2])
        .with_padding(padding)
        .init(device);
    conv.weight = parameter([channels_out, channels_in, kernel, kernel], 1, device, dtype);
    conv.bias = Some(parameter([channels_out], 2, device, dtype));
    conv
}

pub(crate) fn linear([d_input, d_output]: [usize; 2], device: &Device, dtype: FloatDType) -> Linear {
    let mut layer = LinearConfig::new(d_input, d_output).init(device);
    layer.weight = parameter([d_output, d_input], 3, device, dtype);
    layer.bias = Some(parameter([d_output], 4, device, dtype));
    layer
}

pub(crate) fn group_norm(groups: usize, channels: usize, device: &Device, dtype: FloatDType) -> GroupNorm {
    let mut norm = GroupNormConfig::new(groups, channels).init(device);
    norm.weight = parameter([channels], 5, device, dtype);
    norm.bias = parameter([channels], 6, device, dtype);
    norm
}

/// Its epsilon is large enough to matter.
pub(crate) fn layer_norm(width: usize, device: &Device, dtype: FloatDType) -> LayerNorm {
    let mut norm = LayerNorm::new(width, 1e-2, device);
    norm.weight = parameter([width], 7, device, dtype);
    norm.bias = parameter([width], 8, device, dtype);
    norm
}

/// Keys and values come from one tensor `[batch, keys, 2 heads * head_dim]`, and heads are views, as in a model.
pub(crate) fn attention_case(
    [batch, heads, tokens, keys, head_dim]: [usize; 5],
    mask: Mask,
    device: &Device,
    dtype: FloatDType,
) -> Case {
    let memory = random([batch, keys, 2, heads, head_dim], 9, device).cast(dtype);
    let key = memory.clone().slice([0..batch, 0..keys, 0..1]).reshape([batch, keys, heads, head_dim]);
    let value = memory.slice([0..batch, 0..keys, 1..2]).reshape([batch, keys, heads, head_dim]);
    let run = move |f: fn(Tensor<4>, Tensor<4>, Tensor<4>, Mask) -> Tensor<4>| {
        let (key, value) = (key.clone().swap_dims(1, 2), value.clone().swap_dims(1, 2));
        move |q: Tensor<4>| f(q.swap_dims(1, 2), key.clone(), value.clone(), mask)
    };
    let name = format!("attention {heads} x {head_dim}, {tokens} to {keys}, {mask:?}");
    Case::new(name, [batch, tokens, heads, head_dim], run(kernels::attention), run(reference::attention))
}

/// Shapes that reach every algorithm on the CPU, odd sizes and several images among them.
pub(crate) fn cpu_cases(device: &Device, dtype: FloatDType) -> Vec<Case> {
    let mut cases = Vec::from([
        conv_case([2, 20, 18, 15], 24, 3, 1, [1; 4], device, dtype),
        conv_case([1, 33, 32, 33], 7, 3, 1, [0, 2, 1, 1], device, dtype),
    ]);
    for (sizes, mask) in
        [([1, 2, 600, 530, 20], Mask::None), ([2, 3, 77, 77, 9], Mask::Causal), ([1, 1, 600, 600, 3], Mask::Causal)]
    {
        cases.push(attention_case(sizes, mask, device, dtype));
    }
    cases
}

/// Shapes that reach every variant of every shader, with parts of tiles left over.
pub(crate) fn shader_cases(device: &Device, dtype: FloatDType) -> Vec<Case> {
    let mut cases = Vec::from([
        conv_case([2, 20, 9, 7], 8, 1, 1, [0; 4], device, dtype),
        conv_case([1, 8, 9, 7], 8, 1, 2, [0; 4], device, dtype),
        conv_case([2, 9, 13, 10], 8, 3, 2, [0, 0, 1, 1], device, dtype),
        conv_case([1, 12, 13, 10], 70, 3, 2, [1; 4], device, dtype),
        conv_case([2, 36, 8, 6], 68, 1, 1, [0; 4], device, dtype),
        conv_case([1, 5, 70, 3], 66, 3, 1, [1; 4], device, dtype),
        conv_case([1, 8, 14, 11], 132, 3, 1, [1; 4], device, dtype),
        conv_case([2, 9, 3, 37], 12, 3, 1, [1; 4], device, dtype),
        conv_case([1, 8, 7, 39], 3, 3, 2, [0, 0, 1, 1], device, dtype),
        conv_add_case([2, 8, 9, 7], 20, 3, [2, 20, 9, 7], device, dtype),
        conv_add_case([2, 8, 9, 7], 70, 3, [1, 70, 1, 1], device, dtype),
        conv_add_case([2, 8, 6, 6], 12, 1, [2, 12, 1, 1], device, dtype),
        conv_add_case([2, 8, 6, 6], 12, 1, [1, 12, 6, 6], device, dtype),
        upsample_case([2, 8, 5, 7], [10, 14], device, dtype),
        upsample_case([1, 12, 6, 5], [11, 9], device, dtype),
        upsample_case([1, 8, 6, 5], [13, 9], device, dtype),
        upsample_case([1, 9, 2, 18], [3, 35], device, dtype),
    ]);
    for (tokens, d_input, d_output) in [(77, 40, 72), (5, 768, 12), (130, 36, 136), (70, 8, 200)] {
        cases.extend(linear_cases([2, tokens, d_input], d_output, device, dtype));
    }
    for shape in [[2, 24, 6, 10], [1, 8, 2, 2], [1, 16, 20, 30]] {
        cases.push(group_norm_case(shape, 8, device, dtype));
    }
    for shape in [[2, 5, 320], [1, 3, 36], [1, 2, 4]] {
        cases.push(layer_norm_case(shape, device, dtype));
    }
    for (sizes, mask) in [
        ([2, 2, 70, 40, 40], Mask::None),
        ([1, 2, 77, 77, 64], Mask::Causal),
        ([1, 2, 33, 35, 80], Mask::None),
        ([1, 1, 40, 65, 160], Mask::None),
        ([1, 1, 34, 40, 512], Mask::None),
    ] {
        cases.push(attention_case(sizes, mask, device, dtype));
    }
    cases
}

fn conv_add_case(
    shape: [usize; 4],
    channels_out: usize,
    kernel: usize,
    addend: [usize; 4],
    device: &Device,
    dtype: FloatDType,
) -> Case {
    let layer = conv([shape[1], channels_out], kernel, 1, [kernel / 2; 4], device, dtype);
    let addend = random(addend, 10, device).cast(dtype);
    let (same, same_addend) = (layer.clone(), addend.clone());
    let name = format!("conv2d_add {shape:?} to {channels_out}, kernel {kernel}, and {:?}", addend.dims());
    let plain = move |x| reference::conv2d_add(x, &same, same_addend.clone());
    Case::new(name, shape, move |x| kernels::conv2d_add(x, &layer, addend.clone()), plain)
}

fn upsample_case(shape: [usize; 4], size: [usize; 2], device: &Device, dtype: FloatDType) -> Case {
    let layer = conv([shape[1], 10], 3, 1, [1; 4], device, dtype);
    let same = layer.clone();
    let (fast, plain) =
        (move |x| kernels::upsample_conv2d(x, size, &layer), move |x| reference::upsample_conv2d(x, size, &same));
    Case::new(format!("upsample_conv2d {shape:?} to {size:?}"), shape, fast, plain)
}

pub(crate) fn linear_cases(shape: [usize; 3], d_output: usize, device: &Device, dtype: FloatDType) -> [Case; 3] {
    let layer = linear([shape[2], d_output], device, dtype);
    let addend: Tensor<3> = random([shape[0], shape[1], d_output], 11, device).cast(dtype);
    let (a, b, c, d, e) = (layer.clone(), layer.clone(), layer.clone(), layer.clone(), layer.clone());
    let (same, same_addend) = (layer, addend.clone());
    let name = |operation| format!("{operation} {shape:?} to {d_output}");
    [
        Case::new(
            name("linear"),
            shape,
            move |x: Tensor<3>| kernels::linear(x, &a),
            move |x: Tensor<3>| reference::linear(x, &b),
        ),
        Case::new(
            name("linear_add"),
            shape,
            move |x: Tensor<3>| kernels::linear_add(x, &c, addend.clone()),
            move |x: Tensor<3>| reference::linear_add(x, &same, same_addend.clone()),
        ),
        Case::new(name("geglu"), shape, move |x| kernels::geglu(x, &d), move |x| reference::geglu(x, &e)),
    ]
}

pub(crate) fn group_norm_case(shape: [usize; 4], groups: usize, device: &Device, dtype: FloatDType) -> Case {
    let norm = group_norm(groups, shape[1], device, dtype);
    let same = norm.clone();
    let (fast, plain) = (move |x| kernels::group_norm_silu(x, &norm), move |x| reference::group_norm_silu(x, &same));
    Case::new(format!("group_norm_silu {shape:?}"), shape, fast, plain)
}

pub(crate) fn layer_norm_case(shape: [usize; 3], device: &Device, dtype: FloatDType) -> Case {
    let norm = layer_norm(shape[2], device, dtype);
    let same = norm.clone();
    let (fast, plain) = (move |x| kernels::layer_norm(x, &norm), move |x| reference::layer_norm(x, &same));
    Case::new(format!("layer_norm {shape:?}"), shape, fast, plain)
}

pub(crate) fn conv_case(
    shape: [usize; 4],
    channels_out: usize,
    kernel: usize,
    stride: usize,
    padding: [usize; 4],
    device: &Device,
    dtype: FloatDType,
) -> Case {
    let layer = conv([shape[1], channels_out], kernel, stride, padding, device, dtype);
    let same = layer.clone();
    let name = format!("conv2d {shape:?} to {channels_out}, kernel {kernel}, stride {stride}");
    Case::new(name, shape, move |x| kernels::conv2d(x, &layer), move |x| reference::conv2d(x, &same))
}

/// One small shape of every operation: a GPU backend compiles and times kernels for each.
pub(crate) fn small_cases(device: &Device, dtype: FloatDType) -> Vec<Case> {
    let norm = group_norm(3, 12, device, dtype);
    let same = norm.clone();
    let size = [7, 8];
    let mut cases = Vec::from([
        conv_case([2, 4, 5, 7], 6, 3, 1, [1; 4], device, dtype),
        conv_add_case([2, 4, 5, 7], 6, 3, [2, 6, 5, 7], device, dtype),
        upsample_case([1, 4, 3, 2], [6, 4], device, dtype),
        Case::new(
            "group_norm".into(),
            [2, 12, 5, 7],
            move |x| kernels::group_norm(x, &norm),
            move |x| reference::group_norm(x, &same),
        ),
        group_norm_case([2, 12, 5, 7], 3, device, dtype),
        layer_norm_case([2, 5, 12], device, dtype),
        attention_case([2, 3, 10, 6, 8], Mask::None, device, dtype),
        attention_case([1, 2, 9, 9, 8], Mask::Causal, device, dtype),
        Case::new("silu".into(), [40], kernels::silu::<1>, reference::silu::<1>),
        Case::new("gelu".into(), [40], kernels::gelu::<1>, reference::gelu::<1>),
        Case::new("quick_gelu".into(), [40], kernels::quick_gelu::<1>, reference::quick_gelu::<1>),
        Case::new(
            "upsample_nearest".into(),
            [2, 3, 4, 5],
            move |x| kernels::upsample_nearest(x, size),
            move |x| reference::upsample_nearest(x, size),
        ),
    ]);
    cases.extend(linear_cases([2, 5, 12], 10, device, dtype));
    cases.extend(linear_cases([1, 3, 6], 10, device, dtype)); // no width is a multiple of four
    cases
}
