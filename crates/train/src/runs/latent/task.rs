//! The task itself: latents of images and tokens of captions, the denoising loss, and images of prompts.

use std::path::Path;

use burn::tensor::{DType, Tensor};
use image::RgbImage;
use pyrograph::{Request, StableDiffusion};
use pyrograph_checkpoint::save;
use pyrograph_scheduler::{Diffusion, Generator};
use pyrograph_unet::SampleSize;
use serde_json::{Value, json};

use super::encoding::latents_of;
use super::latents::{LatentBatch, Latents};
use super::networks::{Autoencoder, Conditioned, Configs, Networks};
use super::recipe::{LatentTaskConfig, SamplesConfig};
use crate::bounds::{multiple, unless};
use crate::image_grid::tile;
use crate::runs::captions::{CaptionTokenizer, hidden_states};
use crate::runs::diffusers::{VERSION, write_json, write_model};
use crate::runs::{Setup, Task};
use crate::{TrainError, denoising_loss};

/// Latent diffusion (Rombach et al., <https://arxiv.org/abs/2112.10752>).
#[derive(Debug)]
pub struct LatentTask {
    config: LatentTaskConfig,
    setup: Setup,
    configs: Configs,
    autoencoder: Autoencoder,
    latents: Latents,
    diffusion: Diffusion,
    tokenizer: CaptionTokenizer,
}

/// Images in a row of a grid.
const COLUMNS: usize = 8;

impl Task for LatentTask {
    type Model = Conditioned;
    /// Captions as tokens, and the distributions of the latents.
    type Batch = (Vec<Vec<u32>>, LatentBatch);
    type Config = LatentTaskConfig;

    /// Encodes all images unless an earlier run has.
    fn open(config: LatentTaskConfig, setup: Setup) -> Result<(Self, Conditioned), TrainError> {
        let expected = "false (latents are computed once; crop the images beforehand)";
        unless(!setup.data.random_crop, "data.random_crop", true, expected)?;
        let Networks { model, configs, tokenizer } = Networks::open(config.clone(), &setup)?;
        let schedule = configs.scheduler.config.clone().with_pipeline_defaults();
        let diffusion = Diffusion::new(&schedule).map_err(TrainError::table("scheduler"))?;
        let autoencoder = Autoencoder::open(&config.start, &setup.device)?;
        multiple("data.size", setup.data.size as usize, autoencoder.downsampling)?;
        let latents = latents_of(&setup.dataset, &autoencoder, &setup.output.folder, setup.device.tensors())?;
        let (channels, of_latents) = (configs.unet.config.in_channels, latents.shape[0]);
        let expected = format!("{of_latents}, the channels of the latents,");
        unless(channels == of_latents, "unet.in_channels", channels, expected)?;
        Ok((Self { config, setup, configs, autoencoder, latents, diffusion, tokenizer }, model))
    }

    fn batch(&self, index: usize) -> Result<Self::Batch, TrainError> {
        let Setup { dataset, data, trainer, .. } = &self.setup;
        let images = dataset.numbers(index, data.batch_size, trainer.seed);
        let mut generator = self.setup.generator(index);
        let draws = generator.rand(data.batch_size).into_iter().map(f64::from);
        let shown = |(&image, draw): (&usize, f64)| {
            if draw < self.config.denoising.caption_dropout { "" } else { dataset.caption(image) }
        };
        let captions: Vec<&str> = images.iter().zip(draws).map(shown).collect();
        let captions = self.tokenizer.encode_some(&captions, data.caption_tag_dropout, &mut generator)?;
        let mirrored = generator.rand(data.batch_size).into_iter().map(|draw| data.mirror && draw < 0.5);
        let variants = images.into_iter().zip(mirrored);
        let variants = variants.map(|(image, mirrored)| image + usize::from(mirrored) * dataset.len());
        Ok((captions, self.latents.read(&variants.collect::<Vec<_>>())?))
    }

    fn loss(&mut self, model: &Conditioned, (captions, latents): Self::Batch, generator: &mut Generator) -> Tensor<1> {
        let (settings, device) = (&self.config.denoising, model.unet.conv_in.weight.device());
        let text = hidden_states(&model.text_encoder, &captions); // [batch, tokens, width]
        let original = latents.draw(generator, &device); // [batch, channels, height, width]
        let timesteps = settings.timesteps.draw(captions.len(), self.diffusion.steps(), generator);
        let noise = generator.randn_tensor(original.dims(), &device);
        let predict = |noisy, times: &[f64]| model.unet.forward(noisy, times, text);
        denoising_loss(&self.diffusion, settings.weighting(), predict, original, noise, &timesteps).mean()
    }

    /// An image of each prompt, made by the pipeline from the model as it is exported.
    fn samples(&self, model: &Conditioned) -> Result<RgbImage, TrainError> {
        let SamplesConfig { prompts, steps, guidance_scale } = &self.config.samples;
        let folder = tempfile::tempdir().map_err(TrainError::checkpoint(Path::new("samples")))?;
        self.export(model, folder.path())?;
        let failed = TrainError::checkpoint(folder.path());
        let pipeline = StableDiffusion::from_path(folder.path(), &self.setup.device).map_err(&failed)?;
        let captions = self.setup.dataset.captions().take(COLUMNS).map(str::to_owned).collect();
        let prompts: Vec<String> = if prompts.is_empty() { captions } else { prompts.clone() };
        let image = |(index, prompt): (usize, &String)| {
            let request = Request::text(prompt).with_guidance_scale(*guidance_scale);
            let request = request.with_steps(*steps).with_seed(index as u64);
            Ok(pipeline.generate(&request).map_err(&failed)?[0].image.clone())
        };
        let images = prompts.iter().enumerate().map(image).collect::<Result<Vec<_>, TrainError>>()?;
        Ok(tile(&images, COLUMNS))
    }

    /// A `StableDiffusionPipeline`.
    fn export(&self, model: &Conditioned, folder: &Path) -> Result<(), TrainError> {
        let Configs { mut unet, text_encoder, mut scheduler } = self.configs.clone();
        unet.config.sample_size = Some(SampleSize::Square(self.latents.shape[1]));
        scheduler.config.class_name.get_or_insert_with(|| "DPMSolverMultistepScheduler".to_owned());
        let index = model_index(scheduler.config.class_name.as_deref());
        write_json(&folder.join("model_index.json"), &index)?;
        write_json(&folder.join("scheduler/scheduler_config.json"), &scheduler.to_json())?;
        write_model(&folder.join("unet"), "UNet2DConditionModel", unet.to_json(), &model.unet)?;
        let Autoencoder { component, model: autoencoder, .. } = &self.autoencoder;
        write_model(&folder.join("vae"), "AutoencoderKL", component.config.clone(), autoencoder)?;
        let tower = folder.join("text_encoder");
        write_json(&tower.join("config.json"), &text_encoder.to_json())?;
        save(&model.text_encoder, &tower.join("model.safetensors"), "text_model.", DType::F16, &[])?;
        self.tokenizer.write(&folder.join("tokenizer"))
    }
}

fn model_index(scheduler: Option<&str>) -> Value {
    json!({
        "_class_name": "StableDiffusionPipeline",
        "_diffusers_version": VERSION,
        "feature_extractor": [null, null],
        "image_encoder": [null, null],
        "requires_safety_checker": false,
        "safety_checker": [null, null],
        "scheduler": ["diffusers", scheduler],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    })
}
