//! Types that the configurations of the models share.

use serde::{Deserialize, Serialize};

/// A key of a model's `config.json` has a value that is wrong or not supported.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("config.json: `{key}` {problem}")]
pub struct ConfigError {
    /// The key, as it is spelled in the file.
    pub key: &'static str,
    /// The problem with its value, and the correct values.
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
    /// If the list is too short; check it with [`PerBlock::fits`] first.
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
