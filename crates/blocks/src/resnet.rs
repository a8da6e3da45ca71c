//! The residual block of Stable Diffusion's networks.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use pyrograph_kernels::{
    Conv2d, GroupNorm, GroupNormConfig, Linear, LinearConfig, conv2d, conv2d_add, group_norm_silu, linear,
};

use crate::{conv_1x1, conv_3x3};

/// The configuration of a [`ResnetBlock2d`].
#[derive(Debug, Clone)]
pub struct ResnetBlock2dConfig {
    /// Channels of the input and of the output.
    pub channels: [usize; 2],
    /// Width of the time embedding; `None` for a block without one, as in the autoencoder.
    pub time_embedding: Option<usize>,
    /// Groups of both group normalisations.
    pub groups: usize,
    /// Added to the variance by both group normalisations.
    pub epsilon: f64,
}

/// Two convolutions with a residual connection around them. The time embedding is added between them.
///
/// Follows Ho et al. 2020 (<https://arxiv.org/abs/2006.11239>), appendix B, in the form of diffusers' `ResnetBlock2D`.
#[derive(Module, Debug)]
pub struct ResnetBlock2d {
    /// Normalises the input.
    pub norm1: GroupNorm,
    /// From the input's channels to the output's.
    pub conv1: Conv2d,
    /// From the time embedding to one value per output channel.
    pub time_emb_proj: Option<Linear>,
    /// Normalises between the convolutions.
    pub norm2: GroupNorm,
    /// Keeps the output's channels.
    pub conv2: Conv2d,
    /// Adjusts the channels of the residual connection if they differ from the output's.
    pub conv_shortcut: Option<Conv2d>,
}

impl ResnetBlock2dConfig {
    /// Makes the block on `device`. Its weights are computed when they are first used.
    pub fn init(&self, device: &Device) -> ResnetBlock2d {
        let [input, output] = self.channels;
        let norm = |channels| GroupNormConfig::new(self.groups, channels).with_epsilon(self.epsilon).init(device);
        ResnetBlock2d {
            norm1: norm(input),
            conv1: conv_3x3([input, output], device),
            time_emb_proj: self.time_embedding.map(|width| LinearConfig::new(width, output).init(device)),
            norm2: norm(output),
            conv2: conv_3x3([output, output], device),
            conv_shortcut: (input != output).then(|| conv_1x1([input, output], device)),
        }
    }
}

impl ResnetBlock2d {
    /// Applies the block. `time` is the time embedding after its activation.
    ///
    /// # Shapes
    /// - `x`: `[batch, channels_in, height, width]`
    /// - `time`: `[batch or 1, time_embedding]`
    /// - output: `[batch, channels_out, height, width]`
    pub fn forward(&self, x: Tensor<4>, time: Option<&Tensor<2>>) -> Tensor<4> {
        let normed = group_norm_silu(x.clone(), &self.norm1);
        let hidden = match (&self.time_emb_proj, time) {
            (Some(proj), Some(time)) => {
                let time = linear(time.clone(), proj).unsqueeze_dims(&[2, 3]); // [batch or 1, channels_out, 1, 1]
                conv2d_add(normed, &self.conv1, time)
            }
            _ => conv2d(normed, &self.conv1),
        };
        let residual = match &self.conv_shortcut {
            Some(shortcut) => conv2d(x, shortcut),
            None => x,
        };
        conv2d_add(group_norm_silu(hidden, &self.norm2), &self.conv2, residual)
    }
}
