//! The middle block, at the lowest resolution.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use pyrograph_blocks::ResnetBlock2d;

use crate::{Transformer2d, UNet2dConditionConfig};

/// A residual block, optionally followed by a transformer with cross-attention and a second residual block.
#[derive(Module, Debug)]
pub struct MidBlock {
    /// One more than `attentions`.
    pub resnets: Vec<ResnetBlock2d>,
    /// One (`UNetMidBlock2DCrossAttn`) or none (`UNetMidBlock2D`).
    pub attentions: Vec<Transformer2d>,
}

impl MidBlock {
    /// The middle block of `config`.
    pub fn new(config: &UNet2dConditionConfig, device: &Device) -> Self {
        let last = config.block_out_channels.len() - 1;
        let channels = config.block_out_channels[last];
        let attentions = usize::from(config.mid_block_type.as_deref() == Some("UNetMidBlock2DCrossAttn"));
        Self {
            resnets: (0..=attentions).map(|_| config.resnet([channels, channels]).init(device)).collect(),
            attentions: (0..attentions).map(|_| Transformer2d::new(config, last, false, device)).collect(),
        }
    }

    /// # Shapes
    /// - `x`: `[batch, channels, height, width]`, in and out
    /// - `time`: `[batch or 1, time_embedding]`, `text`: `[batch, text_tokens, cross_attention_dim]`
    pub fn forward(&self, x: Tensor<4>, time: &Tensor<2>, text: &Tensor<3>) -> Tensor<4> {
        let x = self.resnets[0].forward(x, Some(time));
        let pairs = self.attentions.iter().zip(&self.resnets[1..]);
        pairs.fold(x, |x, (attention, resnet)| resnet.forward(attention.forward(x, text), Some(time)))
    }
}
