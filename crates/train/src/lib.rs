//! Training of pyrograph's models: losses, data and loops, on any burn device under autodiff.
//!
//! Losses are functions of a model's outputs, so that the models stay those of inference:
//!
//! ```
//! use burn::tensor::{Device, Tensor};
//! use pyrograph_kernels::{LinearConfig, linear};
//! use pyrograph_scheduler::{Diffusion, Generator, SchedulerConfig};
//! use pyrograph_train::{TimestepSampler, Weighting, denoising_loss};
//!
//! let device = Device::flex().autodiff();
//! let diffusion = Diffusion::new(&SchedulerConfig::default())?;
//! let mut generator = Generator::new(0);
//! let original = generator.randn_tensor([4, 1, 8, 8], &device);
//! let timesteps = TimestepSampler::Stratified.draw(4, diffusion.steps(), &mut generator);
//! let noise = generator.randn_tensor([4, 1, 8, 8], &device);
//! let model = LinearConfig::new(8, 8).init(&device); // the UNet's place
//! let predict = |noisy: Tensor<4>, _timesteps: &[f64]| linear(noisy, &model);
//! let losses = denoising_loss(&diffusion, Weighting::MinSnr(5.0), predict, original, noise, &timesteps);
//! let gradients = losses.mean().backward();
//! # Ok::<(), pyrograph_scheduler::SchedulerError>(())
//! ```

mod bounds;
mod codebook;
mod contrastive;
mod dataset;
mod denoising;
mod discriminator;
mod ema;
mod error;
mod evaluation;
mod folder;
mod gradient_clipping;
mod image_grid;
mod image_list;
mod reconstruction;
mod run_folder;
mod runs;
mod seeds;
mod timesteps;
mod trainer;

pub use bounds::Bounds;
pub use codebook::CodebookMeans;
pub use contrastive::contrastive_loss;
pub use dataset::{Batch, Dataset};
pub use denoising::{Weighting, denoising_loss};
pub use discriminator::PatchDiscriminator;
pub use ema::Ema;
pub use error::{BadImage, Cause, ListError, TrainError};
pub use evaluation::{bits_per_dimension, peak_signal_to_noise, reconstruction, structural_similarity};
pub use gradient_clipping::clip_gradients;
pub use image_grid::tile;
pub use reconstruction::{AutoencoderLoss, edge_loss, kl_divergence};
pub use run_folder::RunFolder;
pub use runs::{
    AdversarialConfig, AutoencoderTask, AutoencoderTaskConfig, ClipStartConfig, ClipTask, ClipTaskConfig, Conditioned,
    ConfigFile, DataConfig, DdpmTask, DdpmTaskConfig, DenoisingConfig, FileConfig, LatentStartConfig, LatentTask,
    LatentTaskConfig, OutputConfig, Recipe, Run, SamplesConfig, Setup, StartConfig, Task, VqTask, VqTaskConfig,
    read_table,
};
pub use timesteps::{ImportanceSampler, TimestepSampler};
pub use trainer::{Trainer, TrainerConfig};
