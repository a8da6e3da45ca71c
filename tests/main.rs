//! End-to-end tests against tensors that diffusers computed; `tests/reference/README.md` says how.

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
