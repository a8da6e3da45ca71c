//! WGSL compute stages of pyrograph.
