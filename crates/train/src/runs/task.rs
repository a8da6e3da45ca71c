//! The trait over which a run is written.

use std::path::Path;

use burn::module::Module;
use burn::tensor::Tensor;
use image::RgbImage;
use pyrograph_scheduler::Generator;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Setup;
use crate::{Bounds, TrainError, Trainer};

/// One kind of model: its data, its objective and its samples. All else is in [`Run`](super::Run).
pub trait Task: Sized {
    /// The model that is trained.
    type Model: Module;
    /// The input of the loss.
    type Batch;
    /// The tables of the recipe that are this task's own.
    type Config: Bounds + Clone + DeserializeOwned + Serialize;

    /// Makes or loads the model on the device with autodiff.
    ///
    /// # Errors
    /// Returns an error if a checkpoint cannot be read, or the configuration describes no such model.
    fn open(config: Self::Config, setup: Setup) -> Result<(Self, Self::Model), TrainError>;

    /// Batch number `index` of the run.
    ///
    /// # Errors
    /// Returns an error if an image cannot be read.
    fn batch(&self, index: usize) -> Result<Self::Batch, TrainError>;

    /// The loss of a batch, `[1]`; all chance comes from the generator.
    fn loss(&mut self, model: &Self::Model, batch: Self::Batch, generator: &mut Generator) -> Tensor<1>;

    /// Changes the task or the model after each step by other means than gradients.
    ///
    /// # Errors
    /// Returns an error if it fails.
    fn after_step(&mut self, _trainer: &mut Trainer<Self::Model>) -> Result<(), TrainError> {
        Ok(())
    }

    /// A remark on the latest step, beside its loss.
    fn report(&self) -> Option<String> {
        None
    }

    /// Writes the task's own state to the folder of a checkpoint.
    ///
    /// # Errors
    /// Returns an error if it cannot be written.
    fn save(&self, _folder: &Path) -> Result<(), TrainError> {
        Ok(())
    }

    /// Reads it again.
    ///
    /// # Errors
    /// Returns an error if it cannot be read.
    fn resume(&mut self, _folder: &Path) -> Result<(), TrainError> {
        Ok(())
    }

    /// Images that show how well the averaged model does.
    ///
    /// # Errors
    /// Returns an error if an image cannot be read.
    fn samples(&self, model: &Self::Model) -> Result<RgbImage, TrainError>;

    /// Writes the averaged model to a new folder in the layout of diffusers, in float16.
    ///
    /// # Errors
    /// Returns an error if the folder cannot be written.
    fn export(&self, model: &Self::Model, folder: &Path) -> Result<(), TrainError>;
}
