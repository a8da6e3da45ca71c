//! Blocks of the decoder half.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use pyrograph_blocks::{ResnetBlock2d, Upsample2d};

use crate::{Transformer2d, UNet2dConditionConfig};

/// Residual blocks with skip connections, each followed by a transformer if the block has them, then upsampling.
#[derive(Module, Debug)]
pub struct UpBlock {
    /// One more than in a down block.
    pub resnets: Vec<ResnetBlock2d>,
    /// As many as `resnets` (`CrossAttnUpBlock2D`) or none (`UpBlock2D`).
    pub attentions: Vec<Transformer2d>,
    /// One, or none in the last block.
    pub upsamplers: Vec<Upsample2d>,
}

impl UpBlock {
    /// The up block `index` of `config`, counted from the lowest resolution.
    pub fn new(config: &UNet2dConditionConfig, index: usize, device: &Device) -> Self {
        let channels = &config.block_out_channels;
        let level = channels.len() - 1 - index; // the down block of the same resolution
        let output = channels[level];
        let below = channels[(level + 1).min(channels.len() - 1)];
        let above = channels[level.saturating_sub(1)];
        let layers = config.layers_per_block.get(level) + 1;
        let attends = config.up_block_types[index] == "CrossAttnUpBlock2D";
        let only_cross_attention = config.only_cross_attention.get(level);
        let resnet = |layer| {
            let input = if layer == 0 { below } else { output };
            let skip = if layer + 1 == layers { above } else { output };
            config.resnet([input + skip, output]).init(device)
        };
        let attention = |_| Transformer2d::new(config, level, only_cross_attention, device);
        Self {
            resnets: (0..layers).map(resnet).collect(),
            attentions: (0..if attends { layers } else { 0 }).map(attention).collect(),
            upsamplers: (0..usize::from(level > 0)).map(|_| Upsample2d::new(output, device)).collect(),
        }
    }

    /// Applies the block. Its skip connections are taken from the end of `skips`; the last remaining one determines the
    /// size after upsampling.
    ///
    /// # Shapes
    /// - `x`: `[batch, channels_in, height, width]`
    /// - `time`: `[batch or 1, time_embedding]`, `text`: `[batch, text_tokens, cross_attention_dim]`
    /// - output: `[batch, channels_out, about 2 * height, about 2 * width]`
    pub fn forward(
        &self,
        mut x: Tensor<4>,
        time: &Tensor<2>,
        text: &Tensor<3>,
        skips: &mut Vec<Tensor<4>>,
    ) -> Tensor<4> {
        for (layer, resnet) in self.resnets.iter().enumerate() {
            let skip = skips.pop().expect("the way down leaves one skip connection per residual block of the way up");
            x = resnet.forward(Tensor::cat(vec![x, skip], 1), Some(time));
            if let Some(attention) = self.attentions.get(layer) {
                x = attention.forward(x, text);
            }
        }
        for upsampler in &self.upsamplers {
            let [_, _, height, width] = skips.last().expect("a block with an upsampler is not the last").dims();
            x = upsampler.forward(x, [height, width]);
        }
        x
    }
}
