//! The boundary to the device: tensors read back, and what burn and wgpu do when they fail.

use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};

use burn::backend::ExecutionError;
use burn::tensor::{DType, Device, Tensor};

use crate::Error;

/// The values of a tensor in row-major order, as float32.
///
/// # Errors
/// When the device fails, or a value is NaN or infinity: `advice` says what may help.
pub(crate) async fn finite<const D: usize>(
    stage: &'static str,
    advice: &'static str,
    x: Tensor<D>,
) -> Result<Vec<f32>, Error> {
    let device = x.device();
    let data = x.cast(DType::F32).into_data_async().await.map_err(|error| failed(stage, &device, &error))?;
    let values = data.try_to_vec::<f32>().map_err(|error| failed(stage, &device, &error))?;
    if values.iter().all(|value| value.is_finite()) { Ok(values) } else { Err(Error::NotFinite { stage, advice }) }
}

/// The result of work that burn and wgpu may answer with a panic: they do where memory ends or a shader is refused.
///
/// # Errors
/// The panic's message.
pub(crate) fn guarded<T>(stage: &'static str, work: impl FnOnce() -> T) -> Result<T, Error> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|payload| {
        let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
        Error::Execution { stage, problem: text.unwrap_or_else(|| "it panicked without a message".to_owned()) }
    })
}

/// Why a read failed. The bytes arrive when they are looked at, with an error that is only text then: the device says more.
fn failed(stage: &'static str, device: &Device, error: &dyn Display) -> Error {
    match lost(device) {
        Some(reason) => Error::DeviceLost { stage, reason },
        None => Error::Execution { stage, problem: error.to_string() },
    }
}

/// Why the device is gone, if it is. Waits for the device; in browsers, where no thread may wait, nothing is known.
pub(crate) fn lost(device: &Device) -> Option<String> {
    if cfg!(target_family = "wasm") {
        return None;
    }
    match device.sync() {
        Err(ExecutionError::DevicePoisoned { reason }) => Some(reason),
        _ => None,
    }
}
