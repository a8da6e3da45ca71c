//! The middle block, at the lowest resolution.

use burn::module::Module;
use burn::tensor::Device;
use pyrograph_blocks::{Attention, AttentionConfig, ResnetBlock2d};

use crate::AutoencoderKlConfig;
use crate::config::EPSILON;
use crate::feature_map::FeatureMap;

/// A residual block, self-attention over all pixels with one head, and a residual block.
#[derive(Module, Debug)]
pub struct MidBlock {
    /// Before and after the attention.
    pub resnets: Vec<ResnetBlock2d>,
    /// One or none.
    pub attentions: Vec<Attention>,
}

impl MidBlock {
    /// The middle block of the encoder and of the decoder.
    pub fn new(config: &AutoencoderKlConfig, device: &Device) -> Self {
        let channels = config.block_out_channels[config.block_out_channels.len() - 1];
        let norm = Some((config.norm_num_groups, EPSILON));
        let attention = AttentionConfig { channels, context: channels, heads: 1, bias: true, norm, upcast: false };
        let attentions = usize::from(config.mid_block_add_attention);
        Self {
            resnets: (0..2).map(|_| config.resnet([channels, channels]).init(device)).collect(),
            attentions: (0..attentions).map(|_| attention.init(device)).collect(),
        }
    }

    pub(crate) fn forward<M: FeatureMap>(&self, x: M) -> M {
        let x = x.resnet(&self.resnets[0]);
        let x = self.attentions.iter().fold(x, M::attention);
        x.resnet(&self.resnets[1])
    }
}
