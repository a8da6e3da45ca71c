//! The operations that pyrograph's models are made of, on [`burn::tensor::Tensor`].
//!
//! Models use these operations and layers instead of burn's, so that an operation is made faster in one place and weights lie in
//! memory as in PyTorch's files. Every operation takes the layer that holds its weights and has a twin in [`mod@reference`] made of
//! plain burn operations.
//!
//! Normalisation statistics, softmax and every accumulation are float32, also when weights and activations are float16.

mod activation;
mod attention;
mod conv2d;
mod cpu;
mod geometry;
mod gpu;
mod init;
pub mod largest;
mod linear;
mod norm;
mod operand;
pub mod reference;
mod upsample;

pub use activation::{gelu, quick_gelu, silu};
pub use attention::{Mask, attention};
pub use conv2d::{Conv2d, Conv2dConfig, conv2d, conv2d_add, upsample_conv2d};
pub use gpu::{AdapterCapabilities, MatrixUnits, experimental_features};
pub use linear::{Linear, LinearConfig, geglu, linear, linear_add};
use norm::Activation;
pub use norm::{GroupNorm, GroupNormConfig, LayerNorm, group_norm, group_norm_silu, layer_norm};
pub use upsample::{upsample_nearest, upsample_nearest_2x};
