//! What the configurations of the models have in common.

use serde::{Deserialize, Serialize};

/// A model's `config.json` asks for something that is wrong or that the model here does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("config.json: `{key}` {problem}")]
pub struct ConfigError {
    /// The key at fault, as it is spelled in the file.
    pub key: &'static str,
    /// What is wrong with its value and what would be right.
    pub problem: String,
}

impl ConfigError {
    /// Returns an error about `key` unless `holds`.
    pub fn unless(holds: bool, key: &'static str, problem: &str) -> Result<(), Self> {
        if holds { Ok(()) } else { Err(Self { key, problem: problem.to_owned() }) }
    }
}

/// One value for every block of a model, or a list with one value per block, as diffusers' configurations allow.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(untagged)]
pub enum PerBlock<T> {
    /// The same value for all blocks.
    All(T),
    /// One value per block, the highest resolution first.
    Each(Vec<T>),
}

impl<T: Copy> PerBlock<T> {
    /// The value of block `index`.
    ///
    /// # Panics
    /// If there is a list and it is too short; [`PerBlock::fits`] tells beforehand.
    pub fn get(&self, index: usize) -> T {
        match self {
            Self::All(value) => *value,
            Self::Each(values) => values[index],
        }
    }

    /// Whether there is a value for each of `blocks` blocks and all of them are `valid`.
    pub fn fits(&self, blocks: usize, valid: impl Fn(T) -> bool) -> bool {
        match self {
            Self::All(value) => valid(*value),
            Self::Each(values) => values.len() == blocks && values.iter().all(|&value| valid(value)),
        }
    }
}
