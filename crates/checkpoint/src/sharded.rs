use std::collections::BTreeMap;
use std::path::{Component, Path};
use std::sync::Arc;

use burn::tensor::TensorData;

use crate::{CheckpointError, Location, TensorInfo, Weights, open_weights};

/// Weights that are split over several files, as listed in a `*.index.json`.
#[derive(Debug)]
pub struct Sharded {
    file: String,
    shards: BTreeMap<String, Arc<dyn Weights>>,
    shard_of: BTreeMap<String, String>,
}

impl Sharded {
    /// Opens the index and every file that it names.
    ///
    /// # Errors
    /// Returns an error if the index is broken, or it names files outside of its folder, missing files, or tensors that
    /// are not in their file.
    pub fn open(index: impl Into<Location>) -> Result<Self, CheckpointError> {
        let index = index.into();
        let file = index.to_string();
        let shard_of = read_index(&index)?;
        let mut shards = BTreeMap::new();
        for (tensor, shard) in &shard_of {
            if !shards.contains_key(shard) {
                shards.insert(shard.clone(), open_shard(&index, shard)?);
            }
            if !shards[shard].has(tensor) {
                return Err(CheckpointError::tensor(
                    &file,
                    tensor,
                    format!("is not in {shard}, although the index lists it there"),
                ));
            }
        }
        Ok(Self { file, shards, shard_of })
    }

    fn shard(&self, tensor: &str) -> Option<&dyn Weights> {
        Some(self.shards[self.shard_of.get(tensor)?].as_ref())
    }
}

fn read_index(index: &Location) -> Result<BTreeMap<String, String>, CheckpointError> {
    let json = index.read_json()?;
    serde_json::from_value(json["weight_map"].clone())
        .map_err(|error| index.wrong(format!("`weight_map` must give each tensor a file: {error}")))
}

/// Opens a shard beside its index. A path to another folder is refused.
fn open_shard(index: &Location, shard: &str) -> Result<Arc<dyn Weights>, CheckpointError> {
    let mut components = Path::new(shard).components();
    let (Some(Component::Normal(_)), None) = (components.next(), components.next()) else {
        return Err(index.wrong(format!("names the file `{shard}`, which is outside of the index's folder")));
    };
    let path = index.with_file_name(shard);
    if path.extension() == "json" {
        return Err(index.wrong(format!("names `{shard}`, which has no tensors")));
    }
    open_weights(path)
}

impl Weights for Sharded {
    fn file(&self) -> &str {
        &self.file
    }

    fn names(&self) -> Vec<&str> {
        self.shard_of.keys().map(String::as_str).collect()
    }

    fn info(&self, name: &str) -> Option<TensorInfo> {
        self.shard(name)?.info(name)
    }

    fn read(&self, name: &str) -> Result<TensorData, CheckpointError> {
        self.shard(name).ok_or_else(|| CheckpointError::tensor(&self.file, name, "is missing"))?.read(name)
    }

    fn note(&self, key: &str) -> Option<&str> {
        self.shards.values().find_map(|shard| shard.note(key))
    }
}
