//! The whole network.

use burn::module::Module;
use burn::tensor::{DType, Device, Tensor};
use pyrograph_blocks::conv_3x3;
use pyrograph_kernels::{Conv2d, GroupNorm, GroupNormConfig, conv2d, group_norm_silu, silu};

use crate::{ConfigError, DownBlock, MidBlock, TimestepEmbedding, UNet2dConditionConfig, UpBlock, timestep_features};

/// Predicts the noise (or velocity, or sample) in latents, given a timestep and a text.
///
/// diffusers' `UNet2DConditionModel` for Stable Diffusion 1 and 2.
#[derive(Module, Debug)]
pub struct UNet2dConditionModel {
    /// From the channels of the latents to those of the first block.
    pub conv_in: Conv2d,
    /// The time embedding, an input of every residual block.
    pub time_embedding: TimestepEmbedding,
    /// The down blocks, highest resolution first.
    pub down_blocks: Vec<DownBlock>,
    /// The middle block; distilled networks have none.
    pub mid_block: Option<MidBlock>,
    /// The up blocks, lowest resolution first.
    pub up_blocks: Vec<UpBlock>,
    /// Before `conv_out`.
    pub conv_norm_out: GroupNorm,
    /// From the channels of the first block to those of the prediction.
    pub conv_out: Conv2d,
    flip_sin_to_cos: bool,
    freq_shift: f64,
}

impl UNet2dConditionConfig {
    /// Makes the network on `device`. Its weights are computed when they are first used, so loading a checkpoint does
    /// not initialise them first.
    pub fn init(&self, device: &Device) -> Result<UNet2dConditionModel, ConfigError> {
        self.validate()?;
        let first = self.block_out_channels[0];
        let blocks = 0..self.block_out_channels.len();
        Ok(UNet2dConditionModel {
            conv_in: conv_3x3([self.in_channels, first], device),
            time_embedding: TimestepEmbedding::new(first, self.time_embedding(), device),
            down_blocks: blocks.clone().map(|index| DownBlock::new(self, index, device)).collect(),
            mid_block: self.mid_block_type.is_some().then(|| MidBlock::new(self, device)),
            up_blocks: blocks.map(|index| UpBlock::new(self, index, device)).collect(),
            conv_norm_out: GroupNormConfig::new(self.norm_num_groups, first).with_epsilon(self.norm_eps).init(device),
            conv_out: conv_3x3([first, self.out_channels], device),
            flip_sin_to_cos: self.flip_sin_to_cos,
            freq_shift: self.freq_shift,
        })
    }
}

impl UNet2dConditionModel {
    /// Predicts the noise that was added to `sample`. Timesteps may be fractions; a single timestep applies to the
    /// whole batch.
    ///
    /// # Shapes
    /// - `sample`: `[batch, in_channels, height, width]`, float32
    /// - `timesteps`: 1 or `batch` of them
    /// - `text`: `[batch, text_tokens, cross_attention_dim]`
    /// - output: `[batch, out_channels, height, width]`, float32
    pub fn forward(&self, sample: Tensor<4>, timesteps: &[f64], text: Tensor<3>) -> Tensor<4> {
        let dtype = self.conv_in.weight.dtype();
        let text = text.cast(dtype);
        let time = self.embed_time(timesteps, dtype, &sample.device());

        let mut x = conv2d(sample.cast(dtype), &self.conv_in);
        let mut skips = vec![x.clone()];
        for block in &self.down_blocks {
            x = block.forward(x, &time, &text, &mut skips);
        }
        if let Some(block) = &self.mid_block {
            x = block.forward(x, &time, &text);
        }
        for block in &self.up_blocks {
            x = block.forward(x, &time, &text, &mut skips);
        }
        conv2d(group_norm_silu(x, &self.conv_norm_out), &self.conv_out).cast(DType::F32)
    }

    /// The time embedding. Its activation is applied once here, for all residual blocks.
    fn embed_time(&self, timesteps: &[f64], dtype: DType, device: &Device) -> Tensor<2> {
        let width = self.conv_in.weight.dims()[0];
        let features = timestep_features(timesteps, width, self.flip_sin_to_cos, self.freq_shift, device);
        silu(self.time_embedding.forward(features.cast(dtype))) // [batch or 1, time_embedding]
    }
}
