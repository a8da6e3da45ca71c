//! The spatial transformer, in which the text conditions the image.

use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig};
use burn::tensor::{Device, Tensor};
use pyrograph_blocks::{Attention, from_tokens, to_tokens};
use pyrograph_kernels::{
    GroupNorm, GroupNormConfig, LayerNorm, Linear, LinearConfig, geglu, group_norm, layer_norm, linear, linear_add,
};

use crate::UNet2dConditionConfig;

/// Transformer blocks over the pixels of a feature map, with a residual connection around all of them.
///
/// `proj_in` and `proj_out` are linear layers. Where a file has 1x1 convolutions (SD 1), their kernels are the same
/// matrices.
#[derive(Module, Debug)]
pub struct Transformer2d {
    /// Its epsilon is 1e-6, unlike that of the residual blocks.
    pub norm: GroupNorm,
    /// The input projection.
    pub proj_in: Linear,
    /// The blocks, one after the other.
    pub transformer_blocks: Vec<BasicTransformerBlock>,
    /// The output projection.
    pub proj_out: Linear,
}

/// Self-attention, cross-attention, feed-forward network; each with layer normalisation before it.
#[derive(Module, Debug)]
pub struct BasicTransformerBlock {
    /// Before `attn1`.
    pub norm1: LayerNorm,
    /// Self-attention over the pixels, or cross-attention to the text if `only_cross_attention`.
    pub attn1: Attention,
    /// Before `attn2`.
    pub norm2: LayerNorm,
    /// Cross-attention from the pixels to the text.
    pub attn2: Attention,
    /// Before `ff`.
    pub norm3: LayerNorm,
    /// Applied to every pixel separately.
    pub ff: FeedForward,
    only_cross_attention: bool,
}

/// GEGLU to four times the width and back (Shazeer 2020, <https://arxiv.org/abs/2002.05202>).
#[derive(Module, Debug)]
pub struct FeedForward {
    /// `net.0`, `net.1` and `net.2` of the state dict.
    pub net: (GegluProjection, Dropout, Linear),
}

/// The gated part of a [`FeedForward`].
#[derive(Module, Debug)]
pub struct GegluProjection {
    /// To eight times the width: values, then gates.
    pub proj: Linear,
}

impl Transformer2d {
    /// The transformer of `block`, counted from the highest resolution.
    pub fn new(config: &UNet2dConditionConfig, block: usize, only_cross_attention: bool, device: &Device) -> Self {
        let channels = config.block_out_channels[block];
        let layers = config.transformer_layers_per_block.get(block);
        Self {
            norm: GroupNormConfig::new(config.norm_num_groups, channels).with_epsilon(1e-6).init(device),
            proj_in: LinearConfig::new(channels, channels).init(device),
            transformer_blocks: (0..layers)
                .map(|_| BasicTransformerBlock::new(config, block, only_cross_attention, device))
                .collect(),
            proj_out: LinearConfig::new(channels, channels).init(device),
        }
    }

    /// # Shapes
    /// - `x`: `[batch, channels, height, width]`, in and out
    /// - `text`: `[batch, text_tokens, cross_attention_dim]`
    pub fn forward(&self, x: Tensor<4>, text: &Tensor<3>) -> Tensor<4> {
        let [_, _, height, width] = x.dims();
        let tokens = to_tokens(group_norm(x.clone(), &self.norm)); // [batch, height * width, channels]
        let tokens = linear(tokens, &self.proj_in);
        let tokens = self.transformer_blocks.iter().fold(tokens, |tokens, block| block.forward(tokens, text));
        x + from_tokens(linear(tokens, &self.proj_out), [height, width])
    }
}

impl BasicTransformerBlock {
    fn new(config: &UNet2dConditionConfig, block: usize, only_cross_attention: bool, device: &Device) -> Self {
        let channels = config.block_out_channels[block];
        let text = config.cross_attention_dim.get(block);
        let norm = || LayerNorm::new(channels, 1e-5, device);
        Self {
            norm1: norm(),
            attn1: config.attention(block, if only_cross_attention { text } else { channels }).init(device),
            norm2: norm(),
            attn2: config.attention(block, text).init(device),
            norm3: norm(),
            ff: FeedForward::new(channels, device),
            only_cross_attention,
        }
    }

    /// # Shapes
    /// `x`: `[batch, tokens, channels]`, in and out; `text`: `[batch, text_tokens, cross_attention_dim]`
    pub fn forward(&self, x: Tensor<3>, text: &Tensor<3>) -> Tensor<3> {
        let normed = layer_norm(x.clone(), &self.norm1);
        let context = if self.only_cross_attention { text.clone() } else { normed.clone() };
        let x = self.attn1.forward_add(normed, context, x);
        let x = self.attn2.forward_add(layer_norm(x.clone(), &self.norm2), text.clone(), x);
        self.ff.forward_add(layer_norm(x.clone(), &self.norm3), x)
    }
}

impl FeedForward {
    fn new(channels: usize, device: &Device) -> Self {
        let inner = 4 * channels;
        let proj = LinearConfig::new(channels, 2 * inner).init(device);
        Self {
            net: (
                GegluProjection { proj },
                DropoutConfig::new(0.0).init(),
                LinearConfig::new(inner, channels).init(device),
            ),
        }
    }

    /// `residual` is added to the output.
    ///
    /// # Shapes
    /// `[batch, tokens, channels]`, in and out
    pub fn forward_add(&self, x: Tensor<3>, residual: Tensor<3>) -> Tensor<3> {
        let (gated, dropout, out) = &self.net;
        linear_add(dropout.forward(geglu(x, &gated.proj)), out, residual)
    }
}
