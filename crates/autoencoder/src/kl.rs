//! The variational autoencoder of Stable Diffusion.

use burn::module::Module;
use burn::nn::conv::Conv2d;
use burn::tensor::{DType, Device, Tensor};
use pyrograph_blocks::conv_1x1;

use crate::{AutoencoderKlConfig, ConfigError, Decoder, Encoder, Rows};

/// Encodes pictures as a normal distribution over latents and decodes latents to pictures.
///
/// Rombach et al. 2022 (<https://arxiv.org/abs/2112.10752>), appendix G; diffusers' `AutoencoderKL`.
#[derive(Module, Debug)]
pub struct AutoencoderKl {
    /// Pictures to moments.
    pub encoder: Encoder,
    /// Latents to pictures.
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
    /// Makes the autoencoder on `device`; its weights are not computed before they are needed.
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
    /// The distribution of a picture's latents, before scaling.
    ///
    /// # Shapes
    /// `[batch, 3, height, width]` in -1 ..= 1 -> moments `[batch, latent_channels, height / f, width / f]`
    pub fn encode(&self, image: Tensor<4>, limit: usize) -> DiagonalGaussian {
        let dtype = self.encoder.conv_in.weight.dtype();
        let moments = self.encoder.forward(Rows::new(image.cast(dtype), limit));
        let moments = self.quant_conv.iter().fold(moments, Rows::conv2d).into_tensor().cast(DType::F32);
        let [mean, log_variance]: [_; 2] = moments.chunk(2, 1).try_into().expect("two halves of the moments");
        DiagonalGaussian { mean, log_variance: log_variance.clamp(-30.0, 20.0) }
    }

    /// The picture of unscaled latents, in about -1 ..= 1. No tensor on the way has more than `limit` values as long as
    /// one row of the picture fits; the result does not depend on it.
    ///
    /// # Shapes
    /// `[batch, latent_channels, height, width]` -> `[batch, 3, f * height, f * width]`, float32
    pub fn decode(&self, latents: Tensor<4>, limit: usize) -> Tensor<4> {
        let latents = Rows::new(latents.cast(self.decoder.conv_in.weight.dtype()), limit);
        let latents = self.post_quant_conv.iter().fold(latents, Rows::conv2d);
        self.decoder.forward(latents).into_tensor().cast(DType::F32)
    }

    /// Latents as the diffusion model sees them: shifted and scaled to about unit variance.
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

    /// The latents that `noise`, standard normal in the shape of the mean, stands for.
    pub fn sample(&self, noise: Tensor<4>) -> Tensor<4> {
        self.mean.clone() + (self.log_variance.clone() * 0.5).exp() * noise
    }
}
