//! What the TOML files of all runs have in common.

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use crate::{Dataset, TimestepSampler, TrainError, TrainerConfig, Weighting};

/// `[data]`: the pictures.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct DataConfig {
    /// A folder with images and their list, see [`Dataset`].
    pub folder: PathBuf,
    /// Width and height that pictures are cut and scaled to, in pixels.
    pub size: u32,
    /// Pictures of a batch; 16.
    #[serde(default = "sixteen")]
    pub batch_size: usize,
    /// Whether every second picture, by chance, is mirrored; false.
    #[serde(default)]
    pub mirror: bool,
    /// Whether squares are cut out of pictures at places that chance gives, instead of their middle; false.
    #[serde(default)]
    pub random_crop: bool,
    /// The probability that a tag of a caption, a part between commas that is not the first, is left out; 0. Then the model
    /// does without it too.
    #[serde(default)]
    pub caption_tag_dropout: f64,
}

impl DataConfig {
    pub(crate) fn open(&self, progress: impl Fn(usize, usize) + Sync) -> Result<Dataset, TrainError> {
        let dataset = Dataset::open_with(&self.folder, self.size, progress)?;
        let dataset = if self.random_crop { dataset.with_random_crops() } else { dataset };
        Ok(if self.mirror { dataset.with_mirroring() } else { dataset })
    }
}

/// `[output]`: what a run writes, and when.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct OutputConfig {
    /// The folder of the run: `checkpoints`, `losses.csv`, `losses.svg`, `samples`, and in the end `model`.
    pub folder: PathBuf,
    /// Steps between checkpoints; 500.
    #[serde(default = "five_hundred")]
    pub save_every: usize,
    /// Steps between grids of samples; 500.
    #[serde(default = "five_hundred")]
    pub sample_every: usize,
}

/// `[denoising]`: what a diffusion model minimises.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct DenoisingConfig {
    /// The most that the signal-to-noise ratio counts ([`Weighting::MinSnr`]); 5. With 0 all timesteps count the same.
    pub min_snr_gamma: f64,
    /// How timesteps are drawn; `stratified`, or else `uniform`.
    pub timesteps: TimestepSampler,
    /// The share of captions that are left out, so that guidance has something to lead away from; 0.1.
    pub caption_dropout: f64,
}

impl Default for DenoisingConfig {
    fn default() -> Self {
        Self { min_snr_gamma: 5.0, timesteps: TimestepSampler::Stratified, caption_dropout: 0.1 }
    }
}

impl DenoisingConfig {
    pub(crate) fn weighting(&self) -> Weighting {
        if self.min_snr_gamma > 0.0 { Weighting::MinSnr(self.min_snr_gamma) } else { Weighting::Simple }
    }
}

fn sixteen() -> usize {
    16
}

fn five_hundred() -> usize {
    500
}

/// The file of a run: three tables that all have, and those of the task.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunConfig<C> {
    /// The pictures.
    pub data: DataConfig,
    /// What is written.
    pub output: OutputConfig,
    /// How it is optimised.
    pub trainer: TrainerConfig,
    /// What else there is.
    #[serde(flatten)]
    pub task: C,
}

impl<C: DeserializeOwned> RunConfig<C> {
    /// From a file that [`read_table`] has read.
    ///
    /// # Errors
    /// When there is an unknown key, or one is missing; it is named.
    pub fn new(mut table: Table) -> Result<Self, TrainError> {
        let trainer = table.remove("trainer").unwrap_or_else(|| Value::Table(Table::new()));
        Ok(Self {
            data: section("data", table.remove("data"))?,
            output: section("output", table.remove("output"))?,
            trainer: section("trainer", Some(trainer))?,
            task: C::deserialize(table).map_err(|error| TrainError::config("the run's file", one_line(&error)))?,
        })
    }
}

fn section<T: DeserializeOwned>(name: &str, value: Option<Value>) -> Result<T, TrainError> {
    let value = value.ok_or_else(|| TrainError::config("the run's file", format!("has no table [{name}]")))?;
    T::deserialize(value).map_err(|error| TrainError::config(name, one_line(&error)))
}

fn one_line(error: &toml::de::Error) -> String {
    error.to_string().trim().replace('\n', " ")
}

/// Reads a TOML file and changes it by `overrides`, pairs of a dotted key and a value in TOML (or else a text):
/// `("trainer.steps", "500")`.
///
/// # Errors
/// When the file is no TOML, or a key leads through something that is no table.
pub fn read_table(path: &Path, overrides: &[(String, String)]) -> Result<Table, TrainError> {
    let failed = |problem: String| TrainError::config(&path.display().to_string(), problem);
    let text = std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
    let mut table: Table = text.parse().map_err(|error| failed(one_line(&error)))?;
    for (key, value) in overrides {
        insert(&mut table, key, value).map_err(failed)?;
    }
    Ok(table)
}

fn insert(table: &mut Table, key: &str, value: &str) -> Result<(), String> {
    let mut parts = key.split('.');
    let last = parts.next_back().unwrap_or(key);
    let section = parts.try_fold(table, |table, part| {
        let entry = table.entry(part).or_insert_with(|| Value::Table(Table::new()));
        entry.as_table_mut().ok_or_else(|| format!("`{part}` of `{key}` is no section"))
    })?;
    let parsed = format!("value = {value}").parse::<Table>().ok().and_then(|mut table| table.remove("value"));
    section.insert(last.to_owned(), parsed.unwrap_or_else(|| Value::String(value.to_owned())));
    Ok(())
}
