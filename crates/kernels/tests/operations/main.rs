//! Every operation against its reference: on the CPU, on a WGSL device, in both float types, and its gradients.

mod cases;
#[path = "../../../../tests/support/distance.rs"]
mod distance;
mod forms;
mod mistakes;
#[path = "../../../../tests/support/skip.rs"]
mod skip;
mod workgroups;

use std::sync::OnceLock;

use burn::module::Module;
use burn::tensor::wgpu::wgpu;
use burn::tensor::{Device, FloatDType, Tensor};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use pyrograph_kernels as kernels;
use pyrograph_kernels::{AdapterCapabilities, Mask};

use cases::{
    Case, attention_case, conv_case, cpu_cases, group_norm_case, layer_norm_case, linear, linear_cases, random,
    shader_cases, small_cases,
};
use distance::Distance;
use skip::{no_adapter, not_tested};

fn distance(actual: Tensor<1>, expected: Tensor<1>) -> Distance {
    Distance::between(actual.into_data(), expected.into_data())
}

/// Compares with the reference in float32 on the CPU.
fn compare(actual: Vec<Case>, expected: Vec<Case>, device: &Device, dtype: FloatDType, tolerance: f64) {
    for (actual, expected) in actual.iter().zip(&expected) {
        let y = (actual.fast)(actual.input(device, dtype));
        assert_eq!(FloatDType::from(y.dtype()), dtype, "{} keeps the dtype", actual.name);
        let reference = (expected.plain)(expected.input(&Device::flex(), FloatDType::F32));
        let distance = distance(y, reference);
        assert!(distance.within(tolerance), "{} on {device:?} in {dtype:?}: {distance}", actual.name);
    }
}

/// An adapter of wgpu, its capabilities, and its float types.
type Adapter = (Device, AdapterCapabilities, Vec<FloatDType>);

/// The adapter, which burn opens once; [`no_adapter`] is the rule.
fn adapter() -> Option<Adapter> {
    static OPENED: OnceLock<Result<Adapter, String>> = OnceLock::new();
    OPENED.get_or_init(open_adapter).clone().map_err(no_adapter).ok()
}

fn open_adapter() -> Result<Adapter, String> {
    let (device, setup) = Device::wgpu_options().init_with_setup().map_err(|error| error.to_string())?;
    if setup.adapter.get_info().backend == wgpu::Backend::Gl {
        return Err("wgpu finds OpenGL only".to_owned());
    }
    let mut dtypes = vec![FloatDType::F32];
    dtypes.extend(device.supports_dtype(FloatDType::F16).then_some(FloatDType::F16));
    Ok((device, AdapterCapabilities::of(&setup.adapter), dtypes))
}

/// Leaves out what needs `f16`, or a form such as `matrix_8_f16`, and says so.
///
/// # Panics
/// If the environment variable `PYROGRAPH_NEED` lists it, for adapters that are known to have it.
fn lacks(feature: &str) {
    let needed = std::env::var("PYROGRAPH_NEED").unwrap_or_default();
    assert!(!needed.split(' ').any(|needed| needed == feature), "the adapter lacks {feature}, see PYROGRAPH_NEED");
    not_tested(format_args!("{feature}, which the adapter lacks"));
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
        group_norm_case([batch, groups * channels, height, width], groups, device, f32)
    });
    property(device, (1..3usize, 1..40usize, 1..300usize), move |(batch, tokens, width), device| {
        layer_norm_case([batch, tokens, width], device, f32)
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
        let distance = distance(y, (expected.plain)(expected.input(&Device::flex(), FloatDType::F32)));
        prop_assert!(distance.within(1e-5), "{}: {distance}", actual.name);
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
        let distance = distance(gradient(&case.fast), gradient(&case.plain));
        assert!(distance.within(1e-6), "{}: gradients: {distance}", case.name);
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
