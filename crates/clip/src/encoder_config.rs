use std::ops::RangeInclusive;

use burn::nn::{Embedding, EmbeddingConfig, Initializer};
use burn::tensor::Device;
use pyrograph_kernels::{LayerNorm, Mask};
use serde::{Deserialize, Serialize};

use crate::Error;

/// The activation inside the MLP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HiddenAct {
    /// `x sigmoid(1.702 x)`: OpenAI's CLIP, and Stable Diffusion 1.
    QuickGelu,
    /// The exact GELU: OpenCLIP, and Stable Diffusion 2.
    Gelu,
}

/// The sizes of the transformer blocks in both towers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EncoderConfig {
    pub(crate) hidden_size: usize,
    pub(crate) intermediate_size: usize,
    pub(crate) num_hidden_layers: usize,
    pub(crate) num_attention_heads: usize,
    pub(crate) hidden_act: HiddenAct,
    pub(crate) layer_norm_eps: f64,
    /// The text tower is causal, the image tower is not.
    pub(crate) mask: Mask,
}

impl EncoderConfig {
    /// Checks that blocks of these sizes can be built. The limits are far above any published model, and keep the size
    /// of every tensor within 64 bits.
    pub(crate) fn validate(&self, file: &'static str) -> Result<(), Error> {
        in_range(file, "hidden_size", self.hidden_size, 1..=1 << 16)?;
        in_range(file, "intermediate_size", self.intermediate_size, 1..=1 << 20)?;
        in_range(file, "num_hidden_layers", self.num_hidden_layers, 1..=1024)?;
        in_range(file, "num_attention_heads", self.num_attention_heads, 1..=self.hidden_size)?;
        if !self.hidden_size.is_multiple_of(self.num_attention_heads) {
            let expected = format!("a divisor of hidden_size {} is expected", self.hidden_size);
            return Err(field_error(file, "num_attention_heads", self.num_attention_heads, expected));
        }
        if !(0.0..=1.0).contains(&self.layer_norm_eps) {
            let expected = "a number from 0 to 1 is expected".to_owned();
            return Err(field_error(file, "layer_norm_eps", self.layer_norm_eps, expected));
        }
        Ok(())
    }

    pub(crate) fn init_layer_norm(&self, device: &Device) -> LayerNorm {
        LayerNorm::new(self.hidden_size, self.layer_norm_eps, device)
    }

    /// A table of `rows` rows with small values, CLIP's initialisation.
    pub(crate) fn init_embedding(&self, rows: usize, device: &Device) -> Embedding {
        EmbeddingConfig::new(rows, self.hidden_size).with_initializer(SMALL).init(device)
    }
}

/// The standard deviation of embeddings before training (Radford et al., section 2.5, and transformers'
/// `initializer_range`).
pub(crate) const SMALL: Initializer = Initializer::Normal { mean: 0.0, std: 0.02 };

pub(crate) fn in_range(
    file: &'static str,
    field: &'static str,
    value: usize,
    range: RangeInclusive<usize>,
) -> Result<(), Error> {
    if range.contains(&value) {
        return Ok(());
    }
    Err(field_error(file, field, value, format!("{} to {} is possible", range.start(), range.end())))
}

pub(crate) fn field_error(file: &'static str, field: &'static str, value: impl ToString, expected: String) -> Error {
    Error::Field { file, field, value: value.to_string(), expected }
}
