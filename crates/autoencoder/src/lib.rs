//! Pictures to latents and back: [`AutoencoderKl`], [`VqModel`] and [`AutoencoderTiny`].
//!
//! Pictures are `[batch, 3, height, width]` in -1 ..= 1, latents `[batch, latent_channels, height / f, width / f]`. Every
//! size comes from `config.json`, every field has its diffusers state-dict name.

mod config;
mod decoder;
mod encoder;
mod kl;
mod mid;
mod rows;
mod tiny;
mod vector_quantizer;
mod vq;

pub use config::AutoencoderKlConfig;
pub use decoder::{Decoder, UpDecoderBlock};
pub use encoder::{DownEncoderBlock, Encoder};
pub use kl::{AutoencoderKl, DiagonalGaussian};
pub use mid::MidBlock;
pub use pyrograph_blocks::ConfigError;
pub use rows::Rows;
pub use tiny::{AutoencoderTiny, AutoencoderTinyBlock, AutoencoderTinyConfig, TinyLayer, TinyLayers};
pub use vector_quantizer::{Quantized, VectorQuantizer, map_to_rows};
pub use vq::{VqModel, VqModelConfig};
