//! The recipe of a run: three tables that all recipes have, and those of the task.

use std::path::PathBuf;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use crate::bounds::{positive, share, size, within};
use crate::{Bounds, Dataset, TrainError, TrainerConfig};

/// The description of a run; `C` has the tables that are the task's own.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Recipe<C> {
    /// The images.
    pub data: DataConfig,
    /// Files of the run, and when they are written.
    pub output: OutputConfig,
    /// The settings of the optimiser.
    pub trainer: TrainerConfig,
    /// The tables of the task.
    #[serde(flatten)]
    pub task: C,
}

/// `[data]`: the images.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct DataConfig {
    /// A folder with images and their list, see [`Dataset`].
    pub folder: PathBuf,
    /// Width and height that images are scaled and cropped to, in pixels.
    pub size: u32,
    /// Images of a batch; 16.
    #[serde(default = "sixteen")]
    pub batch_size: usize,
    /// Whether every second image, by chance, is mirrored; false.
    #[serde(default)]
    pub mirror: bool,
    /// Whether images are cropped at random places instead of their middle; false.
    #[serde(default)]
    pub random_crop: bool,
    /// The probability that a tag of a caption, a part between commas that is not the first, is left out; 0. Then the model
    /// does without it too.
    #[serde(default)]
    pub caption_tag_dropout: f64,
}

/// `[output]`: the files of a run, and when they are written.
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

fn sixteen() -> usize {
    16
}

fn five_hundred() -> usize {
    500
}

impl<C: DeserializeOwned> Recipe<C> {
    /// From a file that [`read_table`](crate::read_table) has read. `[trainer]` may be absent.
    ///
    /// # Errors
    /// [`TrainError::NoTable`], or [`TrainError::Table`] when a key is unknown, missing or of the wrong type, or a network's
    /// configuration asks for something that does not exist.
    pub fn new(mut table: Table) -> Result<Self, TrainError> {
        let trainer = table.remove("trainer").unwrap_or_else(|| Value::Table(Table::new()));
        Ok(Self {
            data: section("data", table.remove("data"))?,
            output: section("output", table.remove("output"))?,
            trainer: section("trainer", Some(trainer))?,
            task: C::deserialize(table).map_err(TrainError::table("the run's file"))?,
        })
    }
}

fn section<T: DeserializeOwned>(table: &'static str, value: Option<Value>) -> Result<T, TrainError> {
    let value = value.ok_or(TrainError::NoTable { table })?;
    T::deserialize(value).map_err(TrainError::table(table))
}

impl DataConfig {
    pub(crate) fn open(&self, progress: impl Fn(usize, usize) + Sync) -> Result<Dataset, TrainError> {
        let dataset = Dataset::open_with(&self.folder, self.size, progress)?;
        let dataset = if self.random_crop { dataset.with_random_crops() } else { dataset };
        Ok(if self.mirror { dataset.with_mirroring() } else { dataset })
    }
}

/// Values of a tensor: indices on devices have 32 bits with a sign.
const LARGEST_TENSOR: u64 = i32::MAX as u64;

impl<C: Bounds> Bounds for Recipe<C> {
    fn check(&self) -> Result<(), TrainError> {
        self.data.check()?;
        self.output.check()?;
        self.trainer.check()?;
        self.task.check()
    }
}

impl Bounds for DataConfig {
    fn check(&self) -> Result<(), TrainError> {
        size("data.size", self.size)?;
        let most = (LARGEST_TENSOR / (3 * u64::from(self.size).pow(2))) as usize;
        let expected = format!("1 to {most} for images of {} pixels", self.size);
        within("data.batch_size", self.batch_size, 1..=most, &expected)?;
        share("data.caption_tag_dropout", self.caption_tag_dropout)
    }
}

impl Bounds for OutputConfig {
    fn check(&self) -> Result<(), TrainError> {
        positive("output.save_every", self.save_every)?;
        positive("output.sample_every", self.sample_every)
    }
}
