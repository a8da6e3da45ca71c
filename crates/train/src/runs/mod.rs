//! Whole runs of training, each described by one TOML file: what the program's `train` command carries out.

mod autoencoder;
mod bounds;
mod captions;
mod changes;
mod clip;
mod config;
mod ddpm;
mod diffusers;
mod latent;
mod latents;
mod pictures;
mod run;
mod start;
mod vq;

pub use autoencoder::{AdversarialConfig, AutoencoderTask, AutoencoderTaskConfig, StartConfig};
pub use bounds::Bounds;
pub(crate) use bounds::{multiple, size, within};
pub use clip::{ClipStartConfig, ClipTask, ClipTaskConfig};
pub use config::{DataConfig, DenoisingConfig, OutputConfig, RunConfig, read_table};
pub use ddpm::{DdpmTask, DdpmTaskConfig};
pub(crate) use ddpm::{diffusion, no_text};
pub use latent::{Conditioned, LatentStartConfig, LatentTask, LatentTaskConfig, SamplesConfig};
pub(crate) use pictures::grid;
pub use pictures::tile;
pub use run::{Run, Task, TaskRun};
pub use vq::{VqTask, VqTaskConfig};
