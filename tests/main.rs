//! End-to-end tests against tensors that diffusers computed; `tests/reference/README.md` says how.

mod autoencoder;
mod clip;
mod limits;
mod pipeline;
mod support;
mod unet;
