use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::{CheckpointError, Component, TokenizerSource, Weights, files, ldm, open_weights};

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
    pub(crate) file: Option<PathBuf>,
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
    pub fn open(path: &Path) -> Result<Self, CheckpointError> {
        let metadata = path.metadata().map_err(CheckpointError::io(path))?;
        if metadata.is_dir() {
            return open_folder(path);
        }
        let checkpoint = Self::from_weights(open_weights(path)?.into())?;
        Ok(Self { file: Some(path.to_owned()), ..checkpoint })
    }

    /// The same for a single file that is opened already, or that is no file: bytes, or tensors a browser fetches.
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
        let Some(path) = &self.file else { return Ok(None) };
        let mut hash = Sha256::new();
        let mut file = File::open(path).map_err(CheckpointError::io(path))?;
        io::copy(&mut file, &mut HashWriter(&mut hash)).map_err(CheckpointError::io(path))?;
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

fn open_folder(path: &Path) -> Result<Checkpoint, CheckpointError> {
    let index = path.join("model_index.json");
    if !index.is_file() {
        return Err(CheckpointError::missing(
            path,
            "has no model_index.json; a diffusers folder or a single file is expected",
        ));
    }
    let json = files::read_json(&index)?;
    let class = json["_class_name"].as_str().ok_or_else(|| {
        CheckpointError::format(
            &index.display().to_string(),
            "`_class_name` should name a pipeline, `StableDiffusionPipeline`",
        )
    })?;
    if !PIPELINES.contains(&class) {
        return Err(CheckpointError::Unsupported { file: index.display().to_string(), found: format!("a {class}") });
    }
    let text_encoder = Component::open(&path.join("text_encoder"))?;
    Ok(Checkpoint {
        tokenizer: TokenizerSource::open(&path.join("tokenizer"), &text_encoder.config)?,
        text_encoder,
        unet: Component::open(&path.join("unet"))?,
        vae: Component::open(&path.join("vae"))?,
        scheduler_config: files::read_json(&path.join("scheduler").join("scheduler_config.json"))?,
        unused: Vec::new(),
        file: None,
    })
}
