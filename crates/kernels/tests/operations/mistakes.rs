//! Inputs that an operation refuses.

use std::panic::{AssertUnwindSafe, catch_unwind};

use burn::tensor::{Device, FloatDType, Tensor};
use pyrograph_kernels as kernels;
use pyrograph_kernels::{Mask, reference};

use crate::cases::{conv, group_norm, layer_norm, linear, random};
use crate::{adapter, lacks};

/// The message of the panic that `f` ends in.
fn panic_of(what: &str, f: impl FnOnce()) -> String {
    let Err(payload) = catch_unwind(AssertUnwindSafe(f)) else { panic!("{what} is computed") };
    let text = payload.downcast_ref::<String>().cloned();
    text.or_else(|| payload.downcast_ref::<&str>().map(|text| (*text).to_owned())).expect("a panic with a text")
}

type Run<'a> = Box<dyn Fn() + 'a>;

/// Every operation with weights, addends or keys that are not like its input `x`, of width or channels 8.
fn unlike<'a>(x: &'a Tensor<4>, other: &'a Device, dtype: FloatDType) -> Vec<(&'static str, Run<'a>)> {
    let (same, same_dtype) = (x.device(), FloatDType::from(x.dtype()));
    let wide = conv([8, 8], 3, 1, [1; 4], other, dtype);
    let pointwise = conv([8, 8], 1, 1, [0; 4], other, dtype);
    let own = conv([8, 8], 3, 1, [1; 4], &same, same_dtype);
    let (layer, own_layer) = (linear([8, 8], other, dtype), linear([8, 8], &same, same_dtype));
    let (groups, tokens) = (group_norm(2, 8, other, dtype), layer_norm(8, other, dtype));
    let addend = random::<4>([1, 8, 8, 8], 1, other).cast(dtype);
    let (gated, enlarged) = (layer.clone(), wide.clone());
    let (added, key) = (addend.clone(), addend.clone());
    let flat = |x: &Tensor<4>| x.clone().reshape([1, 64, 8]);
    let operations: [(&'static str, Run<'a>); 10] = [
        ("conv2d", Box::new(move || drop(kernels::conv2d(x.clone(), &wide)))),
        ("conv2d of single pixels", Box::new(move || drop(kernels::conv2d(x.clone(), &pointwise)))),
        ("conv2d_add", Box::new(move || drop(kernels::conv2d_add(x.clone(), &own, added.clone())))),
        ("upsample_conv2d", Box::new(move || drop(kernels::upsample_conv2d(x.clone(), [16, 16], &enlarged)))),
        ("linear", Box::new(move || drop(kernels::linear(flat(x), &layer)))),
        ("linear_add", Box::new(move || drop(kernels::linear_add(flat(x), &own_layer, flat(&addend))))),
        ("geglu", Box::new(move || drop(kernels::geglu(flat(x), &gated)))),
        ("group_norm", Box::new(move || drop(kernels::group_norm(x.clone(), &groups)))),
        ("layer_norm", Box::new(move || drop(kernels::layer_norm(flat(x), &tokens)))),
        ("attention", Box::new(move || drop(kernels::attention(x.clone(), key.clone(), x.clone(), Mask::None)))),
    ];
    operations.into()
}

#[test]
fn operands_of_different_types_or_devices_are_refused_on_wgpu() {
    let Some((device, _, dtypes)) = adapter() else { return };
    let x = random::<4>([1, 8, 8, 8], 1, &device);
    let mut mistakes = Vec::from([(Device::flex(), FloatDType::F32, "Flex")]);
    match dtypes.contains(&FloatDType::F16) {
        true => mistakes.push((device, FloatDType::F16, "F16")),
        false => lacks("f16"),
    }
    for (other, dtype, named) in mistakes {
        for (operation, run) in unlike(&x, &other, dtype) {
            let message = panic_of(operation, run);
            assert!(message.contains(named) && message.contains("F32"), "{operation}: {message}");
        }
    }
}

#[test]
fn a_causal_mask_of_other_keys_than_queries_is_refused() {
    let mut devices = vec![Device::flex(), Device::flex().autodiff()];
    devices.extend(adapter().map(|(device, ..)| device));
    for device in devices {
        for (tokens, keys) in [(3, 5), (5, 3)] {
            let q = random::<4>([1, 2, tokens, 8], 1, &device);
            let k = random::<4>([1, 2, keys, 8], 2, &device);
            for attention in [kernels::attention, reference::attention] {
                let message = panic_of("attention", || drop(attention(q.clone(), k.clone(), k.clone(), Mask::Causal)));
                assert!(message.contains(&format!("{keys} keys for {tokens} queries")), "{message}");
            }
        }
    }
}
