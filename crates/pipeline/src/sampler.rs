//! The scheduler of a checkpoint, and the schedulers that a request can choose instead.

use pyrograph_checkpoint::{CheckpointError, Note, scheduler_config};
use pyrograph_scheduler::{Algorithm, PredictionType, Scheduler, SchedulerConfig, SchedulerError, SigmaSchedule};
use serde_json::Value;

use crate::{Error, Request};

const FILE: &str = "scheduler/scheduler_config.json";

/// The contents of `scheduler_config.json`, for any class that a request chooses.
#[derive(Debug)]
pub(crate) struct Sampler {
    config: Value,
    prediction_type: Option<PredictionType>,
}

impl Sampler {
    /// `prediction_type` overrides that of the file.
    ///
    /// A class or a setting that is not implemented is an error only for requests that do not choose another scheduler.
    pub(crate) fn new(config: &Value, prediction_type: Option<PredictionType>) -> Result<(Self, Vec<Note>), Error> {
        let sampler = Self { config: config.clone(), prediction_type };
        let own = sampler.own_algorithm().map(|algorithm| sampler.read(algorithm));
        let notes = match own {
            Ok(Ok((_, notes))) => notes,
            Err(_) | Ok(Err(Error::Checkpoint(CheckpointError::Setting { .. }))) => Vec::new(),
            Ok(Err(error)) => return Err(error),
        };
        Ok((sampler, notes))
    }

    /// The algorithm of the request, else that of the checkpoint.
    pub(crate) fn algorithm(&self, request: &Request) -> Result<Algorithm, Error> {
        let algorithm = request.sampling.scheduler.map_or_else(|| self.own_algorithm(), Ok)?;
        if request.sampling.karras == Some(true) && !algorithm.supports_karras_sigmas() {
            let known = Algorithm::ALL.into_iter().filter(|algorithm| algorithm.supports_karras_sigmas());
            let known: Vec<String> = known.map(|algorithm| algorithm.to_string()).collect();
            let problem = format!("{algorithm} has no Karras sigmas; these have: {}", known.join(", "));
            return Err(Error::request("karras", problem));
        }
        Ok(algorithm)
    }

    /// The spacing of the request's noise levels, if it is not the algorithm's default.
    ///
    /// # Errors
    /// Returns an error if the checkpoint's scheduler has a setting that is not implemented.
    pub(crate) fn schedule(&self, algorithm: Algorithm, request: &Request) -> Result<Option<SigmaSchedule>, Error> {
        let schedule = self.config(algorithm, request)?.sigma_schedule();
        Ok(schedule.filter(|_| algorithm.supports_karras_sigmas()))
    }

    /// The scheduler of a run.
    ///
    /// # Errors
    /// Returns an error if the checkpoint's scheduler has a setting that is not implemented, or does not support this
    /// number of steps.
    pub(crate) fn build(&self, algorithm: Algorithm, request: &Request) -> Result<Scheduler, Error> {
        Ok(algorithm.build(&self.config(algorithm, request)?, request.sampling.steps())?)
    }

    /// The settings of the checkpoint, overridden by those of the request.
    fn config(&self, algorithm: Algorithm, request: &Request) -> Result<SchedulerConfig, Error> {
        let (config, _) = self.read(algorithm)?;
        let schedule = match (request.sampling.karras, config.sigma_schedule()) {
            (Some(true), _) => Some(SigmaSchedule::Karras),
            (Some(false), Some(SigmaSchedule::Karras)) => None,
            (_, schedule) => schedule,
        };
        let prediction_type = request.sampling.prediction_type.or(self.prediction_type).or(config.prediction_type);
        Ok(SchedulerConfig { prediction_type, ..config.with_sigma_schedule(schedule) })
    }

    fn own_algorithm(&self) -> Result<Algorithm, SchedulerError> {
        let text = |key: &str| self.config[key].as_str().map(str::to_owned);
        let (class_name, algorithm_type) = (text("_class_name"), text("algorithm_type"));
        SchedulerConfig { class_name, algorithm_type, ..SchedulerConfig::default() }.algorithm()
    }

    fn read(&self, algorithm: Algorithm) -> Result<(SchedulerConfig, Vec<Note>), Error> {
        let (config, notes) = scheduler_config(FILE, algorithm.class_name(), &self.config)?;
        let config = SchedulerConfig::from_json(&config.to_string())?;
        Ok((config.with_pipeline_defaults(), notes))
    }
}
