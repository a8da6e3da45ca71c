//! Models in the layout of diffusers.

use std::path::Path;

use burn::module::Module;
use burn::tensor::DType;
use pyrograph_checkpoint::{Output, disk, save};
use serde_json::Value;

use crate::TrainError;

/// The version of diffusers whose keys and classes are written.
pub(crate) const VERSION: &str = "0.42.1";

/// Writes a model's folder: `config.json` with its class, and the weights in float16.
pub(crate) fn write_model<M: Module>(
    folder: &Path,
    class: &str,
    mut config: Value,
    model: &M,
) -> Result<(), TrainError> {
    config["_class_name"] = class.into();
    config["_diffusers_version"] = VERSION.into();
    write_json(&folder.join("config.json"), &config)?;
    let weights = folder.join("diffusion_pytorch_model.safetensors");
    let pointwise: &[&str] = if config["use_linear_projection"] == true { &[] } else { &["proj_in", "proj_out"] };
    Ok(save(model, &weights, "", DType::F16, pointwise)?)
}

/// Writes a JSON file, making its folder.
pub(crate) fn write_json(path: &Path, value: &Value) -> Result<(), TrainError> {
    let text = serde_json::to_string_pretty(value).expect("a JSON value can be written") + "\n";
    disk::create_folder(&disk::folder_of(path)).map_err(TrainError::checkpoint(path))?;
    Ok(Output::save(path, text)?)
}

/// Without these lists diffusers makes an autoencoder of one block.
pub(crate) fn with_block_types(mut config: Value) -> Value {
    let blocks = config["block_out_channels"].as_array().map_or(1, Vec::len);
    for (key, block) in [("down_block_types", "DownEncoderBlock2D"), ("up_block_types", "UpDecoderBlock2D")] {
        if config[key].is_null() {
            config[key] = vec![block; blocks].into();
        }
    }
    config
}
