//! End-to-end tests that compare with tensors computed by diffusers; see `tests/reference/README.md`.

#![expect(clippy::disallowed_methods, reason = "files of a test need not last")]

mod autoencoder;
mod clip;
mod clip_model;
mod configuration;
mod errors;
mod images;
mod limits;
mod pipeline;
mod request;
mod support;
mod unet;
