//! Multi-head attention over tokens.

use burn::module::Module;
use burn::tensor::{DType, Device, Tensor};
use pyrograph_kernels::{
    GroupNorm, GroupNormConfig, Linear, LinearConfig, Mask, attention, group_norm, linear, linear_add,
};

use crate::{from_tokens, to_tokens};

/// The configuration of an [`Attention`].
#[derive(Debug, Clone)]
pub struct AttentionConfig {
    /// Width of the query tokens and of the output.
    pub channels: usize,
    /// Width of the context tokens: `channels` for self-attention, the text's width for cross-attention.
    pub context: usize,
    /// Number of heads, a divisor of `channels`.
    pub heads: usize,
    /// Whether queries, keys and values have a bias (autoencoder: yes, UNet: no).
    pub bias: bool,
    /// Groups and epsilon of a group normalisation before the attention (autoencoder only).
    pub norm: Option<(usize, f64)>,
    /// Whether queries, keys and values are cast to float32 (`upcast_attention` of SD 2).
    pub upcast: bool,
}

/// Scaled dot-product attention, `softmax(q k^T / sqrt(d)) v` in every head (Vaswani et al. 2017,
/// <https://arxiv.org/abs/1706.03762>).
#[derive(Module, Debug)]
pub struct Attention {
    /// Normalises the feature map first; see [`Attention::forward_map`].
    pub group_norm: Option<GroupNorm>,
    /// Queries.
    pub to_q: Linear,
    /// Keys.
    pub to_k: Linear,
    /// Values.
    pub to_v: Linear,
    /// The output projection, in a list because its state-dict name is `to_out.0`.
    pub to_out: Vec<Linear>,
    heads: usize,
    upcast: bool,
}

impl AttentionConfig {
    /// Makes the layer on `device`. Its weights are computed when they are first used.
    pub fn init(&self, device: &Device) -> Attention {
        let projection = |from, bias| LinearConfig::new(from, self.channels).with_bias(bias).init(device);
        let norm = |(groups, epsilon)| GroupNormConfig::new(groups, self.channels).with_epsilon(epsilon).init(device);
        Attention {
            group_norm: self.norm.map(norm),
            to_q: projection(self.channels, self.bias),
            to_k: projection(self.context, self.bias),
            to_v: projection(self.context, self.bias),
            to_out: vec![projection(self.channels, true)],
            heads: self.heads,
            upcast: self.upcast,
        }
    }
}

impl Attention {
    /// Attention of every token of `x` to all tokens of `context`.
    ///
    /// # Shapes
    /// - `x`: `[batch, tokens, channels]`
    /// - `context`: `[batch, context_tokens, context]`
    /// - output: `[batch, tokens, channels]`
    pub fn forward(&self, x: Tensor<3>, context: Tensor<3>) -> Tensor<3> {
        linear(self.look(x, context), &self.to_out[0])
    }

    /// [`Attention::forward`] plus `residual`, which has the same shape.
    pub fn forward_add(&self, x: Tensor<3>, context: Tensor<3>, residual: Tensor<3>) -> Tensor<3> {
        linear_add(self.look(x, context), &self.to_out[0], residual)
    }

    /// Number of heads.
    pub fn heads(&self) -> usize {
        self.heads
    }

    fn look(&self, x: Tensor<3>, context: Tensor<3>) -> Tensor<3> {
        let dtype = x.dtype();
        let q = self.split_heads(linear(x, &self.to_q)); // [batch, heads, tokens, head_dim]
        let k = self.split_heads(linear(context.clone(), &self.to_k));
        let v = self.split_heads(linear(context, &self.to_v));
        let out = attention(q, k, v, Mask::None).cast(dtype); // [batch, heads, tokens, head_dim]
        out.swap_dims(1, 2).flatten(2, 3) // [batch, tokens, channels]
    }

    /// Self-attention over the pixels of a feature map, with group normalisation before it and a residual connection.
    ///
    /// # Shapes
    /// `[batch, channels, height, width]`, in and out.
    pub fn forward_map(&self, x: Tensor<4>) -> Tensor<4> {
        let [_, _, height, width] = x.dims();
        let normed = match &self.group_norm {
            Some(norm) => group_norm(x.clone(), norm),
            None => x.clone(),
        };
        let tokens = to_tokens(normed); // [batch, height * width, channels]
        x + from_tokens(self.forward(tokens.clone(), tokens), [height, width])
    }

    fn split_heads(&self, x: Tensor<3>) -> Tensor<4> {
        let [batch, tokens, channels] = x.dims();
        let x = x.reshape([batch, tokens, self.heads, channels / self.heads]).swap_dims(1, 2);
        if self.upcast { x.cast(DType::F32) } else { x }
    }
}
