//! Either of the two autoencoders.

use burn::tensor::{DType, Device, Tensor};
use pyrograph_autoencoder::{AutoencoderKl, AutoencoderKlConfig, AutoencoderTiny, AutoencoderTinyConfig};
use pyrograph_checkpoint::{Component, LoadReport, load};

use crate::Error;
use crate::stable_diffusion::parse;

/// The autoencoder that `_class_name` of the configuration names.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one, in a pipeline")]
pub(crate) enum Autoencoder {
    Kl(AutoencoderKl),
    Tiny(AutoencoderTiny),
}

/// An autoencoder with what the pipeline must know of its configuration.
#[derive(Debug)]
pub(crate) struct Decoder {
    model: Autoencoder,
    pub(crate) latent_channels: usize,
    pub(crate) downsampling: usize,
}

impl Decoder {
    /// Loads in float32 whatever the rest runs in: in float16 the decoder's activations overflow for some checkpoints,
    /// and the picture is black. It is a tenth of the weights.
    pub(crate) fn load(component: &Component, device: &Device) -> Result<(Self, LoadReport), Error> {
        let wrong = |cause| Error::Config { component: "vae", cause };
        if component.config["_class_name"] == "AutoencoderTiny" {
            let config: AutoencoderTinyConfig = parse("vae", &component.config)?;
            let mut model = config.init(device).map_err(wrong)?;
            let report = load(&mut model, component.weights.as_ref(), DType::F32)?;
            let (latent_channels, downsampling) = (config.latent_channels, config.downsampling());
            return Ok((Self { model: Autoencoder::Tiny(model), latent_channels, downsampling }, report));
        }
        let config: AutoencoderKlConfig = parse("vae", &component.config)?;
        let mut model = config.init(device).map_err(wrong)?;
        let report = load(&mut model, component.weights.as_ref(), DType::F32)?;
        let (latent_channels, downsampling) = (config.latent_channels, config.downsampling());
        Ok((Self { model: Autoencoder::Kl(model), latent_channels, downsampling }, report))
    }

    /// The picture of latents as the UNet sees them, in tensors of at most `limit` values.
    ///
    /// # Shapes
    /// `[batch, channels, height, width]` -> `[batch, 3, f * height, f * width]` in about -1 ..= 1
    pub(crate) fn decode(&self, latents: Tensor<4>, limit: usize) -> Tensor<4> {
        match &self.model {
            Autoencoder::Kl(model) => model.decode(model.unscale(latents), limit),
            Autoencoder::Tiny(model) => model.decode(model.unscale(latents), limit),
        }
    }
}
