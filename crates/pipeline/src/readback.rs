//! Reading tensors back from the device, and the errors of burn and wgpu.

use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use burn::backend::ExecutionError;
use burn::tensor::{DType, Device, Tensor};

use crate::Error;

/// The values of a tensor in row-major order, as float32.
///
/// # Errors
/// Returns an error if the device fails, or a value is NaN or infinity; `advice` goes into the message.
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

/// Runs `work` and catches panics: burn and wgpu panic when memory runs out or a shader is refused.
///
/// # Errors
/// The panic's message.
pub(crate) fn catch_panics<T>(stage: &'static str, work: impl FnOnce() -> T) -> Result<T, Error> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|payload| {
        let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
        Error::Execution { stage, problem: text.unwrap_or_else(|| "it panicked without a message".to_owned()) }
    })
}

/// The reason why a read failed. The error of the read itself is only text; a lost device gives a better reason.
fn failed(stage: &'static str, device: &Device, error: &dyn Display) -> Error {
    match probably_lost(device) {
        Some(reason) => Error::DeviceLost { stage, reason },
        None => Error::Execution { stage, problem: error.to_string() },
    }
}

/// The reason why the device was lost, where an error or a call of `destroy` makes a loss probable.
///
/// Waits up to a second for the news: wgpu lets waiting reads fail and waiting threads go on before it reports the
/// loss, and its thread may be interrupted in between.
pub(crate) fn probably_lost(device: &Device) -> Option<String> {
    let waits = if cfg!(target_family = "wasm") { 0 } else { 1000 };
    lost(device).or_else(|| {
        (0..waits).find_map(|_| {
            std::thread::sleep(Duration::from_millis(1));
            lost(device)
        })
    })
}

/// The reason why the device was lost, if it was. Waits for the device; in browsers, where no thread may wait, it is
/// unknown.
pub(crate) fn lost(device: &Device) -> Option<String> {
    if cfg!(target_family = "wasm") {
        return None;
    }
    match device.sync() {
        Err(ExecutionError::DevicePoisoned { reason }) => Some(reason),
        _ => None,
    }
}
