//! What all runs have in common.

use std::path::Path;

use burn::module::Module;
use burn::tensor::Tensor;
use image::RgbImage;
use pyrograph::Device;
use pyrograph_scheduler::Generator;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Bounds, DataConfig, OutputConfig, RunConfig, changes};
use crate::{Dataset, TrainError, Trainer, TrainerConfig};

/// One kind of model: what a batch is, what is lost by it, and what is shown and written of the model.
pub trait Task: Sized {
    /// What is trained.
    type Model: Module;
    /// What its loss is computed from.
    type Batch;
    /// The tables of the run's file that are this task's own.
    type Config: Bounds + DeserializeOwned + Serialize;

    /// Makes or loads the model on the device with autodiff that the trainer's configuration gives.
    ///
    /// # Errors
    /// When a checkpoint cannot be read, or the configuration describes no such model.
    fn open(config: RunConfig<Self::Config>, data: Dataset, device: &Device)
    -> Result<(Self, Self::Model), TrainError>;

    /// Batch number `index` of the run.
    ///
    /// # Errors
    /// When a picture cannot be read.
    fn batch(&self, index: usize) -> Result<Self::Batch, TrainError>;

    /// The loss of a batch, `[1]`; all chance comes from the generator.
    fn loss(&mut self, model: &Self::Model, batch: Self::Batch, generator: &mut Generator) -> Tensor<1>;

    /// What else is to be done after a step.
    ///
    /// # Errors
    /// When it fails.
    fn after_step(&mut self, _trainer: &mut Trainer<Self::Model>) -> Result<(), TrainError> {
        Ok(())
    }

    /// What else there is to say of the latest step.
    fn report(&self) -> Option<String> {
        None
    }

    /// Writes what the task must remember to go on to a checkpoint's folder.
    ///
    /// # Errors
    /// When it cannot be written.
    fn save(&self, _folder: &Path) -> Result<(), TrainError> {
        Ok(())
    }

    /// Reads it again.
    ///
    /// # Errors
    /// When it cannot be read.
    fn resume(&mut self, _folder: &Path) -> Result<(), TrainError> {
        Ok(())
    }

    /// Pictures that show how well the averaged model does.
    ///
    /// # Errors
    /// When a picture cannot be read.
    fn samples(&self, model: &Self::Model) -> Result<RgbImage, TrainError>;

    /// Writes the averaged model in the layout of diffusers, in float16, whole or not at all.
    ///
    /// # Errors
    /// When the folder cannot be written.
    fn export(&self, model: &Self::Model, folder: &Path) -> Result<(), TrainError>;
}

/// A run of any task. The caller owns the loop.
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

    /// [`Task::report`].
    fn report(&self) -> Option<String>;

    /// Writes all that is needed to go on to a folder, as [`RunFolder::save`](crate::RunFolder::save) makes one.
    ///
    /// # Errors
    /// When the folder cannot be written.
    fn save(&self, folder: &Path) -> Result<(), TrainError>;

    /// Goes on from what [`save`](Self::save) wrote.
    ///
    /// # Errors
    /// When the folder cannot be read or belongs to another model: the first tensor of another shape is named.
    fn resume(&mut self, folder: &Path) -> Result<(), TrainError>;

    /// [`Task::samples`].
    ///
    /// # Errors
    /// When a picture cannot be read.
    fn samples(&self) -> Result<RgbImage, TrainError>;

    /// [`Task::export`].
    ///
    /// # Errors
    /// When the folder cannot be written.
    fn export(&self, folder: &Path) -> Result<(), TrainError>;
}

/// A task with its trainer.
#[derive(Debug)]
pub struct TaskRun<T: Task> {
    task: T,
    trainer: Trainer<T::Model>,
    trainer_config: TrainerConfig,
    output: OutputConfig,
    data: DataConfig,
    /// In JSON, as it was before the task completed it.
    configuration: String,
}

impl<T: Task> TaskRun<T> {
    /// Opens the data and the model.
    ///
    /// # Errors
    /// When a number of the configuration is out of bounds, the data or a checkpoint cannot be read, or the configuration
    /// describes no such model.
    pub fn new(config: RunConfig<T::Config>, device: &Device) -> Result<Self, TrainError> {
        Self::open(config, device, |_, _| {})
    }

    /// The same; `progress` is called with the number of images that have been checked and of all images.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn open(
        config: RunConfig<T::Config>,
        device: &Device,
        progress: impl Fn(usize, usize) + Sync,
    ) -> Result<Self, TrainError> {
        config.check()?;
        let (trainer_config, output, data) = (config.trainer.clone(), config.output.clone(), config.data.clone());
        let configuration = config.to_json();
        trainer_config.device(device).seed(trainer_config.seed);
        let (task, model) = T::open(config, data.open(progress)?, device)?;
        let trainer = Trainer::new(model.materialize(), trainer_config.clone());
        Ok(Self { task, trainer, trainer_config, output, data, configuration })
    }
}

impl<T: Task> Run for TaskRun<T> {
    fn output(&self) -> &OutputConfig {
        &self.output
    }

    fn steps(&self) -> usize {
        self.trainer.steps()
    }

    fn total(&self) -> usize {
        self.trainer_config.steps
    }

    fn images_per_step(&self) -> usize {
        self.data.batch_size * self.trainer.batches().len()
    }

    fn step(&mut self) -> Result<f64, TrainError> {
        let Self { task, trainer, .. } = self;
        let batches = trainer.batches().map(|index| task.batch(index)).collect::<Result<Vec<_>, _>>()?;
        let mut batches = batches.into_iter();
        let loss = trainer.step(|model, generator| {
            let batch = batches.next().expect("there is one for each accumulation");
            task.loss(model, batch, generator)
        })?;
        task.after_step(trainer)?;
        Ok(loss)
    }

    fn report(&self) -> Option<String> {
        self.task.report()
    }

    fn save(&self, folder: &Path) -> Result<(), TrainError> {
        self.trainer.write(folder)?;
        self.task.save(folder)?;
        changes::write(folder, &self.configuration)
    }

    fn resume(&mut self, folder: &Path) -> Result<(), TrainError> {
        self.trainer = Trainer::resume(self.trainer.model().clone(), self.trainer_config.clone(), folder)?;
        self.task.resume(folder)
    }

    fn samples(&self) -> Result<RgbImage, TrainError> {
        self.task.samples(self.trainer.averaged())
    }

    fn export(&self, folder: &Path) -> Result<(), TrainError> {
        self.task.export(self.trainer.averaged(), folder)
    }
}
