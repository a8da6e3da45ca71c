use burn::tensor::Device;
use pyrograph_kernels::Mask;
use serde::{Deserialize, Serialize};

use crate::encoder::Encoder;
use crate::encoder_config::{EncoderConfig, in_range};
use crate::error::parse;
use crate::text_model::{ClipTextEmbeddings, ClipTextModel};
use crate::{Error, HiddenAct};

/// The sizes of a text tower: `text_encoder/config.json` of diffusers folders.
///
/// Missing fields have the defaults of transformers' `CLIPTextConfig`; fields that are not listed are ignored.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub struct ClipTextConfig {
    /// Rows of the token table. Default 49408.
    pub vocab_size: usize,
    /// Width of the hidden states: 768 in Stable Diffusion 1, 1024 in 2. Default 512.
    pub hidden_size: usize,
    /// Width inside the MLP, usually four times `hidden_size`. Default 2048.
    pub intermediate_size: usize,
    /// Transformer blocks. Default 12.
    pub num_hidden_layers: usize,
    /// Attention heads, a divisor of `hidden_size`. Default 8.
    pub num_attention_heads: usize,
    /// Longest prompt in tokens, BOS and EOS included. Default 77.
    pub max_position_embeddings: usize,
    /// The MLP's activation. Default `quick_gelu`.
    pub hidden_act: HiddenAct,
    /// Added to the variance in layer normalisation. Default 1e-5.
    pub layer_norm_eps: f64,
    /// The token whose hidden state is the pooled output. 2 means the largest id of the prompt, because files written
    /// before transformers 4.31 say 2 although their tokenizer has 49407. Default 49407.
    pub eos_token_id: u32,
    /// Width of the embedding space of texts and images, which Stable Diffusion does not use. Default 512.
    pub projection_dim: Option<usize>,
}

impl Default for ClipTextConfig {
    fn default() -> Self {
        Self {
            vocab_size: 49_408,
            hidden_size: 512,
            intermediate_size: 2048,
            num_hidden_layers: 12,
            num_attention_heads: 8,
            max_position_embeddings: 77,
            hidden_act: HiddenAct::QuickGelu,
            layer_norm_eps: 1e-5,
            eos_token_id: 49_407,
            projection_dim: Some(512),
        }
    }
}

impl ClipTextConfig {
    /// Reads and validates the contents of `config.json`.
    ///
    /// # Errors
    /// Returns an error if it is not JSON, a field has the wrong type, or [`Self::validate`] returns an error.
    pub fn from_json(config_json: &str) -> Result<Self, Error> {
        let config: Self = parse("text_encoder/config.json", config_json)?;
        config.validate()?;
        Ok(config)
    }

    /// Checks that a model of these sizes can be built. The limits are far above any published model, and keep the size
    /// of every tensor within 64 bits.
    ///
    /// # Errors
    /// Names the first field that is out of range, and its range.
    pub fn validate(&self) -> Result<(), Error> {
        self.validate_in("text_encoder/config.json")
    }

    /// Like [`validate`](Self::validate), for a configuration in another file.
    pub(crate) fn validate_in(&self, file: &'static str) -> Result<(), Error> {
        in_range(file, "vocab_size", self.vocab_size, 1..=1 << 24)?;
        in_range(file, "max_position_embeddings", self.max_position_embeddings, 2..=1 << 16)?;
        self.encoder().validate(file)
    }

    /// A text tower with random parameters. They are computed when they are first used, so loading a model does not
    /// compute them.
    pub fn init(&self, device: &Device) -> ClipTextModel {
        let encoder = self.encoder();
        ClipTextModel {
            embeddings: ClipTextEmbeddings {
                token_embedding: encoder.init_embedding(self.vocab_size, device),
                position_embedding: encoder.init_embedding(self.max_position_embeddings, device),
            },
            encoder: Encoder::new(&encoder, device),
            final_layer_norm: encoder.init_layer_norm(device),
            eos_token_id: self.eos_token_id,
        }
    }

    fn encoder(&self) -> EncoderConfig {
        EncoderConfig {
            hidden_size: self.hidden_size,
            intermediate_size: self.intermediate_size,
            num_hidden_layers: self.num_hidden_layers,
            num_attention_heads: self.num_attention_heads,
            hidden_act: self.hidden_act,
            layer_norm_eps: self.layer_norm_eps,
            mask: Mask::Causal,
        }
    }
}
