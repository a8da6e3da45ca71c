//! Images, settings and device of a run.

use burn::tensor::{Device as TensorDevice, Tensor};
use pyrograph::Device;
use pyrograph_scheduler::Generator;

use super::{DataConfig, OutputConfig};
use crate::{Batch, Dataset, TrainError, TrainerConfig};

/// The images, the tables that all recipes have, and the device: every task works with these.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The images, checked.
    pub dataset: Dataset,
    /// Their batches.
    pub data: DataConfig,
    /// Files of the run, and when they are written.
    pub output: OutputConfig,
    /// The settings of the optimiser.
    pub trainer: TrainerConfig,
    /// The device of samples, without autodiff.
    pub device: Device,
}

impl Setup {
    /// The device with autodiff, on which the model is trained.
    pub fn autodiff(&self) -> TensorDevice {
        self.trainer.device(&self.device)
    }

    /// Batch number `index` of the run, on the device with autodiff.
    ///
    /// # Errors
    /// Returns an error if an image cannot be read.
    pub fn batch(&self, index: usize) -> Result<Batch, TrainError> {
        self.dataset.batch(index, self.data.batch_size, self.trainer.seed, &self.autodiff())
    }

    /// The images that samples are made of, the same for all recipes.
    ///
    /// # Shapes
    /// `[count, 3, size, size]` in -1 ..= 1, without autodiff
    ///
    /// # Errors
    /// Returns an error if an image cannot be read.
    pub fn shown(&self, count: usize) -> Result<Tensor<4>, TrainError> {
        Ok(self.dataset.batch(0, count, 0, self.device.tensors())?.images)
    }

    /// Random numbers for the data of batch number `index`, others than those of its loss.
    pub fn generator(&self, index: usize) -> Generator {
        self.trainer.generator_of_data(index)
    }
}
