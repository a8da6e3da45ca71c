//! `train latent`: text to latents.

mod encoding;
mod latents;
mod networks;
mod recipe;
mod task;

pub use networks::Conditioned;
pub use recipe::{LatentStartConfig, LatentTaskConfig, SamplesConfig};
pub use task::LatentTask;
