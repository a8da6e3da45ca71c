//! The encoder: images to the moments of their latents.

use burn::module::Module;
use burn::tensor::Device;
use pyrograph_blocks::{Downsample2d, ResnetBlock2d, conv_3x3};
use pyrograph_kernels::{Conv2d, GroupNorm, GroupNormConfig};

use crate::config::EPSILON;
use crate::feature_map::FeatureMap;
use crate::{AutoencoderKlConfig, MidBlock};

/// The encoder of an autoencoder.
#[derive(Module, Debug)]
pub struct Encoder {
    /// From the channels of the image to those of the first block.
    pub conv_in: Conv2d,
    /// The highest resolution first.
    pub down_blocks: Vec<DownEncoderBlock>,
    /// The lowest resolution.
    pub mid_block: MidBlock,
    /// Before `conv_out`.
    pub conv_norm_out: GroupNorm,
    /// To mean and log-variance, or to the latents before quantisation.
    pub conv_out: Conv2d,
}

/// Residual blocks, then downsampling.
#[derive(Module, Debug)]
pub struct DownEncoderBlock {
    /// The first one changes the channels.
    pub resnets: Vec<ResnetBlock2d>,
    /// One, or none in the last block.
    pub downsamplers: Vec<Downsample2d>,
}

impl Encoder {
    /// Makes the encoder on `device`, whose output has `moments` channels.
    pub fn new(config: &AutoencoderKlConfig, moments: usize, device: &Device) -> Self {
        let channels = &config.block_out_channels;
        let last = channels[channels.len() - 1];
        Self {
            conv_in: conv_3x3([config.in_channels, channels[0]], device),
            down_blocks: (0..channels.len()).map(|index| DownEncoderBlock::new(config, index, device)).collect(),
            mid_block: MidBlock::new(config, device),
            conv_norm_out: GroupNormConfig::new(config.norm_num_groups, last).with_epsilon(EPSILON).init(device),
            conv_out: conv_3x3([last, moments], device),
        }
    }

    pub(crate) fn forward<M: FeatureMap>(&self, x: M) -> M {
        let x = x.conv2d(&self.conv_in);
        let x = self.down_blocks.iter().fold(x, |x, block| block.forward(x));
        let x = self.mid_block.forward(x);
        x.group_norm_silu(&self.conv_norm_out).conv2d(&self.conv_out)
    }
}

impl DownEncoderBlock {
    fn new(config: &AutoencoderKlConfig, index: usize, device: &Device) -> Self {
        let channels = &config.block_out_channels;
        let (input, output) = (channels[index.saturating_sub(1)], channels[index]);
        let last = index + 1 == channels.len();
        let resnet = |layer| config.resnet([if layer == 0 { input } else { output }, output]).init(device);
        Self {
            resnets: (0..config.layers_per_block).map(resnet).collect(),
            downsamplers: (0..usize::from(!last)).map(|_| Downsample2d::bottom_right(output, device)).collect(),
        }
    }

    fn forward<M: FeatureMap>(&self, x: M) -> M {
        let x = self.resnets.iter().fold(x, M::resnet);
        self.downsamplers.iter().fold(x, |x, downsampler| x.conv2d(&downsampler.conv))
    }
}
