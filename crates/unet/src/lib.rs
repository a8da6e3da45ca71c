//! [`UNet2dConditionModel`]: the network that predicts noise from noisy latents, a timestep and a text.
//!
//! Latent Diffusion Models, Rombach et al. 2022 (<https://arxiv.org/abs/2112.10752>), in diffusers' form: `config.json`
//! determines every size, and every field has its state-dict name.

mod config;
mod down;
mod extent;
mod mid;
mod time;
mod transformer;
mod unet;
mod up;

pub use config::{SampleSize, UNet2dConditionConfig};
pub use down::DownBlock;
pub use extent::Extent;
pub use mid::MidBlock;
pub use pyrograph_blocks::{ConfigError, PerBlock};
pub use time::{TimestepEmbedding, timestep_features};
pub use transformer::{BasicTransformerBlock, FeedForward, GegluProjection, Transformer2d};
pub use unet::UNet2dConditionModel;
pub use up::UpBlock;
