//! The autoencoder of VQGAN.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use pyrograph_blocks::conv_1x1;
use pyrograph_kernels::Conv2d;
use serde::{Deserialize, Serialize};

use crate::extent::Sizes;
use crate::feature_map::FeatureMap;
use crate::rows::Rows;
use crate::{AutoencoderKlConfig, ConfigError, Decoder, DoesNotFit, Encoder, Extent, Quantized, VectorQuantizer};

/// The configuration of a [`VqModel`], with diffusers' defaults.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub struct VqModelConfig {
    /// Channels of the input image.
    pub in_channels: usize,
    /// Channels of the output image.
    pub out_channels: usize,
    /// Channels per block, the highest resolution first; every block but the last halves the size.
    pub block_out_channels: Vec<usize>,
    /// Residual blocks per encoder block; decoder blocks have one more.
    pub layers_per_block: usize,
    /// Activation: `silu`, also called `swish`.
    pub act_fn: String,
    /// Channels of the latents before `quant_conv`.
    pub latent_channels: usize,
    /// Groups of the group normalisations.
    pub norm_num_groups: usize,
    /// Factor that gives the latents unit variance for the diffusion model.
    pub scaling_factor: f64,
    /// Whether the middle blocks of encoder and decoder have a self-attention layer.
    pub mid_block_add_attention: bool,
    /// Number of codes in the codebook.
    pub num_vq_embeddings: usize,
    /// Width of a code, `latent_channels` if absent.
    pub vq_embed_dim: Option<usize>,
}

impl Default for VqModelConfig {
    fn default() -> Self {
        Self {
            in_channels: 3,
            out_channels: 3,
            block_out_channels: vec![64],
            layers_per_block: 1,
            act_fn: "silu".into(),
            latent_channels: 3,
            norm_num_groups: 32,
            scaling_factor: 0.18215,
            mid_block_add_attention: true,
            num_vq_embeddings: 256,
            vq_embed_dim: None,
        }
    }
}

/// The factor of the commitment loss in diffusers and in the paper.
const COMMITMENT: f64 = 0.25;

/// Encodes images as vectors of a codebook, and decodes these vectors to images.
///
/// Esser et al. 2021 (<https://arxiv.org/abs/2012.09841>); diffusers' `VQModel`.
#[derive(Module, Debug)]
pub struct VqModel {
    /// Images to latents.
    pub encoder: Encoder,
    /// To the width of the codes.
    pub quant_conv: Conv2d,
    /// The codebook.
    pub quantize: VectorQuantizer,
    /// From the width of the codes.
    pub post_quant_conv: Conv2d,
    /// Latents to images.
    pub decoder: Decoder,
}

impl VqModelConfig {
    /// Makes the autoencoder on `device`. Its weights are computed when they are first used.
    pub fn init(&self, device: &Device) -> Result<VqModel, ConfigError> {
        let networks = self.networks();
        networks.validate()?;
        let latent = self.latent_channels;
        let width = self.vq_embed_dim.unwrap_or(latent);
        let sane = |size: usize| (1..=1 << 16).contains(&size);
        ConfigError::unless(sane(self.num_vq_embeddings), "num_vq_embeddings", "must be a positive number")?;
        ConfigError::unless(sane(width), "vq_embed_dim", "must be a positive number")?;
        Ok(VqModel {
            encoder: Encoder::new(&networks, latent, device),
            quant_conv: conv_1x1([latent, width], device),
            quantize: VectorQuantizer::new(self.num_vq_embeddings, width, COMMITMENT, device),
            post_quant_conv: conv_1x1([width, latent], device),
            decoder: Decoder::new(&networks, device),
        })
    }

    /// The number of image pixels per latent pixel, along each axis.
    pub fn downsampling(&self) -> usize {
        self.networks().downsampling()
    }

    /// Encoder and decoder, which are those of the other autoencoder.
    fn networks(&self) -> AutoencoderKlConfig {
        AutoencoderKlConfig {
            in_channels: self.in_channels,
            out_channels: self.out_channels,
            block_out_channels: self.block_out_channels.clone(),
            layers_per_block: self.layers_per_block,
            act_fn: self.act_fn.clone(),
            latent_channels: self.latent_channels,
            norm_num_groups: self.norm_num_groups,
            scaling_factor: self.scaling_factor,
            mid_block_add_attention: self.mid_block_add_attention,
            ..AutoencoderKlConfig::default()
        }
    }
}

impl VqModel {
    /// The latents of an image before quantisation.
    ///
    /// # Shapes
    /// `[batch, 3, height, width]` in -1 ..= 1 -> `[batch, vq_embed_dim, height / f, width / f]`
    pub fn encode(&self, image: Tensor<4>) -> Tensor<4> {
        self.encode_within(image, usize::MAX).expect("everything fits without a limit")
    }

    /// [`VqModel::encode`] in tensors of at most `limit` values; the result does not depend on the limit.
    ///
    /// # Errors
    /// Before anything is computed, if a tensor cannot be cut into parts that small.
    pub fn encode_within(&self, image: Tensor<4>, limit: usize) -> Result<Tensor<4>, DoesNotFit> {
        self.encode_extent(image.dims(), limit)?;
        Ok(self.latents(Rows::new(image, limit)).into_tensor())
    }

    /// The tensor sizes of [`VqModel::encode_within`] for an image `[batch, 3, height, width]`.
    ///
    /// # Errors
    /// Returns an error if a tensor cannot be cut into parts of at most `limit` values.
    pub fn encode_extent(&self, image: [usize; 4], limit: usize) -> Result<Extent, DoesNotFit> {
        self.latents(Sizes::new(image, limit)).into_extent()
    }

    /// The nearest codes of latents.
    ///
    /// # Shapes
    /// `[batch, vq_embed_dim, height, width]`
    pub fn quantize(&self, latents: Tensor<4>) -> Quantized {
        self.quantize.forward(latents)
    }

    /// The image of quantised latents, in about -1 ..= 1.
    ///
    /// # Shapes
    /// `[batch, vq_embed_dim, height, width]` -> `[batch, 3, f * height, f * width]`
    pub fn decode(&self, quantized: Tensor<4>) -> Tensor<4> {
        self.decode_within(quantized, usize::MAX).expect("everything fits without a limit")
    }

    /// [`VqModel::decode`] in tensors of at most `limit` values; the result does not depend on the limit.
    ///
    /// # Errors
    /// Before anything is computed, if a tensor cannot be cut into parts that small.
    pub fn decode_within(&self, quantized: Tensor<4>, limit: usize) -> Result<Tensor<4>, DoesNotFit> {
        self.decode_extent(quantized.dims(), limit)?;
        Ok(self.image(Rows::new(quantized, limit)).into_tensor())
    }

    /// The tensor sizes of [`VqModel::decode_within`] for latents `[batch, vq_embed_dim, height, width]`.
    ///
    /// # Errors
    /// Returns an error if a tensor cannot be cut into parts of at most `limit` values.
    pub fn decode_extent(&self, quantized: [usize; 4], limit: usize) -> Result<Extent, DoesNotFit> {
        self.image(Sizes::new(quantized, limit)).into_extent()
    }

    fn latents<M: FeatureMap>(&self, image: M) -> M {
        self.encoder.forward(image).conv2d(&self.quant_conv)
    }

    fn image<M: FeatureMap>(&self, quantized: M) -> M {
        self.decoder.forward(quantized.conv2d(&self.post_quant_conv))
    }
}
