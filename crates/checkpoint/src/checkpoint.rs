use std::io;
use std::sync::Arc;

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::{CheckpointError, Component, Location, TokenizerSource, Weights, ldm, open_weights};

/// A Stable Diffusion 1.x or 2.x checkpoint: three networks, a schedule and a tokenizer. Nothing but names, shapes and
/// configurations is in memory.
#[derive(Debug)]
pub struct Checkpoint {
    /// CLIP's text tower.
    pub text_encoder: Component,
    /// The network that removes noise.
    pub unet: Component,
    /// The autoencoder: `AutoencoderKL`, or `AutoencoderTiny` as `_class_name` of its configuration says.
    pub vae: Component,
    /// What diffusers calls `scheduler_config.json`; for single files what the published folder of the model has.
    pub scheduler_config: Value,
    /// The vocabulary and its special tokens.
    pub tokenizer: TokenizerSource,
    /// Tensors of a single file that nothing uses: averaged weights of the training, and names nobody knows.
    pub unused: Vec<String>,
    pub(crate) file: Option<Location>,
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
            return open_folder(&location);
        }
        let checkpoint = Self::from_weights(open_weights(location.clone())?.into())?;
        Ok(Self { file: Some(location), ..checkpoint })
    }

    /// The same for a single file that is opened already, or that is no file.
    ///
    /// # Errors
    /// When tensors are missing, or the checkpoint is of another kind.
    pub fn from_weights(weights: Arc<dyn Weights>) -> Result<Self, CheckpointError> {
        ldm::open(weights)
    }

    /// The first ten hexadecimal digits of a single file's SHA-256, by which people name models. Reads the whole file; `None`
    /// for a folder.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn short_hash(&self) -> Result<Option<String>, CheckpointError> {
        let Some(location) = &self.file else { return Ok(None) };
        let mut hash = Sha256::new();
        let mut file = location.open()?;
        io::copy(&mut file, &mut HashWriter(&mut hash)).map_err(CheckpointError::io(location.path()))?;
        Ok(Some(hash.finalize().iter().take(5).map(|byte| format!("{byte:02x}")).collect()))
    }
}

struct HashWriter<'a>(&'a mut Sha256);

impl io::Write for HashWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The pipelines whose networks and loop are those of Stable Diffusion 1 and 2.
const PIPELINES: [&str; 4] = [
    "StableDiffusionPipeline",
    "StableDiffusionImg2ImgPipeline",
    "StableDiffusionInpaintPipeline",
    "StableDiffusionInpaintPipelineLegacy",
];

fn open_folder(folder: &Location) -> Result<Checkpoint, CheckpointError> {
    let index = folder.join("model_index.json");
    if !index.is_file() {
        return Err(CheckpointError::missing(
            folder.path(),
            "has no model_index.json; a diffusers folder or a single file is expected",
        ));
    }
    let json = index.read_json()?;
    let class = json["_class_name"]
        .as_str()
        .ok_or_else(|| index.wrong("`_class_name` should name a pipeline, `StableDiffusionPipeline`"))?;
    if !PIPELINES.contains(&class) {
        return Err(CheckpointError::Unsupported { file: index.to_string(), found: format!("a {class}") });
    }
    let text_encoder = Component::open(folder.join("text_encoder"))?;
    Ok(Checkpoint {
        tokenizer: TokenizerSource::open(folder.join("tokenizer"), &text_encoder.config)?,
        text_encoder,
        unet: Component::open(folder.join("unet"))?,
        vae: Component::open(folder.join("vae"))?,
        scheduler_config: folder.join("scheduler").join("scheduler_config.json").read_json()?,
        unused: Vec::new(),
        file: None,
    })
}
