//! The gradients of every operation on the CPU against those of its reference, which burn differentiates.

#[path = "../../../tests/support/distance.rs"]
mod distance;

use burn::module::{Module, Param};
use burn::tensor::{Device, GradientCheckpointingStrategy, Gradients, Tensor, TensorData};
use pyrograph_kernels as kernels;
use pyrograph_kernels::{
    Conv2d, Conv2dConfig, GroupNorm, GroupNormConfig, LayerNorm, Linear, LinearConfig, Mask, reference,
};

use distance::Distance;

const TOLERANCE: f64 = 1e-5;

/// Values in `[-1, 1)` from a linear congruential generator.
fn random<const D: usize>(shape: [usize; D], seed: u32, device: &Device) -> Tensor<D> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    let values: Vec<f32> = (0..shape.iter().product()).map(|_| next()).collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}

fn parameter<const D: usize>(shape: [usize; D], seed: u32, device: &Device) -> Param<Tensor<D>> {
    Param::from_tensor(random(shape, seed, device).require_grad())
}

fn values<const D: usize>(x: Tensor<D>) -> Vec<f32> {
    x.into_data().try_to_vec::<f32>().expect("gradients are float32")
}

/// A tensor whose gradient is compared, as its name and the way to that gradient.
type Leaf = (&'static str, Box<dyn Fn(&Gradients) -> Option<Vec<f32>>>);

fn leaf<const D: usize>(name: &'static str, x: &Tensor<D>) -> Leaf {
    let x = x.clone();
    (name, Box::new(move |gradients| x.grad(gradients).map(values)))
}

/// Compares both results and the gradients of the leaves for one gradient of the output, which is random.
fn check<const D: usize>(case: &str, fast: &Tensor<D>, plain: &Tensor<D>, leaves: &[Leaf]) {
    close(case, "the output", &values(fast.clone()), &values(plain.clone()));
    let towards = random(plain.dims(), 99, &plain.device());
    let [fast, plain] = [fast, plain].map(|y| (y.clone() * towards.clone()).sum().backward());
    for (name, gradient) in leaves {
        match (gradient(&fast), gradient(&plain)) {
            (Some(actual), Some(expected)) => close(case, name, &actual, &expected),
            (None, None) => {}
            (actual, _) => panic!("{case}: the gradient of {name} is there: {}", actual.is_some()),
        }
    }
}

fn close(case: &str, name: &str, actual: &[f32], expected: &[f32]) {
    let distance = Distance::between(actual.into(), expected.into());
    assert!(distance.within(TOLERANCE), "{case}: {name}: {distance}");
}

/// Everything required, the weights frozen, and the input frozen.
const FROZEN: [[bool; 2]; 3] = [[false, false], [true, false], [false, true]];

fn input<const D: usize>(shape: [usize; D], frozen: bool, device: &Device) -> Tensor<D> {
    let x = random(shape, 42, device);
    if frozen { x } else { x.require_grad() }
}

fn conv([channels_in, channels_out, kernel, stride]: [usize; 4], padding: [usize; 4], device: &Device) -> Conv2d {
    let mut conv = Conv2dConfig::new([channels_in, channels_out], [kernel; 2])
        .with_stride([stride; 2])
        .with_padding(padding)
        .init(device);
    conv.weight = parameter([channels_out, channels_in, kernel, kernel], 1, device);
    conv.bias = Some(parameter([channels_out], 2, device));
    conv
}

#[test]
fn convolutions() {
    let device = Device::flex().autodiff();
    let shapes = [
        // batch, channels_in, height, width; channels_out, kernel, stride; top, left, bottom, right
        ([2, 5, 7, 9], [6, 3, 1], [1; 4]),
        ([3, 20, 18, 15], [24, 3, 1], [1; 4]),
        ([2, 17, 32, 33], [19, 3, 1], [0, 2, 1, 1]),
        ([1, 3, 1, 1], [2, 3, 1], [2; 4]),
        ([2, 3, 6, 5], [4, 3, 1], [3, 1, 1, 4]),
        ([3, 4, 6, 5], [5, 1, 1], [0; 4]),
        ([2, 4, 9, 6], [5, 3, 2], [1; 4]),
        ([2, 4, 8, 7], [5, 3, 2], [0, 0, 1, 1]),
        ([1, 3, 9, 8], [2, 5, 3], [2, 1, 0, 3]),
        ([2, 3, 7, 4], [4, 1, 2], [0; 4]),
        ([1, 4, 40, 33], [3, 3, 2], [1, 0, 0, 1]),
    ];
    for (shape, [channels_out, kernel, stride], padding) in shapes {
        for [frozen_weights, frozen_input] in FROZEN {
            let mut layer = conv([shape[1], channels_out, kernel, stride], padding, &device);
            if frozen_weights {
                layer = layer.no_grad();
            }
            let x = input(shape, frozen_input, &device);
            let (weight, bias) = (layer.weight.val(), layer.bias.as_ref().expect("it has a bias").val());
            let case = format!("{shape:?} to {channels_out}, {kernel}, {stride}, {padding:?}, {frozen_weights}");
            let leaves = [leaf("the input", &x), leaf("the weight", &weight), leaf("the bias", &bias)];
            check(&case, &kernels::conv2d(x.clone(), &layer), &reference::conv2d(x, &layer), &leaves);
        }
    }
}

#[test]
fn convolutions_without_a_bias_and_with_an_addend() {
    let device = Device::flex().autodiff();
    for shape in [[2, 7, 6, 5], [2, 7, 1, 1], [1, 7, 6, 5]] {
        let mut layer = conv([4, 7, 3, 1], [1; 4], &device);
        layer.bias = None;
        let (x, addend) = (input([2, 4, 6, 5], false, &device), random(shape, 3, &device).require_grad());
        let leaves = [leaf("the input", &x), leaf("the weight", &layer.weight.val()), leaf("the addend", &addend)];
        let fast = kernels::conv2d_add(x.clone(), &layer, addend.clone());
        check(&format!("{shape:?}"), &fast, &reference::conv2d_add(x, &layer, addend), &leaves);
    }
}

#[test]
fn enlarged_convolutions() {
    let device = Device::flex().autodiff();
    for size in [[6, 10], [7, 9], [3, 5]] {
        let layer = conv([3, 5, 3, 1], [1; 4], &device);
        let x = input([2, 3, 3, 5], false, &device);
        let leaves = [leaf("the input", &x), leaf("the weight", &layer.weight.val())];
        let fast = kernels::upsample_conv2d(x.clone(), size, &layer);
        check(&format!("{size:?}"), &fast, &reference::upsample_conv2d(x, size, &layer), &leaves);
    }
}

fn linear([d_input, d_output]: [usize; 2], device: &Device) -> Linear {
    let mut layer = LinearConfig::new(d_input, d_output).init(device);
    layer.weight = parameter([d_output, d_input], 3, device);
    layer.bias = Some(parameter([d_output], 4, device));
    layer
}

#[test]
fn linear_layers() {
    let device = Device::flex().autodiff();
    for [frozen_weights, frozen_input] in FROZEN {
        for (shape, d_output, with_bias) in [([2, 77, 13], 7, true), ([1, 1, 5], 3, true), ([3, 70, 9], 33, false)] {
            let mut layer = linear([shape[2], d_output], &device);
            if !with_bias {
                layer.bias = None;
            }
            if frozen_weights {
                layer = layer.no_grad();
            }
            let x = input(shape, frozen_input, &device);
            let mut leaves = vec![leaf("the input", &x), leaf("the weight", &layer.weight.val())];
            leaves.extend(layer.bias.as_ref().map(|bias| leaf("the bias", &bias.val())));
            let case = format!("{shape:?} to {d_output}, {frozen_weights}");
            check(&case, &kernels::linear(x.clone(), &layer), &reference::linear(x, &layer), &leaves);
        }
    }
}

/// A weight that is a view of a matrix `[d_input, d_output]`, and an addend.
#[test]
fn a_transposed_weight_and_an_addend() {
    let device = Device::flex().autodiff();
    let mut layer = linear([9, 6], &device);
    let stored = random([9, 6], 5, &device).require_grad();
    let mut transposed = || {
        layer.weight = Param::initialized(layer.weight.id, stored.clone().transpose());
        layer.clone()
    };
    let (x, addend) = (input([2, 11, 9], false, &device), random([2, 11, 6], 6, &device).require_grad());
    let leaves = [leaf("the input", &x), leaf("the weight", &stored), leaf("the addend", &addend)];
    let fast = kernels::linear_add(x.clone(), &transposed(), addend.clone());
    check("transposed", &fast, &reference::linear_add(x, &transposed(), addend), &leaves);
}

#[test]
fn gated_layers() {
    let device = Device::flex().autodiff();
    for [frozen_weights, frozen_input] in FROZEN {
        let mut layer = linear([11, 26], &device);
        if frozen_weights {
            layer = layer.no_grad();
        }
        let x = input([2, 67, 11], frozen_input, &device);
        let leaves = [leaf("the input", &x), leaf("the weight", &layer.weight.val())];
        check("geglu", &kernels::geglu(x.clone(), &layer), &reference::geglu(x, &layer), &leaves);
    }
}

fn group_norm(groups: usize, channels: usize, device: &Device) -> GroupNorm {
    let mut norm = GroupNormConfig::new(groups, channels).init(device);
    norm.weight = parameter([channels], 5, device);
    norm.bias = parameter([channels], 6, device);
    norm
}

#[test]
fn group_norms() {
    let device = Device::flex().autodiff();
    for [frozen_weights, frozen_input] in FROZEN {
        for (shape, groups) in [([2, 6, 5, 7], 3), ([3, 10, 9, 11], 5), ([1, 4, 1, 3], 1)] {
            let mut norm = group_norm(groups, shape[1], &device);
            if frozen_weights {
                norm = norm.no_grad();
            }
            let x = input(shape, frozen_input, &device);
            // So that the mean is not that of a normalised tensor.
            let moved = || x.clone() * 2.0 + 0.5;
            let weights = [&norm.weight, &norm.bias].map(|weight| weight.val());
            let [gamma, beta] = [leaf("the scale", &weights[0]), leaf("the shift", &weights[1])];
            let leaves = [leaf("the input", &x), gamma, beta];
            let case = format!("{shape:?}, {groups} groups, {frozen_weights}");
            check(&case, &kernels::group_norm(moved(), &norm), &reference::group_norm(moved(), &norm), &leaves);
            let (fast, plain) = (kernels::group_norm_silu(moved(), &norm), reference::group_norm_silu(moved(), &norm));
            check(&format!("{case}, silu"), &fast, &plain, &leaves);
        }
    }
}

#[test]
fn layer_norms() {
    let device = Device::flex().autodiff();
    for [frozen_weights, frozen_input] in FROZEN {
        for shape in [[2, 70, 33], [3, 1, 100], [1, 5, 7]] {
            let mut norm = LayerNorm::new(shape[2], 1e-2, &device);
            norm.weight = parameter([shape[2]], 7, &device);
            norm.bias = parameter([shape[2]], 8, &device);
            if frozen_weights {
                norm = norm.no_grad();
            }
            let x = input(shape, frozen_input, &device);
            let moved = || x.clone() * 2.0 + 0.5;
            let (weight, bias) = (norm.weight.val(), norm.bias.val());
            let leaves = [leaf("the input", &x), leaf("the scale", &weight), leaf("the shift", &bias)];
            let (fast, plain) = (kernels::layer_norm(moved(), &norm), reference::layer_norm(moved(), &norm));
            check(&format!("{shape:?}"), &fast, &plain, &leaves);
        }
    }
}

/// Heads are views, as in a model, and one input at a time is frozen.
#[test]
fn attentions() {
    let device = Device::flex().autodiff();
    let shapes = [[2, 3, 7, 7, 5], [1, 2, 300, 77, 8], [2, 1, 5, 9, 16]];
    for [batch, heads, tokens, keys, head_dim] in shapes {
        for (mask, frozen) in [(Mask::None, 3), (Mask::Causal, 3), (Mask::None, 0), (Mask::None, 1), (Mask::None, 2)] {
            if mask == Mask::Causal && keys != tokens {
                continue;
            }
            let leaves = [(0, tokens), (1, keys), (2, keys)].map(|(which, rows)| {
                let x = random([batch, rows, heads * head_dim], 20 + which, &device);
                if which == frozen { x } else { x.require_grad() }
            });
            let run = |f: fn(Tensor<4>, Tensor<4>, Tensor<4>, Mask) -> Tensor<4>| {
                let [q, k, v] = leaves.clone().map(|x| {
                    let [batch, rows, _] = x.dims();
                    x.reshape([batch, rows, heads, head_dim]).swap_dims(1, 2)
                });
                f(q, k, v, mask).swap_dims(1, 2).reshape([batch, tokens, heads * head_dim])
            };
            let names = ["the queries", "the keys", "the values"];
            let compared: Vec<Leaf> = names.into_iter().zip(&leaves).map(|(name, x)| leaf(name, x)).collect();
            let case = format!("{heads} heads of {head_dim}, {tokens} to {keys}, {mask:?}, {frozen}");
            check(&case, &run(kernels::attention), &run(reference::attention), &compared);
        }
    }
}

/// One tensor that is all three inputs gathers the gradients of each.
#[test]
fn attention_to_itself() {
    let device = Device::flex().autodiff();
    let x = random([2, 2, 6, 4], 12, &device).require_grad();
    let run =
        |f: fn(Tensor<4>, Tensor<4>, Tensor<4>, Mask) -> Tensor<4>| f(x.clone(), x.clone(), x.clone(), Mask::Causal);
    check("self", &run(kernels::attention), &run(reference::attention), &[leaf("the input", &x)]);
}

/// The other strategy of autodiff, under which burn computes cheap operations again.
#[test]
fn gradients_under_checkpointing() {
    let device = Device::flex().autodiff();
    let balanced = |x: Tensor<4>| x.with_gradient_checkpointing_strategy(GradientCheckpointingStrategy::Balanced);
    let mut layer = conv([4, 6, 3, 1], [1; 4], &device);
    layer.weight = Param::from_tensor(balanced(random([6, 4, 3, 3], 1, &device)).require_grad());
    layer.bias = None;
    let x = balanced(random([2, 4, 5, 6], 2, &device)).require_grad();
    let run = |f: fn(Tensor<4>, &Conv2d) -> Tensor<4>| f(x.clone().exp(), &layer).exp();
    let leaves = [leaf("the input", &x), leaf("the weight", &layer.weight.val())];
    check("balanced", &run(kernels::conv2d), &run(reference::conv2d), &leaves);
}
