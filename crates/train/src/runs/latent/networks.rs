//! The networks of a latent diffusion model as a run begins with them.

use std::path::Path;

use burn::module::Module;
use burn::tensor::{DType, Device as TensorDevice};
use pyrograph::Device;
use pyrograph_autoencoder::{AutoencoderKl, AutoencoderKlConfig};
use pyrograph_checkpoint::{Checkpoint, Component, TokenizerSource, load};
use pyrograph_clip::{ClipTextConfig, ClipTextModel};
use pyrograph_scheduler::SchedulerConfig;
use pyrograph_unet::{UNet2dConditionConfig, UNet2dConditionModel};
use serde_json::json;

use super::recipe::{LatentStartConfig, LatentTaskConfig};
use crate::bounds::{required, unless, without_effect};
use crate::runs::captions::CaptionTokenizer;
use crate::runs::{ConfigFile, Setup};
use crate::{Dataset, TrainError};

/// UNet and text tower, which are trained together.
#[derive(Module, Debug)]
pub struct Conditioned {
    pub(crate) unet: UNet2dConditionModel,
    pub(crate) text_encoder: ClipTextModel,
}

/// The configurations of what is exported beside the autoencoder.
#[derive(Clone, Debug)]
pub(crate) struct Configs {
    pub(crate) unet: ConfigFile<UNet2dConditionConfig>,
    pub(crate) text_encoder: ConfigFile<ClipTextConfig>,
    pub(crate) scheduler: ConfigFile<SchedulerConfig>,
}

/// The trained networks as they begin, and the tokenizer of the captions.
pub(crate) struct Networks {
    pub(crate) model: Conditioned,
    pub(crate) configs: Configs,
    pub(crate) tokenizer: CaptionTokenizer,
}

/// A text tower and its tokenizer in files.
type Tower = (Component, TokenizerSource);

const NEEDED: &str = "a table of this name, or start.checkpoint,";

impl Networks {
    /// Loads what the recipe names, and makes the rest with random weights.
    pub(crate) fn open(config: LatentTaskConfig, setup: &Setup) -> Result<Self, TrainError> {
        let LatentTaskConfig { start, unet, text_encoder, scheduler, .. } = config;
        if start.checkpoint.is_some() {
            without_effect("unet", unet.is_some(), "start.checkpoint")?;
            without_effect("scheduler", scheduler.is_some(), "start.checkpoint")?;
        }
        if let Some(source) = start.source_of_text_encoder() {
            without_effect("text_encoder", text_encoder.is_some(), source)?;
            without_effect("start.vocabulary_of_captions", start.vocabulary_of_captions, source)?;
        }
        let checkpoint = start.checkpoint.as_deref().map(Checkpoint::open).transpose();
        let checkpoint = checkpoint.map_err(TrainError::table("start"))?;
        let (unet, scheduler) = match &checkpoint {
            Some(Checkpoint { unet, scheduler_config, .. }) => (
                ConfigFile::read(unet.config.clone()).map_err(TrainError::table("unet"))?,
                ConfigFile::read(scheduler_config.clone()).map_err(TrainError::table("scheduler"))?,
            ),
            None => (required("unet", unet, NEEDED)?, required("scheduler", scheduler, NEEDED)?),
        };
        let unet_weights = checkpoint.as_ref().map(|checkpoint| checkpoint.unet.weights.clone());
        let own_tower = checkpoint.map(|checkpoint| (checkpoint.text_encoder, checkpoint.tokenizer));
        let tower = start.text_encoder.as_deref().map(open_tower).transpose()?.or(own_tower);
        let (text_encoder, tokenizer) = match &tower {
            Some((tower, source)) => read_tower(tower, source)?,
            None => {
                new_tower(text_encoder.unwrap_or_default(), start.vocabulary_of_captions.then_some(&setup.dataset))?
            }
        };
        let configs = Configs { unet, text_encoder, scheduler };
        let mut model = configs.init(&setup.autodiff())?;
        if let Some(weights) = unet_weights {
            load(&mut model.unet, weights.as_ref(), DType::F32).map_err(TrainError::table("start"))?;
        }
        if let Some((tower, _)) = &tower {
            load(&mut model.text_encoder, tower.weights.as_ref(), DType::F32).map_err(TrainError::table("start"))?;
        }
        model = model.materialize();
        if start.freeze_text_encoder {
            model.text_encoder = model.text_encoder.no_grad();
        }
        Ok(Self { model, configs, tokenizer })
    }
}

impl Configs {
    /// Both networks, which have to fit each other.
    fn init(&self, device: &TensorDevice) -> Result<Conditioned, TrainError> {
        let (unet, text_encoder) = (&self.unet.config, &self.text_encoder.config);
        let width = text_encoder.hidden_size;
        let fits = unet.cross_attention_dim.fits(unet.block_out_channels.len(), |dim| dim == width);
        let expected = format!("{width}, the hidden_size of the text encoder,");
        unless(fits, "unet.cross_attention_dim", json!(unet.cross_attention_dim), expected)?;
        let unet = unet.init(device).map_err(TrainError::table("unet"))?;
        Ok(Conditioned { unet, text_encoder: text_encoder.init(device) })
    }
}

/// A text tower in a folder of its own, or that of a CLIP, with its tokenizer beside it.
fn open_tower(folder: &Path) -> Result<Tower, TrainError> {
    let tower = Component::open(folder).map_err(TrainError::table("start"))?;
    let source = TokenizerSource::open(folder, &tower.config).map_err(TrainError::table("start"))?;
    Ok((tower, source))
}

fn read_tower(
    tower: &Component,
    source: &TokenizerSource,
) -> Result<(ConfigFile<ClipTextConfig>, CaptionTokenizer), TrainError> {
    let of_clip = &tower.config["text_config"];
    let file = if of_clip.is_object() { of_clip } else { &tower.config };
    let file: ConfigFile<ClipTextConfig> = ConfigFile::read(file.clone()).map_err(TrainError::table("start"))?;
    let tokenizer = CaptionTokenizer::open(source, file.config.max_position_embeddings)?;
    Ok((file, tokenizer))
}

/// The configuration of a tower for all words, or for those of the captions.
fn new_tower(
    mut file: ConfigFile<ClipTextConfig>,
    captions: Option<&Dataset>,
) -> Result<(ConfigFile<ClipTextConfig>, CaptionTokenizer), TrainError> {
    let tokenizer = CaptionTokenizer::new(captions, file.config.max_position_embeddings)?;
    tokenizer.describe(&mut file.config);
    Ok((file.with_keys(tokenizer.more_keys()), tokenizer))
}

/// The autoencoder that makes the latents. It stays as it is.
#[derive(Debug)]
pub(crate) struct Autoencoder {
    pub(crate) component: Component,
    pub(crate) downsampling: usize,
    pub(crate) model: AutoencoderKl,
}

impl Autoencoder {
    pub(crate) fn open(start: &LatentStartConfig, device: &Device) -> Result<Self, TrainError> {
        let component = match (&start.autoencoder, &start.checkpoint) {
            (Some(folder), _) => Component::open(folder.as_path()),
            (None, Some(checkpoint)) => Checkpoint::open(checkpoint.as_path()).map(|checkpoint| checkpoint.vae),
            (None, None) => {
                let expected = "a folder that `train autoencoder` wrote, or start.checkpoint,";
                return required("start.autoencoder", None, expected);
            }
        };
        let component = component.map_err(TrainError::table("start"))?;
        let config: AutoencoderKlConfig =
            component.read_config("autoencoder").map_err(TrainError::table("autoencoder"))?.0;
        let mut model = config.init(device.tensors()).map_err(TrainError::table("autoencoder"))?;
        load(&mut model, component.weights.as_ref(), DType::F32).map_err(TrainError::table("autoencoder"))?;
        Ok(Self { component, downsampling: config.downsampling(), model })
    }
}
