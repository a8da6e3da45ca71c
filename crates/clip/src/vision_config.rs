use burn::nn::Initializer;
use burn::tensor::Device;
use pyrograph_kernels::{Conv2dConfig, Mask};
use serde::{Deserialize, Serialize};

use crate::encoder::Encoder;
use crate::encoder_config::{EncoderConfig, SMALL, field_error, in_range};
use crate::vision_model::{ClipVisionEmbeddings, ClipVisionModel};
use crate::{Error, HiddenAct};

/// The sizes of an image tower: `vision_config` in the `config.json` of a CLIP model.
///
/// Missing fields have the defaults of transformers' `CLIPVisionConfig`; fields that are not listed are ignored.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub struct ClipVisionConfig {
    /// Width of the hidden states. Default 768.
    pub hidden_size: usize,
    /// Width inside the MLP, usually four times `hidden_size`. Default 3072.
    pub intermediate_size: usize,
    /// Transformer blocks. Default 12.
    pub num_hidden_layers: usize,
    /// Attention heads, a divisor of `hidden_size`. Default 12.
    pub num_attention_heads: usize,
    /// Channels of an image. Default 3.
    pub num_channels: usize,
    /// Width and height of an image in pixels. Default 224.
    pub image_size: usize,
    /// Width and height of a patch in pixels. Remaining pixels at the right and at the bottom are ignored. Default 32.
    pub patch_size: usize,
    /// The MLP's activation. Default `quick_gelu`.
    pub hidden_act: HiddenAct,
    /// Added to the variance in layer normalisation. Default 1e-5.
    pub layer_norm_eps: f64,
}

impl Default for ClipVisionConfig {
    fn default() -> Self {
        Self {
            hidden_size: 768,
            intermediate_size: 3072,
            num_hidden_layers: 12,
            num_attention_heads: 12,
            num_channels: 3,
            image_size: 224,
            patch_size: 32,
            hidden_act: HiddenAct::QuickGelu,
            layer_norm_eps: 1e-5,
        }
    }
}

impl ClipVisionConfig {
    /// Checks that a model of these sizes can be built, like
    /// [`ClipTextConfig::validate`](crate::ClipTextConfig::validate).
    ///
    /// # Errors
    /// Names the first field that is out of range, and its range.
    pub fn validate(&self) -> Result<(), Error> {
        let file = "config.json, vision_config";
        in_range(file, "num_channels", self.num_channels, 1..=1 << 10)?;
        in_range(file, "image_size", self.image_size, 1..=1 << 14)?;
        in_range(file, "patch_size", self.patch_size, 1..=self.image_size)?;
        if self.patches() >= 1 << 16 {
            let expected = format!("fewer than 65536 patches of an image of {} pixels are possible", self.image_size);
            return Err(field_error(file, "patch_size", self.patch_size, expected));
        }
        self.encoder().validate(file)
    }

    /// An image tower with random parameters. They are computed when they are first used, so loading a model does not
    /// compute them.
    pub fn init(&self, device: &Device) -> ClipVisionModel {
        let encoder = self.encoder();
        let like_tokens = Initializer::Normal { mean: 0.0, std: (self.hidden_size as f64).powf(-0.5) };
        let patch = [self.patch_size; 2];
        let patch_embedding = Conv2dConfig::new([self.num_channels, self.hidden_size], patch).with_stride(patch);
        ClipVisionModel {
            embeddings: ClipVisionEmbeddings {
                class_embedding: like_tokens.init([self.hidden_size], device),
                patch_embedding: patch_embedding.with_bias(false).with_initializer(SMALL).init(device),
                position_embedding: encoder.init_embedding(self.patches() + 1, device),
            },
            pre_layrnorm: encoder.init_layer_norm(device),
            encoder: Encoder::new(&encoder, device),
            post_layernorm: encoder.init_layer_norm(device),
            image_size: self.image_size,
        }
    }

    fn patches(&self) -> usize {
        (self.image_size / self.patch_size).pow(2)
    }

    fn encoder(&self) -> EncoderConfig {
        EncoderConfig {
            hidden_size: self.hidden_size,
            intermediate_size: self.intermediate_size,
            num_hidden_layers: self.num_hidden_layers,
            num_attention_heads: self.num_attention_heads,
            hidden_act: self.hidden_act,
            layer_norm_eps: self.layer_norm_eps,
            mask: Mask::None,
        }
    }
}
