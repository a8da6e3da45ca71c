//! Errors for JavaScript.

use pyrograph::Error;
use wasm_bindgen::JsValue;

/// An error of loading. It is a `ModelError` if the files are the cause, and not the device or the request; such files
/// are not stored.
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
