//! What the TOML files of all runs have in common.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use toml::{Table, Value};

use crate::{Dataset, TimestepSampler, TrainError, Weighting};

/// `[data]`: the pictures.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataConfig {
    /// A folder with pictures and `captions.jsonl` or `metadata.jsonl`.
    pub folder: PathBuf,
    /// Width and height that pictures are cut and scaled to, in pixels.
    pub size: u32,
    /// Pictures of a batch; 16.
    #[serde(default = "sixteen")]
    pub batch_size: usize,
    /// Whether every second picture, by chance, is mirrored; false.
    #[serde(default)]
    pub mirror: bool,
    /// The probability that a tag of a caption, a part between commas that is not the first, is left out; 0. Then the model
    /// does without it too.
    #[serde(default)]
    pub caption_tag_dropout: f64,
}

impl DataConfig {
    pub(crate) fn open(&self) -> Result<Dataset, TrainError> {
        if self.batch_size == 0 || self.size == 0 {
            return Err(TrainError::config("data", "`batch_size` and `size` must be positive"));
        }
        let dataset = Dataset::open(&self.folder, self.size)?;
        Ok(if self.mirror { dataset.with_mirroring() } else { dataset })
    }
}

/// `[output]`: what a run writes, and when.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutputConfig {
    /// The folder of the run: `checkpoint`, `losses.csv`, `losses.svg`, `samples`, and in the end `model`.
    pub folder: PathBuf,
    /// Steps between checkpoints; 500.
    #[serde(default = "five_hundred")]
    pub save_every: usize,
    /// Steps between grids of samples; 500.
    #[serde(default = "five_hundred")]
    pub sample_every: usize,
}

/// `[denoising]`: what a diffusion model minimises.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
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

/// Reads a TOML file and changes it by `overrides`, pairs of a dotted key and a value in TOML (or else a text):
/// `("trainer.steps", "500")`.
///
/// # Errors
/// When the file is no TOML, or has or lacks a key; the key is named.
pub fn read_config<T: DeserializeOwned>(path: &Path, overrides: &[(String, String)]) -> Result<T, TrainError> {
    let failed = |problem: String| TrainError::config(&path.display().to_string(), problem);
    let text = std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
    let mut table: Table = text.parse().map_err(|error: toml::de::Error| failed(error.to_string()))?;
    for (key, value) in overrides {
        insert(&mut table, key, value).map_err(failed)?;
    }
    T::deserialize(table).map_err(|error| failed(error.to_string().trim().replace('\n', " ")))
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
