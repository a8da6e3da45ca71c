//! Whole runs of training, each described by one TOML file: what the program's `train` command carries out.

mod adversarial;
mod autoencoder;
mod captions;
mod changes;
mod clip;
mod config_file;
mod ddpm;
mod denoising_config;
mod diffusers;
mod latent;
mod recipe;
mod recipe_file;
mod run;
mod setup;
mod task;
mod vq;

pub use adversarial::AdversarialConfig;
pub use autoencoder::{AutoencoderTask, AutoencoderTaskConfig, StartConfig};
pub use clip::{ClipStartConfig, ClipTask, ClipTaskConfig};
pub use config_file::{ConfigFile, FileConfig};
pub use ddpm::{DdpmTask, DdpmTaskConfig};
pub use denoising_config::DenoisingConfig;
pub use latent::{Conditioned, LatentStartConfig, LatentTask, LatentTaskConfig, SamplesConfig};
pub use recipe::{DataConfig, OutputConfig, Recipe};
pub use recipe_file::read_table;
pub use run::Run;
pub use setup::Setup;
pub use task::Task;
pub use vq::{VqTask, VqTaskConfig};
