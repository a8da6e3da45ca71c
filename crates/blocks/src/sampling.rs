//! Downsampling and upsampling of feature maps.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use pyrograph_kernels::{Conv2d, Conv2dConfig, conv2d, upsample_conv2d};

use crate::conv_3x3;

/// A 3x3 convolution of stride 2.
#[derive(Module, Debug)]
pub struct Downsample2d {
    /// The convolution. Its padding determines the output size for odd input sizes.
    pub conv: Conv2d,
}

impl Downsample2d {
    /// Pads one pixel on every side: `size` becomes `ceil(size / 2)`. The UNet uses this.
    pub fn new(channels: usize, device: &Device) -> Self {
        Self::with_padding(channels, [1; 4], device)
    }

    /// Pads one pixel at the bottom and on the right: `size` becomes `floor(size / 2)`. The autoencoder uses this.
    pub fn bottom_right(channels: usize, device: &Device) -> Self {
        Self::with_padding(channels, [0, 0, 1, 1], device)
    }

    fn with_padding(channels: usize, padding: [usize; 4], device: &Device) -> Self {
        let conv = Conv2dConfig::new([channels, channels], [3, 3]).with_stride([2, 2]).with_padding(padding);
        Self { conv: conv.init(device) }
    }

    /// # Shapes
    /// `[batch, channels, height, width]` -> `[batch, channels, about height / 2, about width / 2]`
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        conv2d(x, &self.conv)
    }
}

/// Nearest-neighbour upsampling, then a 3x3 convolution.
#[derive(Module, Debug)]
pub struct Upsample2d {
    /// Keeps channels and size.
    pub conv: Conv2d,
}

impl Upsample2d {
    /// Makes the layer on `device`.
    pub fn new(channels: usize, device: &Device) -> Self {
        Self { conv: conv_3x3([channels, channels], device) }
    }

    /// Upsamples to `size` (height, width), the size of the next skip connection. It is twice the input's size, or one
    /// less where the size was odd before downsampling.
    ///
    /// # Shapes
    /// `[batch, channels, height, width]` -> `[batch, channels, size[0], size[1]]`
    pub fn forward(&self, x: Tensor<4>, size: [usize; 2]) -> Tensor<4> {
        upsample_conv2d(x, size, &self.conv)
    }
}
