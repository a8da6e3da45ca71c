use std::sync::Arc;

use serde_json::Value;

use crate::hash::SingleFile;
use crate::index::Index;
use crate::kind::model_folder;
use crate::{CheckpointError, Component, Defaults, Location, Note, TokenizerSource, Weights, ldm, open_weights};

/// A Stable Diffusion 1.x or 2.x checkpoint: three networks, a schedule and a tokenizer. Nothing but names, shapes and
/// configurations is in memory.
#[derive(Debug)]
pub struct Checkpoint {
    /// CLIP's text tower.
    pub text_encoder: Component,
    /// The network that removes noise.
    pub unet: Component,
    /// The autoencoder: `AutoencoderKL` or `AutoencoderTiny`.
    pub vae: Component,
    /// What diffusers calls `scheduler_config.json`, with the class that `model_index.json` names; for single files what the
    /// published folder of the model has.
    pub scheduler_config: Value,
    /// The vocabulary and its special tokens.
    pub tokenizer: TokenizerSource,
    /// The settings that the model wants where a request has none.
    pub defaults: Defaults,
    /// What its user should know.
    pub notes: Vec<Note>,
    /// Tensors of a single file that nothing uses: averaged weights of the training, and names nobody knows.
    pub unused: Vec<String>,
    pub(crate) file: Option<SingleFile>,
}

impl Checkpoint {
    /// Opens a diffusers folder, or one file in the layout of the original latent-diffusion code.
    ///
    /// A single file does not always say what its UNet predicts. Here Stable Diffusion 1 predicts epsilon, and 2 predicts v unless it is an
    /// inpainting model or the published base model (`global_step` 875000); a tensor `v_pred` or the metadata `modelspec.prediction_type`
    /// override that. Where it is wrong, set `prediction_type` in [`scheduler_config`](Self::scheduler_config).
    ///
    /// # Errors
    /// When files are missing or broken, or the checkpoint is of another kind.
    pub fn open(location: impl Into<Location>) -> Result<Self, CheckpointError> {
        let location = location.into();
        if location.is_dir() {
            return open_folder(&model_folder(location)?);
        }
        let checkpoint = Self::from_weights(open_weights(location.clone())?)?;
        Ok(Self { file: Some(SingleFile::new(location)), ..checkpoint })
    }

    /// The same for a single file that is opened already, or that is no file.
    ///
    /// # Errors
    /// When tensors are missing, or the checkpoint is of another kind.
    pub fn from_weights(weights: Arc<dyn Weights>) -> Result<Self, CheckpointError> {
        ldm::open(weights)
    }

    /// The first ten hexadecimal digits of a single file's SHA-256, by which people name models; `None` for a folder. Reads the
    /// whole file, when it is called for the first time since the file changed.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn short_hash(&self) -> Result<Option<String>, CheckpointError> {
        self.file().map(SingleFile::short_hash).transpose()
    }

    /// The single file that this checkpoint is; `None` for a folder.
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

/// The scheduler's file, whose class is what the index says.
fn open_scheduler(folder: &Location, index: &Index) -> Result<Value, CheckpointError> {
    let mut config = folder.join("scheduler").join("scheduler_config.json").read_json()?;
    if let Some(class) = index.named_class("scheduler") {
        config["_class_name"] = class.into();
    }
    Ok(config)
}
