//! `train latent`: text to latents.

use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::tensor::{DType, Tensor};
use image::RgbImage;
use image::imageops::replace;
use pyrograph::{Device, Request, StableDiffusion};
use pyrograph_autoencoder::{AutoencoderKl, AutoencoderKlConfig};
use pyrograph_checkpoint::{Component, load, save};
use pyrograph_clip::ClipTextModel;
use pyrograph_scheduler::{Diffusion, Generator, SchedulerConfig};
use pyrograph_unet::UNet2dConditionModel;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::captions::{CaptionTokenizer, hidden_states};
use super::diffusers::{write_json, write_model};
use super::latents::{LatentBatch, Latents};
use super::start::Parts;
use super::{DenoisingConfig, RunConfig, Task, multiple};
use crate::folder::replace_folder;
use crate::{Dataset, TrainError, denoising_loss};

/// The tables of a run's file beside those that all have. `unet`, `text_encoder` and `scheduler` have the keys of diffusers'
/// configuration files; with a checkpoint to start from they are not needed.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct LatentTaskConfig {
    /// What is minimised.
    pub denoising: DenoisingConfig,
    /// Where weights come from.
    pub start: LatentStartConfig,
    /// What is shown on the way.
    pub samples: SamplesConfig,
    /// `UNet2DConditionModel`.
    pub unet: Value,
    /// `CLIPTextModel`.
    pub text_encoder: Value,
    /// The noise schedule of training, and the sampler that the result names.
    pub scheduler: Value,
}

/// `[start]`: the weights that a run begins with. What is not named is made anew.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct LatentStartConfig {
    /// A whole checkpoint to be tuned: a diffusers folder or a single file, as `txt2img --model` reads it.
    pub checkpoint: Option<PathBuf>,
    /// A folder with an `AutoencoderKL`, instead of the checkpoint's.
    pub autoencoder: Option<PathBuf>,
    /// A folder with a CLIP, or with its text tower and tokenizer, instead of the checkpoint's.
    pub text_encoder: Option<PathBuf>,
    /// Whether the text tower stays as it is.
    pub freeze_text_encoder: bool,
    /// Whether a new text tower knows the words of the captions alone, and has no table of forty thousand others.
    pub vocabulary_of_captions: bool,
}

/// `[samples]`: the pictures of a grid.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct SamplesConfig {
    /// One picture each; the first eight captions if there are none.
    pub prompts: Vec<String>,
    /// Steps of the scheduler; 20.
    pub steps: usize,
    /// 4.
    pub guidance_scale: f64,
}

impl Default for SamplesConfig {
    fn default() -> Self {
        Self { prompts: Vec::new(), steps: 20, guidance_scale: 4.0 }
    }
}

/// UNet and text tower, which are trained together.
#[derive(Module, Debug)]
pub struct Conditioned {
    pub(crate) unet: UNet2dConditionModel,
    pub(crate) text_encoder: ClipTextModel,
}

/// Latent diffusion.
#[derive(Debug)]
pub struct LatentTask {
    config: RunConfig<LatentTaskConfig>,
    dataset: Dataset,
    latents: Latents,
    diffusion: Diffusion,
    tokenizer: CaptionTokenizer,
    autoencoder: (Value, AutoencoderKl),
    device: Device,
}

/// Pictures in a row of a grid.
const COLUMNS: usize = 8;

/// The autoencoder stays as it is.
fn autoencoder(
    config: &RunConfig<LatentTaskConfig>,
    device: &Device,
) -> Result<(Component, AutoencoderKl), TrainError> {
    let component = super::start::autoencoder(&config.task.start)?;
    let wrong = |problem: String| TrainError::config("autoencoder", problem);
    let (parsed, _): (AutoencoderKlConfig, _) =
        component.read_config("autoencoder").map_err(|error| wrong(error.to_string()))?;
    multiple("data.size", config.data.size as usize, parsed.downsampling())?;
    let mut model = parsed.init(device.tensors()).map_err(|error| wrong(error.to_string()))?;
    load(&mut model, component.weights.as_ref(), DType::F32).map_err(|error| wrong(error.to_string()))?;
    Ok((component, model))
}

impl Task for LatentTask {
    type Model = Conditioned;
    /// Captions as tokens, and the distributions of the latents.
    type Batch = (Vec<Vec<u32>>, LatentBatch);
    type Config = LatentTaskConfig;

    /// Encodes all pictures unless an earlier run has.
    fn open(
        mut config: RunConfig<LatentTaskConfig>,
        dataset: Dataset,
        device: &Device,
    ) -> Result<(Self, Conditioned), TrainError> {
        if config.data.random_crop {
            let problem = "is not possible with latents that are computed once; cut the pictures beforehand";
            return Err(TrainError::config("data.random_crop", problem));
        }
        let Parts { model, tokenizer } = Parts::open(&mut config.task, &dataset, &config.trainer.device(device))?;
        let schedule = SchedulerConfig::from_json(&config.task.scheduler.to_string());
        let diffusion = schedule.and_then(|schedule| Diffusion::new(&schedule.with_pipeline_defaults()));
        let diffusion = diffusion.map_err(|error| TrainError::config("scheduler", error.to_string()))?;
        let (component, autoencoder) = autoencoder(&config, device)?;
        let folder = &config.output.folder;
        let latents = Latents::cached(folder, &dataset, &autoencoder, &component, device.tensors())?;
        let channels = config.task.unet["in_channels"].as_u64().unwrap_or(4) as usize;
        if latents.shape[0] != channels {
            let problem = format!("is {channels}, but latents have {} channels", latents.shape[0]);
            return Err(TrainError::config("unet.in_channels", problem));
        }
        let autoencoder = (component.config, autoencoder);
        Ok((Self { config, dataset, latents, diffusion, tokenizer, autoencoder, device: device.clone() }, model))
    }

    fn batch(&self, index: usize) -> Result<Self::Batch, TrainError> {
        let RunConfig { data, trainer, task, .. } = &self.config;
        let images = self.dataset.numbers(index, data.batch_size, trainer.seed);
        let mut generator = trainer.generator_of_data(index);
        let draws = generator.rand(data.batch_size).into_iter().map(f64::from);
        let shown = |(&image, draw): (&usize, f64)| {
            if draw < task.denoising.caption_dropout { "" } else { self.dataset.caption(image) }
        };
        let captions: Vec<&str> = images.iter().zip(draws).map(shown).collect();
        let captions = self.tokenizer.encode_some(&captions, data.caption_tag_dropout, &mut generator)?;
        let mirrored = generator.rand(data.batch_size).into_iter().map(|draw| data.mirror && draw < 0.5);
        let variants = images.into_iter().zip(mirrored);
        let variants = variants.map(|(image, mirrored)| image + usize::from(mirrored) * self.dataset.len());
        Ok((captions, self.latents.read(&variants.collect::<Vec<_>>())?))
    }

    fn loss(&mut self, model: &Conditioned, (captions, latents): Self::Batch, generator: &mut Generator) -> Tensor<1> {
        let (settings, device) = (&self.config.task.denoising, model.unet.conv_in.weight.device());
        let text = hidden_states(&model.text_encoder, &captions); // [batch, tokens, width]
        let original = latents.draw(generator, &device); // [batch, channels, height, width]
        let timesteps = settings.timesteps.draw(captions.len(), self.diffusion.steps(), generator);
        let noise = generator.randn_tensor(original.dims(), &device);
        let predict = |noisy, times: &[f64]| model.unet.forward(noisy, times, text);
        denoising_loss(&self.diffusion, settings.weighting(), predict, original, noise, &timesteps).mean()
    }

    /// A picture of each prompt, made by the pipeline from the model as it is written.
    fn samples(&self, model: &Conditioned) -> Result<RgbImage, TrainError> {
        let SamplesConfig { prompts, steps, guidance_scale } = &self.config.task.samples;
        let folder = tempfile::tempdir().map_err(|error| TrainError::checkpoint(Path::new("samples"), error))?;
        let written = folder.path().join("model");
        self.export(model, &written)?;
        let failed = |error: pyrograph::Error| TrainError::checkpoint(&written, error);
        let pipeline = StableDiffusion::from_path(&written, &self.device).map_err(failed)?;
        let captions = self.dataset.captions().take(COLUMNS).map(str::to_owned).collect();
        let prompts: Vec<String> = if prompts.is_empty() { captions } else { prompts.clone() };
        let side = self.config.data.size;
        let rows = prompts.len().div_ceil(COLUMNS) as u32;
        let mut grid = RgbImage::new(side * COLUMNS.min(prompts.len()) as u32, side * rows);
        for (index, prompt) in prompts.iter().enumerate() {
            let request = Request::text(prompt).with_guidance_scale(*guidance_scale);
            let pictures = pipeline.generate(&request.with_steps(*steps).with_seed(index as u64)).map_err(failed)?;
            let place = [index % COLUMNS, index / COLUMNS].map(|place| place as i64 * i64::from(side));
            replace(&mut grid, &pictures[0].image, place[0], place[1]);
        }
        Ok(grid)
    }

    fn export(&self, model: &Conditioned, folder: &Path) -> Result<(), TrainError> {
        let mut unet = self.config.task.unet.clone();
        unet["sample_size"] = self.latents.shape[1].into();
        let mut scheduler = self.config.task.scheduler.clone();
        if scheduler["_class_name"].is_null() {
            scheduler["_class_name"] = "DPMSolverMultistepScheduler".into();
        }
        replace_folder(folder, |new| {
            write_json(&new.join("model_index.json"), &model_index(&scheduler))?;
            write_json(&new.join("scheduler/scheduler_config.json"), &scheduler)?;
            write_model(&new.join("unet"), "UNet2DConditionModel", &unet, &model.unet)?;
            write_model(&new.join("vae"), "AutoencoderKL", &self.autoencoder.0, &self.autoencoder.1)?;
            let text_encoder = new.join("text_encoder");
            write_json(&text_encoder.join("config.json"), &self.config.task.text_encoder)?;
            let weights = text_encoder.join("model.safetensors");
            save(&model.text_encoder, &weights, "text_model.", DType::F16, &[])?;
            self.tokenizer.write(&new.join("tokenizer"))
        })
    }
}

fn model_index(scheduler: &Value) -> Value {
    json!({
        "_class_name": "StableDiffusionPipeline",
        "_diffusers_version": super::diffusers::VERSION,
        "feature_extractor": [null, null],
        "image_encoder": [null, null],
        "requires_safety_checker": false,
        "safety_checker": [null, null],
        "scheduler": ["diffusers", scheduler["_class_name"]],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    })
}
