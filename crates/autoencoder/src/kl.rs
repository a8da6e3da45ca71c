//! The variational autoencoder of Stable Diffusion.

use burn::module::Module;
use burn::tensor::{DType, Device, Tensor};
use pyrograph_blocks::conv_1x1;
use pyrograph_kernels::Conv2d;

use crate::extent::Sizes;
use crate::feature_map::FeatureMap;
use crate::rows::Rows;
use crate::{AutoencoderKlConfig, ConfigError, Decoder, DoesNotFit, Encoder, Extent};

/// Encodes images as a normal distribution over latents, and decodes latents to images.
///
/// Rombach et al. 2022 (<https://arxiv.org/abs/2112.10752>), appendix G; diffusers' `AutoencoderKL`.
#[derive(Module, Debug)]
pub struct AutoencoderKl {
    /// Images to moments.
    pub encoder: Encoder,
    /// Latents to images.
    pub decoder: Decoder,
    /// After the encoder.
    pub quant_conv: Option<Conv2d>,
    /// Before the decoder.
    pub post_quant_conv: Option<Conv2d>,
    scaling_factor: f64,
    shift_factor: f64,
}

/// A normal distribution over latents, independent in every value.
#[derive(Debug, Clone)]
pub struct DiagonalGaussian {
    /// `[batch, latent_channels, height, width]`
    pub mean: Tensor<4>,
    /// The logarithm of the variance, within -30 ..= 20, in the shape of `mean`.
    pub log_variance: Tensor<4>,
}

impl AutoencoderKlConfig {
    /// Makes the autoencoder on `device`. Its weights are computed when they are first used.
    pub fn init(&self, device: &Device) -> Result<AutoencoderKl, ConfigError> {
        self.validate()?;
        let latent = self.latent_channels;
        Ok(AutoencoderKl {
            encoder: Encoder::new(self, 2 * latent, device),
            decoder: Decoder::new(self, device),
            quant_conv: self.use_quant_conv.then(|| conv_1x1([2 * latent, 2 * latent], device)),
            post_quant_conv: self.use_post_quant_conv.then(|| conv_1x1([latent, latent], device)),
            scaling_factor: self.scaling_factor,
            shift_factor: self.shift_factor.unwrap_or(0.0),
        })
    }
}

impl AutoencoderKl {
    /// The distribution of an image's latents, before scaling.
    ///
    /// # Shapes
    /// `[batch, 3, height, width]` in -1 ..= 1 -> moments `[batch, latent_channels, height / f, width / f]`
    pub fn encode(&self, image: Tensor<4>) -> DiagonalGaussian {
        self.encode_within(image, usize::MAX).expect("everything fits without a limit")
    }

    /// [`AutoencoderKl::encode`] in tensors of at most `limit` values; the result does not depend on the limit.
    ///
    /// # Errors
    /// Before anything is computed, if a tensor cannot be cut into parts that small.
    pub fn encode_within(&self, image: Tensor<4>, limit: usize) -> Result<DiagonalGaussian, DoesNotFit> {
        self.encode_extent(image.dims(), limit)?;
        let dtype = self.encoder.conv_in.weight.dtype();
        let moments = self.moments(Rows::new(image.cast(dtype), limit)).into_tensor().cast(DType::F32);
        let [mean, log_variance]: [_; 2] = moments.chunk(2, 1).try_into().expect("two halves of the moments");
        Ok(DiagonalGaussian { mean, log_variance: log_variance.clamp(-30.0, 20.0) })
    }

    /// The tensor sizes of [`AutoencoderKl::encode_within`] for an image `[batch, 3, height, width]`.
    ///
    /// # Errors
    /// Returns an error if a tensor cannot be cut into parts of at most `limit` values.
    pub fn encode_extent(&self, image: [usize; 4], limit: usize) -> Result<Extent, DoesNotFit> {
        self.moments(Sizes::new(image, limit)).into_extent()
    }

    /// The image of unscaled latents, in about -1 ..= 1.
    ///
    /// # Shapes
    /// `[batch, latent_channels, height, width]` -> `[batch, 3, f * height, f * width]`, float32
    pub fn decode(&self, latents: Tensor<4>) -> Tensor<4> {
        self.decode_within(latents, usize::MAX).expect("everything fits without a limit")
    }

    /// [`AutoencoderKl::decode`] in tensors of at most `limit` values; the result does not depend on the limit.
    ///
    /// # Errors
    /// Before anything is computed, if a tensor cannot be cut into parts that small.
    pub fn decode_within(&self, latents: Tensor<4>, limit: usize) -> Result<Tensor<4>, DoesNotFit> {
        self.decode_extent(latents.dims(), limit)?;
        let latents = Rows::new(latents.cast(self.decoder.conv_in.weight.dtype()), limit);
        Ok(self.image(latents).into_tensor().cast(DType::F32))
    }

    /// The tensor sizes of [`AutoencoderKl::decode_within`] for latents `[batch, latent_channels, height, width]`.
    ///
    /// # Errors
    /// Returns an error if a tensor cannot be cut into parts of at most `limit` values.
    pub fn decode_extent(&self, latents: [usize; 4], limit: usize) -> Result<Extent, DoesNotFit> {
        self.image(Sizes::new(latents, limit)).into_extent()
    }

    fn moments<M: FeatureMap>(&self, image: M) -> M {
        self.quant_conv.iter().fold(self.encoder.forward(image), M::conv2d)
    }

    fn image<M: FeatureMap>(&self, latents: M) -> M {
        self.decoder.forward(self.post_quant_conv.iter().fold(latents, M::conv2d))
    }

    /// Latents for the diffusion model: shifted and scaled to about unit variance.
    pub fn scale(&self, latents: Tensor<4>) -> Tensor<4> {
        (latents - self.shift_factor) * self.scaling_factor
    }

    /// The inverse of [`AutoencoderKl::scale`].
    pub fn unscale(&self, latents: Tensor<4>) -> Tensor<4> {
        latents / self.scaling_factor + self.shift_factor
    }
}

impl DiagonalGaussian {
    /// The most likely latents.
    pub fn mode(&self) -> Tensor<4> {
        self.mean.clone()
    }

    /// The latents for `noise`, which is standard normal and has the shape of the mean.
    pub fn sample(&self, noise: Tensor<4>) -> Tensor<4> {
        self.mean.clone() + (self.log_variance.clone() * 0.5).exp() * noise
    }
}
