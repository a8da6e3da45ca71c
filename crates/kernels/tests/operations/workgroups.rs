//! Results that take more than the 65,535 workgroups of a dimension.

use burn::tensor::{Device, FloatDType};
use pyrograph_kernels::{AdapterCapabilities, Mask};

use crate::cases::{Case, attention_case, conv_case, group_norm_case, layer_norm_case, linear_cases};
use crate::forms::{register, software};
use crate::{adapter, compare};

#[test]
fn beyond_one_dimension_in_tiles() {
    matches_the_reference(AdapterCapabilities::default());
}

#[test]
fn beyond_one_dimension_in_software() {
    matches_the_reference(software());
}

fn matches_the_reference(form: AdapterCapabilities) {
    let Some((device, ..)) = adapter() else { return };
    let _registered = register(form, &device);
    compare(cases(&device), cases(&Device::flex()), &device, FloatDType::F32, 1e-5);
}

fn cases(device: &Device) -> Vec<Case> {
    let f32 = FloatDType::F32;
    let mut cases = Vec::from([
        layer_norm_case([1, 70_000, 4], device, f32),
        group_norm_case([70_000, 2, 2, 2], 1, device, f32),
        conv_case([1, 1, 2_100, 4_096], 1, 3, 1, [1; 4], device, f32),
        attention_case([1, 1, 2_100_000, 3, 4], Mask::None, device, f32),
    ]);
    cases.extend(linear_cases([1, 530_000, 4], 8, device, f32));
    cases
}
