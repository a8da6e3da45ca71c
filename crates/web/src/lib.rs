//! pyrograph in a web page: what the worker of the npm package calls. Its JavaScript is in `js`.
//!
//! Everything here runs in a worker, where files can be read without waiting: those that the user picked through
//! `FileReaderSync`, those of the Origin Private File System through access handles. The device alone must be waited for.

#![cfg(target_family = "wasm")]

mod error;
mod files;
mod model;
mod request;

use wasm_bindgen::prelude::wasm_bindgen;

/// Lets a panic tell the console what it is about.
#[wasm_bindgen(start)]
fn start() {
    console_error_panic_hook::set_once();
}
