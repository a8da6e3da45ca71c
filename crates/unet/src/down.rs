//! Blocks of the encoder half.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use pyrograph_blocks::{Downsample2d, ResnetBlock2d};

use crate::{Transformer2d, UNet2dConditionConfig};

/// Residual blocks, each followed by a transformer if the block has them, then downsampling.
#[derive(Module, Debug)]
pub struct DownBlock {
    /// The first one changes the channels.
    pub resnets: Vec<ResnetBlock2d>,
    /// As many as `resnets` (`CrossAttnDownBlock2D`) or none (`DownBlock2D`).
    pub attentions: Vec<Transformer2d>,
    /// One, or none in the last block.
    pub downsamplers: Vec<Downsample2d>,
}

impl DownBlock {
    /// The down block `index` of `config`.
    pub fn new(config: &UNet2dConditionConfig, index: usize, device: &Device) -> Self {
        let output = config.block_out_channels[index];
        let input = config.block_out_channels[index.saturating_sub(1)];
        let layers = config.layers_per_block.get(index);
        let attends = config.down_block_types[index] == "CrossAttnDownBlock2D";
        let only_cross_attention = config.only_cross_attention.get(index);
        let last = index + 1 == config.block_out_channels.len();
        let resnet = |layer| config.resnet([if layer == 0 { input } else { output }, output]).init(device);
        let attention = |_| Transformer2d::new(config, index, only_cross_attention, device);
        Self {
            resnets: (0..layers).map(resnet).collect(),
            attentions: (0..if attends { layers } else { 0 }).map(attention).collect(),
            downsamplers: (0..usize::from(!last)).map(|_| Downsample2d::new(output, device)).collect(),
        }
    }

    /// Applies the block and appends its skip connections to `skips`.
    ///
    /// # Shapes
    /// - `x`: `[batch, channels_in, height, width]`
    /// - `time`: `[batch or 1, time_embedding]`, `text`: `[batch, text_tokens, cross_attention_dim]`
    /// - output: `[batch, channels_out, about height / 2, about width / 2]`
    pub fn forward(
        &self,
        mut x: Tensor<4>,
        time: &Tensor<2>,
        text: &Tensor<3>,
        skips: &mut Vec<Tensor<4>>,
    ) -> Tensor<4> {
        for (layer, resnet) in self.resnets.iter().enumerate() {
            x = resnet.forward(x, Some(time));
            if let Some(attention) = self.attentions.get(layer) {
                x = attention.forward(x, text);
            }
            skips.push(x.clone());
        }
        for downsampler in &self.downsamplers {
            x = downsampler.forward(x);
            skips.push(x.clone());
        }
        x
    }
}
