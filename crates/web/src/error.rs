//! Errors as JavaScript sees them.

use pyrograph::Error;
use wasm_bindgen::JsValue;

/// A failure to load: a `ModelError` where the files are at fault rather than the device or the request, so that they are not kept.
pub(crate) fn model_error(error: Error) -> JsValue {
    let of_the_files = matches!(
        error,
        Error::Checkpoint(_) | Error::Config { .. } | Error::Misfit { .. } | Error::Text(_) | Error::Scheduler(_)
    );
    let thrown = js_sys::Error::new(&error.to_string());
    if of_the_files {
        thrown.set_name("ModelError");
    }
    thrown.into()
}
