//! The tables of a latent diffusion model's recipe.

use std::path::PathBuf;

use pyrograph_clip::ClipTextConfig;
use pyrograph_scheduler::SchedulerConfig;
use pyrograph_unet::UNet2dConditionConfig;
use serde::{Deserialize, Serialize};

use crate::bounds::within;
use crate::runs::{ConfigFile, DenoisingConfig};
use crate::{Bounds, TrainError};

/// The tables of a latent diffusion model's recipe. With a checkpoint to start from, those of the networks and of the noise
/// schedule are not needed.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct LatentTaskConfig {
    /// The objective.
    pub denoising: DenoisingConfig,
    /// Where the weights come from.
    pub start: LatentStartConfig,
    /// Images that are shown on the way.
    pub samples: SamplesConfig,
    /// `config.json` of a `UNet2DConditionModel`.
    pub unet: Option<ConfigFile<UNet2dConditionConfig>>,
    /// `config.json` of a `CLIPTextModel`, if `start` names no text encoder; by default with the sizes of transformers.
    pub text_encoder: Option<ConfigFile<ClipTextConfig>>,
    /// `scheduler_config.json`: the noise schedule of training, and the sampler that the exported model names.
    pub scheduler: Option<ConfigFile<SchedulerConfig>>,
}

/// `[start]`: the weights that a run begins with. Networks that it does not name begin with random weights.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct LatentStartConfig {
    /// A whole checkpoint to be tuned: a diffusers folder or a single file, as `txt2img --model` reads it.
    pub checkpoint: Option<PathBuf>,
    /// A folder with an `AutoencoderKL`, instead of the checkpoint's.
    pub autoencoder: Option<PathBuf>,
    /// A folder with a CLIP, or with its text tower and tokenizer, instead of the checkpoint's.
    pub text_encoder: Option<PathBuf>,
    /// Whether the text tower stays as it is; false.
    pub freeze_text_encoder: bool,
    /// Whether a new text tower knows the words of the captions alone, and has no table of forty thousand others; false.
    pub vocabulary_of_captions: bool,
}

impl LatentStartConfig {
    /// The key that says where the text tower comes from; `None` for a new one.
    pub(crate) fn source_of_text_encoder(&self) -> Option<&'static str> {
        let of_its_own = self.text_encoder.as_ref().map(|_| "start.text_encoder");
        of_its_own.or(self.checkpoint.as_ref().map(|_| "start.checkpoint"))
    }
}

/// `[samples]`: the images of a grid.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct SamplesConfig {
    /// One image each; the first eight captions if there are none.
    pub prompts: Vec<String>,
    /// Denoising steps; 20.
    pub steps: usize,
    /// Weight of the prompt; 4.
    pub guidance_scale: f64,
}

impl Default for SamplesConfig {
    fn default() -> Self {
        Self { prompts: Vec::new(), steps: 20, guidance_scale: 4.0 }
    }
}

impl Bounds for LatentTaskConfig {
    fn check(&self) -> Result<(), TrainError> {
        self.denoising.check()?;
        self.samples.check()
    }
}

impl Bounds for SamplesConfig {
    fn check(&self) -> Result<(), TrainError> {
        within("samples.steps", self.steps, 1..=10_000, "1 to 10000")?;
        within("samples.guidance_scale", self.guidance_scale, f64::MIN..=f64::MAX, "a finite number")
    }
}
