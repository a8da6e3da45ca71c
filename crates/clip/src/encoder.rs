use burn::module::Module;
use burn::tensor::{Device, Tensor};
use pyrograph_kernels::{
    LayerNorm, Linear, LinearConfig, Mask, attention, gelu, layer_norm, linear, linear_add, quick_gelu,
};

use crate::HiddenAct;
use crate::encoder_config::EncoderConfig;

/// The stack of transformer blocks. Both towers have the same except for the mask.
#[derive(Module, Debug)]
pub(crate) struct Encoder {
    layers: Vec<EncoderLayer>,
}

impl Encoder {
    pub(crate) fn new(config: &EncoderConfig, device: &Device) -> Self {
        Self { layers: (0..config.num_hidden_layers).map(|_| EncoderLayer::new(config, device)).collect() }
    }

    /// The input followed by the output of every block.
    ///
    /// # Shapes
    /// - `x` and every output: `[batch, tokens, width]`
    pub(crate) fn forward(&self, x: Tensor<3>) -> Vec<Tensor<3>> {
        let mut hidden_states = vec![x.clone()];
        let mut x = x;
        for layer in &self.layers {
            x = layer.forward(x);
            hidden_states.push(x.clone());
        }
        hidden_states
    }
}

/// A pre-norm transformer block, `CLIPEncoderLayer` of transformers.
#[derive(Module, Debug)]
pub(crate) struct EncoderLayer {
    self_attn: SelfAttention,
    layer_norm1: LayerNorm,
    mlp: Mlp,
    layer_norm2: LayerNorm,
}

impl EncoderLayer {
    fn new(config: &EncoderConfig, device: &Device) -> Self {
        Self {
            self_attn: SelfAttention::new(config, device),
            layer_norm1: config.init_layer_norm(device),
            mlp: Mlp::new(config, device),
            layer_norm2: config.init_layer_norm(device),
        }
    }

    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let x = self.self_attn.forward_add(layer_norm(x.clone(), &self.layer_norm1), x);
        self.mlp.forward_add(layer_norm(x.clone(), &self.layer_norm2), x)
    }
}

/// Self-attention ([Vaswani et al.](https://arxiv.org/abs/1706.03762)).
#[derive(Module, Debug)]
pub(crate) struct SelfAttention {
    q_proj: Linear,
    k_proj: Linear,
    v_proj: Linear,
    out_proj: Linear,
    heads: usize,
    #[module(skip)]
    mask: Mask,
}

impl SelfAttention {
    fn new(config: &EncoderConfig, device: &Device) -> Self {
        let projection = || LinearConfig::new(config.hidden_size, config.hidden_size).init(device);
        Self {
            q_proj: projection(),
            k_proj: projection(),
            v_proj: projection(),
            out_proj: projection(),
            heads: config.num_attention_heads,
            mask: config.mask,
        }
    }

    /// `residual` is added to the output.
    fn forward_add(&self, x: Tensor<3>, residual: Tensor<3>) -> Tensor<3> {
        let q = self.split_heads(linear(x.clone(), &self.q_proj)); // [batch, heads, tokens, head_dim]
        let k = self.split_heads(linear(x.clone(), &self.k_proj));
        let v = self.split_heads(linear(x, &self.v_proj));
        let y = attention(q, k, v, self.mask);
        linear_add(merge_heads(y), &self.out_proj, residual)
    }

    fn split_heads(&self, x: Tensor<3>) -> Tensor<4> {
        let [batch, tokens, width] = x.dims();
        x.reshape([batch, tokens, self.heads, width / self.heads]).swap_dims(1, 2)
    }
}

fn merge_heads(x: Tensor<4>) -> Tensor<3> {
    let [batch, heads, tokens, head_dim] = x.dims();
    x.swap_dims(1, 2).reshape([batch, tokens, heads * head_dim])
}

/// Two linear layers with the activation between them.
#[derive(Module, Debug)]
pub(crate) struct Mlp {
    fc1: Linear,
    fc2: Linear,
    #[module(skip)]
    activation: HiddenAct,
}

impl Mlp {
    fn new(config: &EncoderConfig, device: &Device) -> Self {
        Self {
            fc1: LinearConfig::new(config.hidden_size, config.intermediate_size).init(device),
            fc2: LinearConfig::new(config.intermediate_size, config.hidden_size).init(device),
            activation: config.hidden_act,
        }
    }

    /// `residual` is added to the output.
    fn forward_add(&self, x: Tensor<3>, residual: Tensor<3>) -> Tensor<3> {
        let x = linear(x, &self.fc1); // [batch, tokens, intermediate_size]
        let x = match self.activation {
            HiddenAct::QuickGelu => quick_gelu(x),
            HiddenAct::Gelu => gelu(x),
        };
        linear_add(x, &self.fc2, residual)
    }
}
