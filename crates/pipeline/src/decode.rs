//! Latents to images.

use burn::tensor::{DType, Tensor};
use image::RgbImage;
use pyrograph_autoencoder::{
    AutoencoderKl, AutoencoderKlConfig, AutoencoderTiny, AutoencoderTinyConfig, DoesNotFit, Extent,
};
use pyrograph_checkpoint::{Component, LoadReport, Note, load};

use crate::readback::{catch_panics, finite};
use crate::{Device, Error};

/// Advice for latents that are not finite.
pub(crate) const ADVICE: &str = "another scheduler, more steps, or f32 may help";

/// The autoencoder, by the class of the component.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one, in a pipeline")]
pub(crate) enum Autoencoder {
    Kl(AutoencoderKl),
    Tiny(AutoencoderTiny),
}

/// An autoencoder and the settings that the pipeline needs.
#[derive(Debug)]
pub(crate) struct Decoder {
    model: Autoencoder,
    pub(crate) latent_channels: usize,
    pub(crate) downsampling: usize,
    /// Limit of values per tensor, from the device's largest binding.
    limit: usize,
}

impl Decoder {
    /// Loads in float32, whatever type the other networks have: in float16, the decoder's activations overflow for some
    /// checkpoints, and the image is black. The autoencoder has a tenth of the weights.
    pub(crate) fn load(component: &Component, device: &Device) -> Result<(Self, LoadReport, Vec<Note>), Error> {
        let wrong = |cause| Error::Config { component: "vae", cause };
        let limit = device.largest_binding().map_or(usize::MAX, |bytes| (bytes / 4) as usize);
        if component.class == "AutoencoderTiny" {
            let (config, notes): (AutoencoderTinyConfig, _) = component.read_config("vae")?;
            let mut model = config.init(device.tensors()).map_err(wrong)?;
            let report = load(&mut model, component.weights.as_ref(), DType::F32)?;
            let (latent_channels, downsampling) = (config.latent_channels, config.downsampling());
            return Ok((Self { model: Autoencoder::Tiny(model), latent_channels, downsampling, limit }, report, notes));
        }
        let (config, notes): (AutoencoderKlConfig, _) = component.read_config("vae")?;
        let mut model = config.init(device.tensors()).map_err(wrong)?;
        let report = load(&mut model, component.weights.as_ref(), DType::F32)?;
        let (latent_channels, downsampling) = (config.latent_channels, config.downsampling());
        Ok((Self { model: Autoencoder::Kl(model), latent_channels, downsampling, limit }, report, notes))
    }

    /// Decodes the latents image by image, and in bands where a whole image would be too large for the device.
    ///
    /// # Shapes
    /// - `latents`: `[batch, channels, height, width]`, scaled as for the UNet
    ///
    /// # Errors
    /// Returns an error if the device fails, or latents or an image are not finite.
    pub(crate) async fn images(&self, latents: Tensor<4>) -> Result<Vec<RgbImage>, Error> {
        finite("denoising", ADVICE, latents.clone()).await?;
        let mut images = Vec::with_capacity(latents.dims()[0]);
        for latent in latents.clone().chunk(latents.dims()[0], 0) {
            let image = catch_panics("the autoencoder", || self.decode(latent))??; // [1, 3, height, width]
            let [_, _, height, width] = image.dims();
            let values = finite("the autoencoder", "the checkpoint's VAE may be broken", image).await?;
            images.push(from_values(&values, width, height));
        }
        Ok(images)
    }

    /// # Shapes
    /// `[1, channels, height, width]` -> `[1, 3, f * height, f * width]` in about -1 ..= 1
    fn decode(&self, latents: Tensor<4>) -> Result<Tensor<4>, Error> {
        let decoded = match &self.model {
            Autoencoder::Kl(model) => model.decode_within(model.unscale(latents), self.limit),
            Autoencoder::Tiny(model) => model.decode_within(model.unscale(latents), self.limit),
        };
        decoded.map_err(too_large)
    }

    /// The sizes of the tensors for decoding latents of this shape.
    ///
    /// # Errors
    /// Returns an error if a row of a feature map is too large for the device.
    pub(crate) fn extent(&self, latents: [usize; 4]) -> Result<Extent, Error> {
        let extent = match &self.model {
            Autoencoder::Kl(model) => model.decode_extent(latents, self.limit),
            Autoencoder::Tiny(model) => model.decode_extent(latents, self.limit),
        };
        extent.map_err(too_large)
    }
}

fn too_large(cause: DoesNotFit) -> Error {
    Error::Memory { stage: "the autoencoder", needed: 4 * cause.needed(), available: 4 * cause.limit() }
}

/// Pixels of `[3, height, width]` values in -1 ..= 1, rounded half to even as in diffusers.
fn from_values(values: &[f32], width: usize, height: usize) -> RgbImage {
    let byte = |value: f32| ((value / 2.0 + 0.5).clamp(0.0, 1.0) * 255.0).round_ties_even() as u8;
    let plane = width * height;
    RgbImage::from_fn(width as u32, height as u32, |x, y| {
        let pixel = y as usize * width + x as usize;
        image::Rgb([0, 1, 2].map(|channel| byte(values[channel * plane + pixel])))
    })
}
