//! Stable Diffusion in Rust on WebGPU.
