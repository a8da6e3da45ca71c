//! Checkpoints of a trainer.

use std::fs;
use std::io;
use std::path::Path;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::tensor::{DType, Tensor};
use pyrograph_checkpoint::{Output, SafetensorsFile, disk, load, save};
use serde::{Deserialize, Serialize};

use super::{Trainer, TrainerConfig};
use crate::folder::{recover_folder, replace_folder};
use crate::{Cause, Ema, TrainError};

const MODEL: &str = "model.safetensors";
const AVERAGED: &str = "averaged.safetensors";
const OPTIMIZER: &str = "optimizer.bpk";
const STATE: &str = "state.json";

/// The part of a checkpoint that is no tensor.
#[derive(Deserialize, Serialize)]
struct State {
    step: usize,
    /// Numbers of the model's parameters, in its order, by which the optimiser knows them.
    parameters: Vec<u64>,
}

impl<M: Module> Trainer<M> {
    /// Writes weights, averages, optimiser and step to a folder that appears under its name only once it is whole; one that
    /// was there is replaced.
    ///
    /// # Errors
    /// Returns an error if the folder cannot be written; one that was there is as it was.
    pub fn save(&self, folder: &Path) -> Result<(), TrainError> {
        replace_folder(folder, |new| self.write(new))
    }

    /// Writes the same files to a folder that is not there yet or empty, as [`RunFolder::save`](crate::RunFolder::save) makes
    /// one.
    ///
    /// # Errors
    /// Returns an error if the folder cannot be written.
    pub fn write(&self, folder: &Path) -> Result<(), TrainError> {
        disk::create_folder(folder).map_err(TrainError::checkpoint(folder))?;
        let model = self.model.clone().valid();
        save(&model, &folder.join(MODEL), "", DType::F32, &[])?;
        save(self.ema.model(), &folder.join(AVERAGED), "", DType::F32, &[])?;
        #[expect(clippy::disallowed_methods, reason = "as bytes, the state would be in memory twice")]
        let optimizer = |path: &Path| self.optimizer.save(path).map_err(|error| io::Error::other(error.to_string()));
        disk::write_with(&folder.join(OPTIMIZER), optimizer).map_err(TrainError::checkpoint(folder))?;
        let mut parameters = Ids::default();
        model.visit(&mut parameters);
        let state = State { step: self.step, parameters: parameters.0 };
        Ok(Output::save(folder.join(STATE), serde_json::to_string(&state).expect("numbers are JSON"))?)
    }

    /// Goes on from a folder that [`save`](Self::save) wrote, with `model` for the structure and the device. With the same
    /// configuration the steps to come are those of a run that never stopped.
    ///
    /// # Errors
    /// Returns an error if the folder cannot be read or belongs to another model: the first tensor of another shape is
    /// named.
    pub fn resume(model: M, config: TrainerConfig, folder: &Path) -> Result<Self, TrainError> {
        recover_folder(folder).map_err(TrainError::checkpoint(folder))?;
        let state = fs::read_to_string(folder.join(STATE)).map_err(TrainError::checkpoint(folder))?;
        let State { step, parameters } = serde_json::from_str(&state).map_err(TrainError::checkpoint(folder))?;
        let mut trainer = Self::new(model, config);
        let model = read(trainer.model, &folder.join(MODEL))?;
        trainer.model = model.map(&mut WithIds(parameters.into_iter()));
        let averaged = read(trainer.ema.model().clone(), &folder.join(AVERAGED))?;
        trainer.ema = Ema::new(averaged, trainer.config.ema_decay, step);
        let optimizer = trainer.optimizer.load(folder.join(OPTIMIZER));
        trainer.optimizer = optimizer.map_err(TrainError::checkpoint(folder))?;
        trainer.step = step;
        Ok(trainer)
    }
}

/// The module with the weights of a file, which has no others.
fn read<M: Module>(mut module: M, path: &Path) -> Result<M, TrainError> {
    let report = load(&mut module, &SafetensorsFile::open(path)?, DType::F32)?;
    match report.unused.first() {
        None => Ok(module),
        Some(tensor) => Err(TrainError::checkpoint(path)(Cause::UnknownTensor { tensor: tensor.clone() })),
    }
}

/// The numbers of a module's parameters.
#[derive(Default)]
struct Ids(Vec<u64>);

impl ModuleVisitor for Ids {
    fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
        self.0.push(parameter.id.val());
    }
}

/// Gives parameters their numbers back.
struct WithIds(std::vec::IntoIter<u64>);

impl ModuleMapper for WithIds {
    fn map_float<const D: usize>(&mut self, mut parameter: Param<Tensor<D>>) -> Param<Tensor<D>> {
        parameter.id = self.0.next().map_or(parameter.id, ParamId::from);
        parameter
    }
}
