//! Where the weights of a latent diffusion model come from.

use std::path::Path;

use burn::module::Module;
use burn::tensor::{DType, Device};
use pyrograph_checkpoint::{Checkpoint, Component, TokenizerSource, load, read_config};
use pyrograph_clip::ClipTextConfig;
use pyrograph_unet::UNet2dConditionConfig;
use serde_json::Value;

use super::captions::CaptionTokenizer;
use super::latent::{Conditioned, LatentStartConfig, LatentTaskConfig};
use crate::{Dataset, TrainError};

/// The trained networks as they begin, and the words that they know.
pub(crate) struct Parts {
    pub(crate) model: Conditioned,
    pub(crate) tokenizer: CaptionTokenizer,
}

impl Parts {
    /// Loads what the configuration names and makes the rest; its tables are then those of the networks.
    pub(crate) fn open(config: &mut LatentTaskConfig, dataset: &Dataset, device: &Device) -> Result<Self, TrainError> {
        let start = config.start.clone();
        let (unet_weights, own_tower) = match &start.checkpoint {
            Some(path) => {
                let checkpoint = Checkpoint::open(path).map_err(wrong)?;
                (config.unet, config.scheduler) = (checkpoint.unet.config, checkpoint.scheduler_config);
                (Some(checkpoint.unet.weights), Some((checkpoint.text_encoder, checkpoint.tokenizer)))
            }
            None => (None, None),
        };
        let tower = match &start.text_encoder {
            Some(folder) => Some(open_tower(folder)?),
            None => own_tower,
        };
        let tokenizer = tokenizer(config, tower.as_ref(), dataset)?;
        let mut model = init(config, device)?;
        if let Some(weights) = unet_weights {
            load(&mut model.unet, weights.as_ref(), DType::F32).map_err(wrong)?;
        }
        if let Some((tower, _)) = &tower {
            load(&mut model.text_encoder, tower.weights.as_ref(), DType::F32).map_err(wrong)?;
        }
        model = model.materialize();
        if start.freeze_text_encoder {
            model.text_encoder = model.text_encoder.no_grad();
        }
        Ok(Self { model, tokenizer })
    }
}

/// Both networks in the sizes of the configuration, which have to fit each other.
fn init(config: &LatentTaskConfig, device: &Device) -> Result<Conditioned, TrainError> {
    let text_config = ClipTextConfig::from_json(&config.text_encoder.to_string()).map_err(wrong)?;
    let (unet_config, _): (UNet2dConditionConfig, _) = read_config("config.json", "UNet2DConditionModel", &config.unet)
        .map_err(|error| TrainError::config("unet", error.to_string()))?;
    let width = text_config.hidden_size;
    if !unet_config.cross_attention_dim.fits(unet_config.block_out_channels.len(), |dim| dim == width) {
        let problem = format!("must be {width}, the hidden_size of the text encoder");
        return Err(TrainError::config("unet.cross_attention_dim", problem));
    }
    let unet = unet_config.init(device).map_err(|error| TrainError::config("unet", error.to_string()))?;
    Ok(Conditioned { unet, text_encoder: text_config.init(device) })
}

/// The tokenizer of a tower, whose table then is the configuration's, or one for a tower that is made anew.
fn tokenizer(
    config: &mut LatentTaskConfig,
    tower: Option<&(Component, TokenizerSource)>,
    dataset: &Dataset,
) -> Result<CaptionTokenizer, TrainError> {
    if let Some((tower, source)) = tower {
        let table = &tower.config["text_config"];
        config.text_encoder = if table.is_object() { table.clone() } else { tower.config.clone() };
        return CaptionTokenizer::open(source, positions(&config.text_encoder));
    }
    let words = config.start.vocabulary_of_captions.then_some(dataset);
    let tokenizer = CaptionTokenizer::new(words, positions(&config.text_encoder))?;
    tokenizer.describe(&mut config.text_encoder);
    Ok(tokenizer)
}

/// A text tower in a folder of its own, or that of a CLIP, with its tokenizer beside it.
fn open_tower(folder: &Path) -> Result<(Component, TokenizerSource), TrainError> {
    let tower = Component::open(folder).map_err(wrong)?;
    let source = TokenizerSource::open(folder, &tower.config).map_err(wrong)?;
    Ok((tower, source))
}

fn positions(text_encoder: &Value) -> usize {
    text_encoder["max_position_embeddings"].as_u64().unwrap_or(77) as usize
}

/// The autoencoder that makes the latents.
pub(crate) fn autoencoder(start: &LatentStartConfig) -> Result<Component, TrainError> {
    match (&start.autoencoder, &start.checkpoint) {
        (Some(folder), _) => Component::open(folder).map_err(wrong),
        (None, Some(checkpoint)) => Ok(Checkpoint::open(checkpoint).map_err(wrong)?.vae),
        (None, None) => Err(TrainError::config(
            "start",
            "needs `autoencoder`, a folder that `train autoencoder` wrote, or `checkpoint`",
        )),
    }
}

fn wrong(error: impl ToString) -> TrainError {
    TrainError::config("start", error.to_string())
}
