//! WGSL compute stages of pyrograph: one stage per file, plain WGSL that editors and naga accept, with a prelude in front
//! for what varies (the scalar type, tile constants).
//!
//! The operations of `pyrograph-kernels` run on burn's own GPU kernels where this crate has no stage for them.
