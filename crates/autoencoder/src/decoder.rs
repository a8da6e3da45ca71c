//! The decoder: latents to images.

use burn::module::Module;
use burn::tensor::Device;
use pyrograph_blocks::{ResnetBlock2d, Upsample2d, conv_3x3};
use pyrograph_kernels::{Conv2d, GroupNorm, GroupNormConfig};

use crate::config::EPSILON;
use crate::feature_map::FeatureMap;
use crate::{AutoencoderKlConfig, MidBlock};

/// The decoder of an autoencoder.
#[derive(Module, Debug)]
pub struct Decoder {
    /// From the channels of the latents to those of the last block.
    pub conv_in: Conv2d,
    /// The lowest resolution.
    pub mid_block: MidBlock,
    /// The lowest resolution first.
    pub up_blocks: Vec<UpDecoderBlock>,
    /// Before `conv_out`.
    pub conv_norm_out: GroupNorm,
    /// To the channels of the image.
    pub conv_out: Conv2d,
}

/// Residual blocks, then upsampling.
#[derive(Module, Debug)]
pub struct UpDecoderBlock {
    /// The first one changes the channels.
    pub resnets: Vec<ResnetBlock2d>,
    /// One, or none in the last block.
    pub upsamplers: Vec<Upsample2d>,
}

impl Decoder {
    /// Makes the decoder on `device`.
    pub fn new(config: &AutoencoderKlConfig, device: &Device) -> Self {
        let channels = &config.block_out_channels;
        let (first, last) = (channels[0], channels[channels.len() - 1]);
        Self {
            conv_in: conv_3x3([config.latent_channels, last], device),
            mid_block: MidBlock::new(config, device),
            up_blocks: (0..channels.len()).rev().map(|level| UpDecoderBlock::new(config, level, device)).collect(),
            conv_norm_out: GroupNormConfig::new(config.norm_num_groups, first).with_epsilon(EPSILON).init(device),
            conv_out: conv_3x3([first, config.out_channels], device),
        }
    }

    pub(crate) fn forward<M: FeatureMap>(&self, x: M) -> M {
        let x = self.mid_block.forward(x.conv2d(&self.conv_in));
        let x = self.up_blocks.iter().fold(x, |x, block| block.forward(x));
        x.group_norm_silu(&self.conv_norm_out).conv2d(&self.conv_out)
    }
}

impl UpDecoderBlock {
    /// The block at `level`, counted from the highest resolution.
    fn new(config: &AutoencoderKlConfig, level: usize, device: &Device) -> Self {
        let channels = &config.block_out_channels;
        let (input, output) = (channels[(level + 1).min(channels.len() - 1)], channels[level]);
        let resnet = |layer| config.resnet([if layer == 0 { input } else { output }, output]).init(device);
        Self {
            resnets: (0..=config.layers_per_block).map(resnet).collect(),
            upsamplers: (0..usize::from(level > 0)).map(|_| Upsample2d::new(output, device)).collect(),
        }
    }

    fn forward<M: FeatureMap>(&self, x: M) -> M {
        let x = self.resnets.iter().fold(x, M::resnet);
        self.upsamplers.iter().fold(x, |x, upsampler| x.upsample_conv2d(&upsampler.conv))
    }
}
