//! Blocks that the UNet and the autoencoder share: [`ResnetBlock2d`], [`Attention`], [`Downsample2d`], [`Upsample2d`].
//!
//! Feature maps are `[batch, channels, height, width]`, token sequences `[batch, tokens, channels]`. Fields have the
//! names of diffusers' state dict, by which the tensors of a checkpoint are assigned.

mod attention;
mod config;
mod layout;
mod resnet;
mod sampling;

pub use attention::{Attention, AttentionConfig};
pub use config::{ConfigError, PerBlock};
pub use layout::{from_tokens, to_tokens};
pub use resnet::{ResnetBlock2d, ResnetBlock2dConfig};
pub use sampling::{Downsample2d, Upsample2d};

use burn::tensor::Device;
use pyrograph_kernels::{Conv2d, Conv2dConfig};

/// A 3x3 convolution, stride 1, that keeps height and width.
pub fn conv_3x3(channels: [usize; 2], device: &Device) -> Conv2d {
    Conv2dConfig::new(channels, [3, 3]).with_padding([1; 4]).init(device)
}

/// A 1x1 convolution.
pub fn conv_1x1(channels: [usize; 2], device: &Device) -> Conv2d {
    Conv2dConfig::new(channels, [1, 1]).init(device)
}
