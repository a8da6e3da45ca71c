//! Whole runs of training, each described by one TOML file: what the program's `train` command carries out.

mod autoencoder;
mod captions;
mod clip;
mod config;
mod ddpm;
mod diffusers;
mod latent;
mod latents;
mod pictures;
mod start;
mod vq;

use std::path::Path;

pub use autoencoder::{AdversarialConfig, AutoencoderRun, AutoencoderRunConfig, StartConfig};
pub use clip::{ClipRun, ClipRunConfig, ClipStartConfig};
pub use config::{DataConfig, DenoisingConfig, OutputConfig, read_config};
pub use ddpm::{DdpmRun, DdpmRunConfig};
use image::RgbImage;
pub use latent::{LatentRun, LatentRunConfig, LatentStartConfig, SamplesConfig};

pub(crate) use ddpm::{diffusion, no_text};
pub(crate) use pictures::grid;

pub use vq::{VqRun, VqRunConfig};

use crate::TrainError;

/// A model in training with its data. The caller owns the loop.
pub trait Run {
    /// What is written, where and when.
    fn output(&self) -> &OutputConfig;

    /// Steps that have been taken.
    fn steps(&self) -> usize;

    /// Steps of the whole run.
    fn total(&self) -> usize;

    /// Pictures that a step looks at.
    fn images_per_step(&self) -> usize;

    /// Takes a step; answers with its loss.
    ///
    /// # Errors
    /// When a picture cannot be read, or the loss is no number; the model is then what it was before.
    fn step(&mut self) -> Result<f64, TrainError>;

    /// What else there is to say of the latest step.
    fn report(&self) -> Option<String> {
        None
    }

    /// Writes all that is needed to go on, whole or not at all.
    ///
    /// # Errors
    /// When the folder cannot be written.
    fn save(&self, folder: &Path) -> Result<(), TrainError>;

    /// Goes on from what [`save`](Self::save) wrote.
    ///
    /// # Errors
    /// When the folder cannot be read or belongs to another model.
    fn resume(&mut self, folder: &Path) -> Result<(), TrainError>;

    /// Pictures that show how well the averaged model does.
    ///
    /// # Errors
    /// When a picture cannot be read.
    fn samples(&self) -> Result<RgbImage, TrainError>;

    /// Writes the averaged model in the layout of diffusers, in float16, whole or not at all.
    ///
    /// # Errors
    /// When the folder cannot be written.
    fn export(&self, folder: &Path) -> Result<(), TrainError>;
}
