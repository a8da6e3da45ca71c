//! Every form of the shaders in each type of values: a test for each, so that a failure names the form.

use std::sync::{Mutex, MutexGuard, PoisonError};

use burn::tensor::{Device, FloatDType};
use pyrograph_kernels::{AdapterCapabilities, MatrixUnits};

use crate::cases::{shader_cases, small_cases};
use crate::{adapter, any_shape_matches, compare, lacks};

macro_rules! forms {
    ($($name:ident: $form:expr, $dtype:ident;)*) => { $(
        #[test]
        fn $name() {
            matches_the_reference(stringify!($name), $form, FloatDType::$dtype);
        }
    )* };
}

// The more workgroups keep an adapter busy, the smaller are the tiles.
forms! {
    large_tiles_f32: tiles(1), F32;
    large_tiles_f16: tiles(1), F16;
    medium_tiles_f32: tiles(2), F32;
    medium_tiles_f16: tiles(2), F16;
    small_tiles_f32: tiles(256), F32;
    small_tiles_f16: tiles(256), F16;
    software_f32: software(), F32;
    software_f16: software(), F16;
    matrix_8_f32: matrix(MatrixUnits::Eight, FloatDType::F32), F32;
    matrix_8_f16: matrix(MatrixUnits::Eight, FloatDType::F16), F16;
    matrix_16_f32: matrix(MatrixUnits::Sixteen, FloatDType::F32), F32;
    matrix_16_f16: matrix(MatrixUnits::Sixteen, FloatDType::F16), F16;
}

fn tiles(workgroups: usize) -> AdapterCapabilities {
    AdapterCapabilities { workgroups, ..AdapterCapabilities::default() }
}

pub(crate) fn software() -> AdapterCapabilities {
    AdapterCapabilities { software: true, ..AdapterCapabilities::default() }
}

fn matrix(units: MatrixUnits, dtype: FloatDType) -> AdapterCapabilities {
    let of = |scalar| (scalar == dtype).then_some(units);
    AdapterCapabilities {
        matrix_f32: of(FloatDType::F32),
        matrix_f16: of(FloatDType::F16),
        ..AdapterCapabilities::default()
    }
}

/// Whatever form the adapter would be given, it can run all but those of matrix units that it lacks.
fn matches_the_reference(name: &str, form: AdapterCapabilities, dtype: FloatDType) {
    let Some((device, capabilities, dtypes)) = adapter() else { return };
    if !dtypes.contains(&dtype) {
        return lacks("f16");
    }
    let has = |units: Option<MatrixUnits>, of| units.is_none() || units == of;
    if !has(form.matrix_f32, capabilities.matrix_f32) || !has(form.matrix_f16, capabilities.matrix_f16) {
        return lacks(name);
    }
    let _registered = register(form, &device);
    let tolerance = if dtype == FloatDType::F32 { 1e-5 } else { 5e-3 };
    for cases in [small_cases, shader_cases] {
        compare(cases(&device, dtype), cases(&Device::flex(), FloatDType::F32), &device, dtype, tolerance);
    }
    if dtype == FloatDType::F32 {
        any_shape_matches(&device);
    }
}

/// Makes the operations choose `form` until the guard is dropped: tests run at once, and burn opens an adapter once.
pub(crate) fn register(form: AdapterCapabilities, device: &Device) -> MutexGuard<'static, ()> {
    static REGISTERED: Mutex<()> = Mutex::new(());
    let guard = REGISTERED.lock().unwrap_or_else(PoisonError::into_inner); // by the failure of another form
    form.register(device);
    guard
}
