//! Configurations of networks and noise schedules as they stand in files.

use pyrograph_autoencoder::{AutoencoderKlConfig, VqModelConfig};
use pyrograph_checkpoint::{Note, read_config, scheduler_config};
use pyrograph_clip::{ClipConfig, ClipTextConfig};
use pyrograph_scheduler::SchedulerConfig;
use pyrograph_unet::UNet2dConditionConfig;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use crate::Cause;

/// A type for the configuration of a class of diffusers or transformers.
pub trait FileConfig: Serialize + Sized {
    /// Reads `config.json`, or `scheduler_config.json`, as the class does, with a note for each key that it does not
    /// know.
    ///
    /// # Errors
    /// Returns an error if a value is of the wrong type, or asks for something that does not exist.
    fn read(file: &Value) -> Result<(Self, Vec<Note>), Cause>;
}

/// A configuration, and the file that it was read from with the keys for which the type has no field. Those are written back.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ConfigFile<C> {
    /// The configuration.
    pub config: C,
    file: Map<String, Value>,
}

impl<C: FileConfig> ConfigFile<C> {
    /// Reads the configuration of a checkpoint, which may have keys of other programs.
    ///
    /// # Errors
    /// The errors of [`FileConfig::read`].
    pub fn read(file: Value) -> Result<Self, Cause> {
        let (config, _notes) = C::read(&file)?;
        Ok(Self::new(config, file))
    }

    /// Reads a table of a recipe, in which an unknown key is a mistake.
    fn read_recipe(file: Value) -> Result<Self, Cause> {
        let (config, notes) = C::read(&file)?;
        match notes.into_iter().next() {
            Some(note) => Err(Cause::UnknownKey { note }),
            None => Ok(Self::new(config, file)),
        }
    }

    fn new(config: C, file: Value) -> Self {
        let mut file = table(file);
        // The keys that it lists count as absent; written with the values of the fields, they no longer are.
        let defaults = file.remove("_use_default_values");
        for key in defaults.iter().flat_map(Value::as_array).flatten().filter_map(Value::as_str) {
            file.remove(key);
        }
        Self { config, file }
    }

    /// The same with more keys for which the type has no field.
    #[must_use]
    pub fn with_keys(self, keys: Value) -> Self {
        Self { file: table(self.overwritten(keys)), ..self }
    }

    /// The file with all fields of the configuration: defaults too, since the classes that read it may have others.
    pub fn to_json(&self) -> Value {
        self.overwritten(serde_json::to_value(&self.config).expect("a configuration is JSON"))
    }

    /// The file with other values.
    pub(crate) fn overwritten(&self, values: Value) -> Value {
        let mut file = Value::Object(self.file.clone());
        overwrite(&mut file, values);
        file
    }
}

fn table(value: Value) -> Map<String, Value> {
    if let Value::Object(table) = value { table } else { Map::new() }
}

/// Puts the keys of a table into another one, table by table. Null stands for a default and overwrites nothing.
fn overwrite(file: &mut Value, config: Value) {
    let Value::Object(config) = config else {
        *file = config;
        return;
    };
    if !file.is_object() {
        *file = Value::Object(Map::new());
    }
    for (key, value) in config.into_iter().filter(|(_, value)| !value.is_null()) {
        overwrite(&mut file[key], value);
    }
}

impl<'de, C: FileConfig> Deserialize<'de> for ConfigFile<C> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::read_recipe(Value::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

impl<C: FileConfig> Serialize for ConfigFile<C> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_json().serialize(serializer)
    }
}

impl FileConfig for UNet2dConditionConfig {
    fn read(file: &Value) -> Result<(Self, Vec<Note>), Cause> {
        let class = file["_class_name"].as_str().unwrap_or("UNet2DConditionModel");
        Ok(read_config(class, class, file)?)
    }
}

impl FileConfig for AutoencoderKlConfig {
    fn read(file: &Value) -> Result<(Self, Vec<Note>), Cause> {
        Ok(read_config("AutoencoderKL", "AutoencoderKL", file)?)
    }
}

impl FileConfig for VqModelConfig {
    fn read(file: &Value) -> Result<(Self, Vec<Note>), Cause> {
        Ok(read_config("VQModel", "VQModel", file)?)
    }
}

impl FileConfig for ClipConfig {
    fn read(file: &Value) -> Result<(Self, Vec<Note>), Cause> {
        let (config, notes): (Self, _) = read_config("CLIPModel", "CLIPModel", file)?;
        config.validate()?;
        Ok((config, notes))
    }
}

impl FileConfig for ClipTextConfig {
    fn read(file: &Value) -> Result<(Self, Vec<Note>), Cause> {
        let (config, notes): (Self, _) = read_config("CLIPTextModel", "CLIPTextModel", file)?;
        config.validate()?;
        Ok((config, notes))
    }
}

impl FileConfig for SchedulerConfig {
    fn read(file: &Value) -> Result<(Self, Vec<Note>), Cause> {
        let class = file["_class_name"].as_str().unwrap_or_default();
        let (_, notes) = scheduler_config("the scheduler", class, file)?;
        Ok((Self::from_json(&file.to_string())?, notes))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Keys that the type knows have their new values, and all others stay, in tables of tables too.
    #[test]
    fn unknown_keys_are_written_back() {
        let file = json!({
            "projection_dim": 8, "architectures": ["CLIPModel"],
            "text_config": { "hidden_size": 16, "num_attention_heads": 2, "pad_token_id": 1 },
        });
        let mut clip: ConfigFile<ClipConfig> = ConfigFile::read(file).expect("a configuration");
        clip.config.text_config.vocab_size = 600;
        let written = clip.with_keys(json!({ "model_type": "clip", "text_config": { "bos_token_id": 0 } })).to_json();
        let expected = [
            ("/architectures/0", json!("CLIPModel")),
            ("/model_type", json!("clip")),
            ("/projection_dim", json!(8)),
            ("/text_config/hidden_size", json!(16)),
            ("/text_config/bos_token_id", json!(0)),
            ("/text_config/pad_token_id", json!(1)),
            ("/text_config/vocab_size", json!(600)),
            ("/vision_config/image_size", json!(224)), // a default
        ];
        for (key, value) in expected {
            assert_eq!(written.pointer(key), Some(&value), "{key}");
        }
    }

    /// Defaults are written, because other classes have others; null is not written.
    #[test]
    fn what_is_written_is_complete() {
        let file = json!({ "norm_eps": 0.1, "_use_default_values": ["norm_eps"], "force_upcast": true });
        let unet: ConfigFile<UNet2dConditionConfig> = ConfigFile::read(file).expect("a configuration");
        let written = unet.to_json();
        assert_eq!((&written["norm_eps"], &written["force_upcast"]), (&json!(1e-5), &json!(true)));
        assert!(written.get("_use_default_values").is_none() && written.get("sample_size").is_none());
        let again: ConfigFile<UNet2dConditionConfig> = ConfigFile::read(written).expect("a configuration");
        assert_eq!(again.config, unet.config);
        let scheduler: ConfigFile<SchedulerConfig> =
            ConfigFile::read(json!({ "steps_offset": 1 })).expect("a schedule");
        assert_eq!(scheduler.to_json(), json!({ "steps_offset": 1 }));
        let mut clip: ConfigFile<ClipConfig> = ConfigFile::default();
        clip.config.text_config.projection_dim = None;
        assert_eq!(clip.to_json()["text_config"].get("projection_dim"), None);
    }

    #[test]
    fn keys_of_the_wrong_type_are_named() {
        let wrong = |key: &str| json!({ "block_out_channels": [8, 8], "vq_embed_dim": 4, key: "four" });
        for key in ["vq_embed_dim", "num_vq_embeddings", "layers_per_block", "block_out_channels"] {
            let error = ConfigFile::<VqModelConfig>::read(wrong(key)).expect_err("a text is no number").to_string();
            assert!(error.contains(key), "{error}");
        }
        let error = ConfigFile::<UNet2dConditionConfig>::read(json!({ "class_embed_type": "timestep" }));
        assert!(matches!(error, Err(Cause::Weights(_))), "it asks for a network that does not exist");
    }
}
