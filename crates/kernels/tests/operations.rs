//! Every operation against its reference: on the CPU, on a WGSL device, in both float types, and its gradients.

use burn::module::{Module, Param};
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{GroupNorm, GroupNormConfig, Linear, LinearConfig, PaddingConfig2d};
use burn::tensor::{Device, FloatDType, Tensor, TensorData};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use pyrograph_kernels as kernels;
use pyrograph_kernels::{AdapterCapabilities, LayerNorm, Mask, reference};

/// One operation as a function of its main input, its reference, and the shape of that input.
struct Case {
    name: String,
    shape: Vec<usize>,
    fast: Box<dyn Fn(Tensor<1>) -> Tensor<1>>,
    plain: Box<dyn Fn(Tensor<1>) -> Tensor<1>>,
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

    fn input(&self, device: &Device, dtype: FloatDType) -> Tensor<1> {
        random([self.shape.iter().product()], self.shape.len() as u32, device).cast(dtype)
    }
}

/// Values in `[-1, 1)` that are the same on every device.
fn random<const D: usize>(shape: [usize; D], seed: u32, device: &Device) -> Tensor<D> {
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

fn conv(
    [channels_in, channels_out]: [usize; 2],
    kernel: usize,
    stride: usize,
    [top, left, bottom, right]: [usize; 4],
    device: &Device,
    dtype: FloatDType,
) -> Conv2d {
    let mut conv = Conv2dConfig::new([channels_in, channels_out], [kernel; 2])
        .with_stride([stride; 2])
        .with_padding(PaddingConfig2d::Explicit(top, left, bottom, right))
        .init(device);
    conv.weight = parameter([channels_out, channels_in, kernel, kernel], 1, device, dtype);
    conv.bias = Some(parameter([channels_out], 2, device, dtype));
    conv
}

fn linear([d_input, d_output]: [usize; 2], device: &Device, dtype: FloatDType) -> Linear {
    let mut layer = LinearConfig::new(d_input, d_output).init(device);
    layer.weight = parameter([d_input, d_output], 3, device, dtype);
    layer.bias = Some(parameter([d_output], 4, device, dtype));
    layer
}

fn group_norm(groups: usize, channels: usize, device: &Device, dtype: FloatDType) -> GroupNorm {
    let mut norm = GroupNormConfig::new(groups, channels).init(device);
    norm.gamma = Some(parameter([channels], 5, device, dtype));
    norm.beta = Some(parameter([channels], 6, device, dtype));
    norm
}

/// Its epsilon is large enough to matter.
fn layer_norm(width: usize, device: &Device, dtype: FloatDType) -> LayerNorm {
    let mut norm = LayerNorm::new(width, 1e-2, device);
    norm.gamma = parameter([width], 7, device, dtype);
    norm.beta = Some(parameter([width], 8, device, dtype));
    norm
}

/// Keys and values come from one tensor `[batch, keys, 2 heads * head_dim]`, and heads are views, as in a model.
fn attention_case(
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

/// Shapes that reach every algorithm on the CPU, odd sizes and several pictures among them.
fn cpu_cases(device: &Device, dtype: FloatDType) -> Vec<Case> {
    let mut cases = Vec::from([
        conv_case([2, 20, 18, 15], 24, 3, 1, [1; 4], device, dtype),
        conv_case([1, 33, 32, 33], 7, 3, 1, [0, 2, 1, 1], device, dtype),
    ]);
    for (sizes, mask) in
        [([1, 2, 600, 530, 20], Mask::None), ([2, 3, 77, 77, 9], Mask::Causal), ([1, 1, 5, 600, 3], Mask::Causal)]
    {
        cases.push(attention_case(sizes, mask, device, dtype));
    }
    cases
}

/// Shapes that reach every variant of every shader, with parts of tiles left over.
fn shader_cases(device: &Device, dtype: FloatDType) -> Vec<Case> {
    let mut cases = Vec::from([
        conv_case([2, 20, 9, 7], 8, 1, 1, [0; 4], device, dtype),
        conv_case([1, 8, 9, 7], 8, 1, 2, [0; 4], device, dtype),
        conv_case([2, 9, 13, 10], 8, 3, 2, [0, 0, 1, 1], device, dtype),
        conv_case([1, 12, 13, 10], 70, 3, 2, [1; 4], device, dtype),
        conv_case([2, 36, 8, 6], 68, 1, 1, [0; 4], device, dtype),
        conv_case([1, 5, 70, 3], 66, 3, 1, [1; 4], device, dtype),
        conv_case([1, 8, 14, 11], 132, 3, 1, [1; 4], device, dtype),
        conv_add_case([2, 8, 9, 7], 20, 3, [2, 20, 9, 7], device, dtype),
        conv_add_case([2, 8, 9, 7], 70, 3, [1, 70, 1, 1], device, dtype),
        conv_add_case([2, 8, 6, 6], 12, 1, [2, 12, 1, 1], device, dtype),
        conv_add_case([2, 8, 6, 6], 12, 1, [1, 12, 6, 6], device, dtype),
        upsample_case([2, 8, 5, 7], [10, 14], device, dtype),
        upsample_case([1, 12, 6, 5], [11, 9], device, dtype),
        upsample_case([1, 8, 6, 5], [13, 9], device, dtype),
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

fn linear_cases(shape: [usize; 3], d_output: usize, device: &Device, dtype: FloatDType) -> [Case; 3] {
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

fn group_norm_case(shape: [usize; 4], groups: usize, device: &Device, dtype: FloatDType) -> Case {
    let norm = group_norm(groups, shape[1], device, dtype);
    let same = norm.clone();
    let (fast, plain) = (move |x| kernels::group_norm_silu(x, &norm), move |x| reference::group_norm_silu(x, &same));
    Case::new(format!("group_norm_silu {shape:?}"), shape, fast, plain)
}

fn layer_norm_case(shape: [usize; 3], device: &Device, dtype: FloatDType) -> Case {
    let norm = layer_norm(shape[2], device, dtype);
    let same = norm.clone();
    let (fast, plain) = (move |x| kernels::layer_norm(x, &norm), move |x| reference::layer_norm(x, &same));
    Case::new(format!("layer_norm {shape:?}"), shape, fast, plain)
}

fn conv_case(
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
fn small_cases(device: &Device, dtype: FloatDType) -> Vec<Case> {
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
    cases
}

fn values(x: Tensor<1>) -> Vec<f64> {
    x.cast(FloatDType::F32)
        .into_data()
        .try_to_vec::<f32>()
        .expect("cast to float32")
        .into_iter()
        .map(f64::from)
        .collect()
}

fn relative_l2(actual: Tensor<1>, expected: Tensor<1>) -> f64 {
    let (actual, expected) = (values(actual), values(expected));
    assert_eq!(actual.len(), expected.len());
    let error: f64 = actual.iter().zip(&expected).map(|(a, e)| (a - e).powi(2)).sum();
    (error / expected.iter().map(|e| e * e).sum::<f64>()).sqrt()
}

/// Compares with the reference in float32 on the CPU.
fn compare(actual: Vec<Case>, expected: Vec<Case>, device: &Device, dtype: FloatDType, tolerance: f64) {
    for (actual, expected) in actual.iter().zip(&expected) {
        let y = (actual.fast)(actual.input(device, dtype));
        assert_eq!(FloatDType::from(y.dtype()), dtype, "{} keeps the dtype", actual.name);
        let reference = (expected.plain)(expected.input(&Device::flex(), FloatDType::F32));
        let error = relative_l2(y, reference);
        assert!(error < tolerance, "{} is off by {error:.1e} on {device:?} in {dtype:?}", actual.name);
    }
}

/// An adapter of wgpu, what it can do, and the types that it knows.
fn adapter() -> Option<(Device, AdapterCapabilities, Vec<FloatDType>)> {
    let (device, setup) = match Device::wgpu_options().init_with_setup() {
        Ok(opened) => opened,
        Err(error) => {
            not_tested(&format!("wgpu: {error}"));
            return None;
        }
    };
    let mut dtypes = vec![FloatDType::F32];
    if device.supports_dtype(FloatDType::F16) {
        dtypes.push(FloatDType::F16);
    } else {
        not_tested(&format!("float16 on {}", setup.adapter.get_info().name));
    }
    Some((device, AdapterCapabilities::of(&setup.adapter), dtypes))
}

/// A test says what it lacks, and on continuous integration it fails.
fn not_tested(what: &str) {
    assert!(std::env::var_os("CI").is_none(), "continuous integration needs a Vulkan adapter; not tested: {what}");
    eprintln!("NOT TESTED: {what}");
}

#[test]
fn operations_match_the_reference_on_the_cpu() {
    let device = Device::flex();
    for (dtype, tolerance) in [(FloatDType::F32, 1e-5), (FloatDType::F16, 5e-3)] {
        for cases in [small_cases, cpu_cases, shader_cases] {
            compare(cases(&device, dtype), cases(&device, FloatDType::F32), &device, dtype, tolerance);
        }
    }
}

#[test]
fn operations_match_the_reference_on_wgpu() {
    let Some((device, capabilities, dtypes)) = adapter() else { return };
    // Every form of every operation with every size of tiles, whatever the adapter would be given.
    let plain = AdapterCapabilities::default();
    let tiles = [1, 2, plain.workgroups].map(|workgroups| AdapterCapabilities { workgroups, ..plain });
    let mut forms = Vec::from(tiles);
    forms.push(AdapterCapabilities { software: true, ..plain });
    if capabilities.matrix_f32.or(capabilities.matrix_f16).is_some() {
        forms.push(AdapterCapabilities { software: false, ..capabilities });
    } else {
        eprintln!("NOT TESTED: matrix units, which this adapter has not");
    }
    for form in forms {
        form.register(&device);
        for &dtype in &dtypes {
            let tolerance = if dtype == FloatDType::F32 { 1e-5 } else { 5e-3 };
            for cases in [small_cases, shader_cases] {
                let expected = cases(&Device::flex(), FloatDType::F32);
                compare(cases(&device, dtype), expected, &device, dtype, tolerance);
            }
        }
        any_shape_matches(&device);
    }
}

/// Shapes that nobody thought of.
fn any_shape_matches(device: &Device) {
    let f32 = FloatDType::F32;
    let sizes = (1..3usize, 1..20usize, 3..20usize, 3..20usize, 1..80usize);
    let layer = (prop_oneof![Just(1usize), Just(3)], 1..3usize, [0..2usize, 0..2, 0..2, 0..2]);
    property(device, (sizes, layer), move |((batch, channels_in, height, width, channels_out), layer), device| {
        let (kernel, stride, padding) = layer;
        conv_case([batch, channels_in, height, width], channels_out, kernel, stride, padding, device, f32)
    });
    property(device, (1..3usize, 1..90usize, 1..40usize, 1..30usize, 0..3usize), move |sizes, device| {
        let (batch, tokens, d_input, d_output, which) = sizes;
        let cases = linear_cases([batch, tokens, 4 * d_input], 8 * d_output, device, f32);
        cases.into_iter().nth(which).expect("there are three operations")
    });
    let head_dim = proptest::sample::select(vec![4usize, 6, 40, 64, 80, 160]);
    property(device, (1..3usize, 1..4usize, 1..80usize, 1..80usize, head_dim, any::<bool>()), move |sizes, device| {
        let (batch, heads, tokens, keys, head_dim, causal) = sizes;
        let (keys, mask) = if causal { (tokens, Mask::Causal) } else { (keys, Mask::None) };
        attention_case([batch, heads, tokens, keys, head_dim], mask, device, f32)
    });
    property(device, (1..3usize, 1..5usize, 1..9usize, 2..20usize, 1..8usize), move |sizes, device| {
        let (batch, groups, channels, height, width) = sizes;
        group_norm_case([batch, groups * channels, height, 4 * width], groups, device, f32)
    });
    property(device, (1..3usize, 1..40usize, 1..300usize), move |(batch, tokens, width), device| {
        layer_norm_case([batch, tokens, 4 * width], device, f32)
    });
}

/// Compares random cases with the reference on the CPU.
fn property<S: Strategy>(device: &Device, sizes: S, case: impl Fn(S::Value, &Device) -> Case)
where
    S::Value: Clone,
{
    let mut runner = TestRunner::new(Config { cases: 8, failure_persistence: None, ..Config::default() });
    let result = runner.run(&sizes, |sizes| {
        let (actual, expected) = (case(sizes.clone(), device), case(sizes, &Device::flex()));
        let y = (actual.fast)(actual.input(device, FloatDType::F32));
        let error = relative_l2(y, (expected.plain)(expected.input(&Device::flex(), FloatDType::F32)));
        prop_assert!(error < 1e-5, "{} is off by {error:e}", actual.name);
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("on {device:?}: {error}"));
}

#[test]
fn gradients_match_the_reference() {
    let device = Device::flex().autodiff();
    for case in small_cases(&device, FloatDType::F32) {
        let gradient = |f: &dyn Fn(Tensor<1>) -> Tensor<1>| {
            let x = case.input(&device, FloatDType::F32).require_grad();
            let gradients = f(x.clone()).square().sum().backward();
            x.grad(&gradients).expect("the operation is differentiable")
        };
        let error = relative_l2(gradient(&case.fast), gradient(&case.plain));
        assert!(error < 1e-6, "{}: gradients differ by {error:.1e}", case.name);
    }
}

#[test]
fn weights_receive_gradients() {
    let device = Device::flex().autodiff();
    let layer = linear([12, 10], &device, FloatDType::F32);
    // A constant input: only the layer is on the autodiff graph.
    let y = kernels::geglu(random([2, 5, 12], 1, &device), &layer);
    let gradients = y.sum().backward();
    let gradient = layer.weight.val().grad(&gradients).expect("the weight has a gradient");
    assert!(gradient.square().sum().into_scalar::<f32>() > 0.0);
    assert_eq!(layer.num_params(), 130);
}

#[test]
fn upsampling_takes_the_nearest_pixel_towards_the_origin() {
    let device = Device::flex();
    let x = Tensor::<4>::from_data([[[[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]]], &device);
    let doubled = kernels::upsample_nearest_2x(x.clone());
    let rows = [[0.0, 0.0, 1.0, 1.0, 2.0, 2.0], [3.0, 3.0, 4.0, 4.0, 5.0, 5.0]];
    let expected = Tensor::<4>::from_data([[[rows[0], rows[0], rows[1], rows[1]]]], &device);
    doubled.into_data().assert_eq(&expected.into_data(), true);
    // floor(i * 3 / 5) = 0 0 1 1 2 and floor(i * 2 / 3) = 0 0 1.
    let rows = [[0.0, 0.0, 1.0, 1.0, 2.0], [3.0, 3.0, 4.0, 4.0, 5.0]];
    let expected = Tensor::<4>::from_data([[[rows[0], rows[0], rows[1]]]], &device);
    kernels::upsample_nearest(x, [3, 5]).into_data().assert_eq(&expected.into_data(), true);
}
