//! pyrograph in a web page: the functions that the worker of the npm package calls. The JavaScript is in `js`.
//!
//! Everything here runs in a worker, where files can be read synchronously: files that the user chose through
//! `FileReaderSync`, files of the Origin Private File System through access handles. Only the device is asynchronous.

#![cfg(target_family = "wasm")]

mod error;
mod files;
mod model;
mod request;

use wasm_bindgen::prelude::wasm_bindgen;

/// Prints the message of a panic to the console.
#[wasm_bindgen(start)]
fn start() {
    console_error_panic_hook::set_once();
}
