use serde_json::Value;

use crate::component::weight_name;
use crate::kind::model_folder;
use crate::{CheckpointError, Component, Location, TokenizerSource};

/// A CLIP model with both towers, from a folder that transformers' `CLIPModel.save_pretrained` wrote.
#[derive(Debug)]
pub struct ClipCheckpoint {
    /// Both towers and their projections. The names keep their prefix here: `text_model.` or `vision_model.`.
    pub model: Component,
    /// The vocabulary and its special tokens.
    pub tokenizer: TokenizerSource,
    /// `preprocessor_config.json`, the settings for preprocessing images.
    pub preprocessor_config: Option<Value>,
}

impl ClipCheckpoint {
    /// Opens the folder: `config.json` and the weights (`model.safetensors`, `pytorch_model.bin`). The files of the
    /// tokenizer and of the image processor are optional.
    ///
    /// # Errors
    /// Returns an error if a file is missing or broken, or the folder contains only a text tower.
    pub fn open(folder: impl Into<Location>) -> Result<Self, CheckpointError> {
        let folder = model_folder(folder.into())?;
        let model = Component::open_as(&folder, weight_name)?;
        let config = folder.join("config.json");
        let towers = ["text_config", "vision_config"];
        if let Some(absent) = towers.iter().find(|tower| !model.config[**tower].is_object()) {
            let problem = format!("has no `{absent}`; the configuration of a CLIP with both towers is expected");
            return Err(config.wrong(problem));
        }
        let preprocessor = folder.join("preprocessor_config.json");
        Ok(Self {
            tokenizer: TokenizerSource::open(folder.clone(), &model.config["text_config"])?,
            preprocessor_config: preprocessor.is_file().then(|| preprocessor.read_json()).transpose()?,
            model,
        })
    }
}
