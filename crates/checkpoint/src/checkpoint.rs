use std::sync::Arc;

use serde_json::Value;

use crate::hash::SingleFile;
use crate::index::Index;
use crate::kind::model_folder;
use crate::{CheckpointError, Component, Defaults, Location, Note, TokenizerSource, Weights, ldm, open_weights};

/// A Stable Diffusion 1.x or 2.x checkpoint: three networks, a noise schedule and a tokenizer. Only names, shapes and
/// configurations are in memory.
#[derive(Debug)]
pub struct Checkpoint {
    /// CLIP's text tower.
    pub text_encoder: Component,
    /// The network that removes noise.
    pub unet: Component,
    /// The autoencoder: `AutoencoderKL` or `AutoencoderTiny`.
    pub vae: Component,
    /// The contents of `scheduler_config.json`, with the class that `model_index.json` names. For single files, the
    /// contents of that file in the published folder of the model.
    pub scheduler_config: Value,
    /// The vocabulary and its special tokens.
    pub tokenizer: TokenizerSource,
    /// The model's default settings for a request.
    pub defaults: Defaults,
    /// Facts that the user of the checkpoint should know.
    pub notes: Vec<Note>,
    /// Tensors of a single file that are not used: averaged weights of the training, and unknown names.
    pub unused: Vec<String>,
    pub(crate) file: Option<SingleFile>,
}

impl Checkpoint {
    /// Opens a diffusers folder, or one file in the layout of the original latent-diffusion code.
    ///
    /// A single file does not always state what its UNet predicts. By default, Stable Diffusion 1 predicts epsilon.
    /// Stable Diffusion 2 predicts v, unless it is an inpainting model or the published base model (`global_step`
    /// 875000). A tensor `v_pred` or the metadata `modelspec.prediction_type` overrides this. If the result is wrong,
    /// set `prediction_type` in [`scheduler_config`](Self::scheduler_config).
    ///
    /// # Errors
    /// Returns an error if files are missing or broken, or the checkpoint is of another kind.
    pub fn open(location: impl Into<Location>) -> Result<Self, CheckpointError> {
        let location = location.into();
        if location.is_dir() {
            return open_folder(&model_folder(location)?);
        }
        let checkpoint = Self::from_weights(open_weights(location.clone())?)?;
        Ok(Self { file: Some(SingleFile::new(location)), ..checkpoint })
    }

    /// Like [`open`](Self::open), for the weights of a single file that is already open, or that do not come from a
    /// file.
    ///
    /// # Errors
    /// Returns an error if tensors are missing, or the checkpoint is of another kind.
    pub fn from_weights(weights: Arc<dyn Weights>) -> Result<Self, CheckpointError> {
        ldm::open(weights)
    }

    /// The first ten hexadecimal digits of a single file's SHA-256, which identify models in image metadata; `None` for
    /// a folder. The first call after the file changed reads the whole file.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read.
    pub fn short_hash(&self) -> Result<Option<String>, CheckpointError> {
        self.file().map(SingleFile::short_hash).transpose()
    }

    /// The file of a single-file checkpoint; `None` for a folder.
    pub fn file(&self) -> Option<&SingleFile> {
        self.file.as_ref()
    }
}

fn open_folder(folder: &Location) -> Result<Checkpoint, CheckpointError> {
    let index = Index::open(folder)?;
    let (defaults, mut notes) = index.defaults()?;
    notes.extend(index.notes());
    let component = |name: &'static str| -> Result<Component, CheckpointError> {
        let component = Component::open(folder.join(name))?;
        Ok(Component { class: index.class(name, &component.class)?, ..component })
    };
    let text_encoder = component("text_encoder")?;
    index.class("tokenizer", "")?;
    let tokenizer = TokenizerSource::open(folder.join("tokenizer"), &text_encoder.config)?;
    notes.extend(tokenizer.notes()?);
    Ok(Checkpoint {
        tokenizer,
        text_encoder,
        unet: component("unet")?,
        vae: component("vae")?,
        scheduler_config: open_scheduler(folder, &index)?,
        defaults,
        notes,
        unused: Vec::new(),
        file: None,
    })
}

/// Reads `scheduler_config.json`, with the class that the index names.
fn open_scheduler(folder: &Location, index: &Index) -> Result<Value, CheckpointError> {
    let mut config = folder.join("scheduler").join("scheduler_config.json").read_json()?;
    if let Some(class) = index.named_class("scheduler") {
        config["_class_name"] = class.into();
    }
    Ok(config)
}
