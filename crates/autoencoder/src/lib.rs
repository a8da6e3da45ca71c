//! Images to latents and back: [`AutoencoderKl`], [`VqModel`] and [`AutoencoderTiny`].
//!
//! Images are `[batch, 3, height, width]` in -1 ..= 1, latents `[batch, latent_channels, height / f, width / f]`.
//! `config.json` determines every size, and every field has its diffusers state-dict name. Where a device limits the
//! size of a tensor, `encode_within` and `decode_within` cut feature maps into bands; `encode_extent` and
//! `decode_extent` show in advance whether this is enough.

mod bands;
mod config;
mod decoder;
mod does_not_fit;
mod encoder;
mod extent;
mod feature_map;
mod kl;
mod mid;
mod rows;
mod tiny;
mod vector_quantizer;
mod vq;

pub use config::AutoencoderKlConfig;
pub use decoder::{Decoder, UpDecoderBlock};
pub use does_not_fit::DoesNotFit;
pub use encoder::{DownEncoderBlock, Encoder};
pub use extent::Extent;
pub use kl::{AutoencoderKl, DiagonalGaussian};
pub use mid::MidBlock;
pub use pyrograph_blocks::ConfigError;
pub use tiny::{AutoencoderTiny, AutoencoderTinyBlock, AutoencoderTinyConfig, TinyLayer, TinyLayers};
pub use vector_quantizer::{Quantized, VectorQuantizer, map_to_rows};
pub use vq::{VqModel, VqModelConfig};
