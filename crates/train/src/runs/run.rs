//! A run of any task.

use std::path::Path;

use burn::module::Module;
use image::RgbImage;
use pyrograph::Device;

use super::{Recipe, Setup, Task};
use crate::folder::replace_folder;
use crate::{Bounds, TrainError, Trainer};

/// A task, its recipe and its trainer. The caller owns the loop:
///
/// ```text
/// while run.steps() < run.recipe().trainer.steps {
///     let loss = run.step()?;
/// }
/// run.export(folder)?;
/// ```
#[derive(Debug)]
pub struct Run<T: Task> {
    recipe: Recipe<T::Config>,
    task: T,
    trainer: Trainer<T::Model>,
}

impl<T: Task> Run<T> {
    /// Opens the data and the model.
    ///
    /// # Errors
    /// Returns an error if a number of the recipe is out of bounds, the data or a checkpoint cannot be read, or the
    /// recipe describes no such model.
    pub fn new(recipe: Recipe<T::Config>, device: &Device) -> Result<Self, TrainError> {
        Self::open(recipe, device, |_, _| {})
    }

    /// The same; `progress` is called with the number of images that have been checked and of all images.
    ///
    /// # Errors
    /// The errors of [`new`](Self::new).
    pub fn open(
        recipe: Recipe<T::Config>,
        device: &Device,
        progress: impl Fn(usize, usize) + Sync,
    ) -> Result<Self, TrainError> {
        recipe.check()?;
        let Recipe { data, output, trainer, task } = recipe.clone();
        let config = trainer.clone();
        config.device(device).seed(config.seed);
        let setup = Setup { dataset: data.open(progress)?, data, output, trainer, device: device.clone() };
        let (task, model) = T::open(task, setup)?;
        Ok(Self { recipe, task, trainer: Trainer::new(model.materialize(), config) })
    }

    /// The recipe, as it was given.
    pub fn recipe(&self) -> &Recipe<T::Config> {
        &self.recipe
    }

    /// Steps that have been taken.
    pub fn steps(&self) -> usize {
        self.trainer.steps()
    }

    /// Images that a step looks at.
    pub fn images_per_step(&self) -> usize {
        self.recipe.data.batch_size * self.trainer.batches().len()
    }

    /// Takes a step; answers with its loss.
    ///
    /// # Errors
    /// Returns an error if an image cannot be read, or the loss is not finite; the model is then what it was before.
    pub fn step(&mut self) -> Result<f64, TrainError> {
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

    /// [`Task::report`].
    pub fn report(&self) -> Option<String> {
        self.task.report()
    }

    /// Writes all that is needed to go on to a folder, as [`RunFolder::save`](crate::RunFolder::save) makes one.
    ///
    /// # Errors
    /// Returns an error if the folder cannot be written.
    pub fn save(&self, folder: &Path) -> Result<(), TrainError> {
        self.trainer.write(folder)?;
        self.task.save(folder)?;
        self.recipe.write(folder)
    }

    /// Goes on from a folder that [`save`](Self::save) wrote.
    ///
    /// # Errors
    /// Returns an error if the folder cannot be read or belongs to another model: the first tensor of another shape is
    /// named.
    pub fn resume(&mut self, folder: &Path) -> Result<(), TrainError> {
        self.trainer = Trainer::resume(self.trainer.model().clone(), self.recipe.trainer.clone(), folder)?;
        self.task.resume(folder)
    }

    /// [`Task::samples`].
    ///
    /// # Errors
    /// Returns an error if an image cannot be read.
    pub fn samples(&self) -> Result<RgbImage, TrainError> {
        self.task.samples(self.trainer.averaged())
    }

    /// Writes the averaged model in the layout of diffusers, in float16, whole or not at all.
    ///
    /// # Errors
    /// Returns an error if the folder cannot be written.
    pub fn export(&self, folder: &Path) -> Result<(), TrainError> {
        replace_folder(folder, |new| self.task.export(self.trainer.averaged(), new))
    }
}
