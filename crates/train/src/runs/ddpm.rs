//! `train ddpm`: pictures from noise, without text, on pixels.

use std::path::Path;

use burn::tensor::{Device as TensorDevice, Tensor};
use image::RgbImage;
use pyrograph::Device;
use pyrograph_checkpoint::read_config;
use pyrograph_scheduler::{Algorithm, Diffusion, Generator, SchedulerConfig};
use pyrograph_unet::{UNet2dConditionConfig, UNet2dConditionModel};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::diffusers::{write_json, write_model};
use super::pictures::grid;
use super::{DenoisingConfig, RunConfig, Task};
use crate::folder::replace_folder;
use crate::{Dataset, ImportanceSampler, TrainError, Trainer, denoising_loss};

/// The tables of a run's file beside those that all have.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct DdpmTaskConfig {
    /// What is minimised.
    #[serde(default)]
    pub denoising: DenoisingConfig,
    /// Whether timesteps with large losses are drawn more often ([`ImportanceSampler`]); false.
    #[serde(default)]
    pub importance_sampling: bool,
    /// The keys of diffusers' `config.json` for a `UNet2DModel`: blocks without attention, and no middle block.
    pub unet: Value,
    /// The keys of `scheduler_config.json`.
    #[serde(default)]
    pub scheduler: Value,
}

/// A DDPM.
#[derive(Debug)]
pub struct DdpmTask {
    config: RunConfig<DdpmTaskConfig>,
    dataset: Dataset,
    diffusion: Diffusion,
    importance: ImportanceSampler,
    /// Timesteps of the latest step, and what was lost by each.
    seen: Vec<(Vec<usize>, Tensor<1>)>,
    device: Device,
}

/// Pictures of a grid, and the steps that make them.
const SHOWN: usize = 16;
const STEPS: usize = 50;
const IMPORTANCE: &str = "importance.json";

/// The noise schedule that a configuration describes.
pub(crate) fn diffusion(scheduler: &Value) -> Result<Diffusion, TrainError> {
    let schedule = if scheduler.is_null() { json!({}) } else { scheduler.clone() };
    let schedule = SchedulerConfig::from_json(&schedule.to_string());
    let diffusion = schedule.and_then(|schedule| Diffusion::new(&schedule));
    diffusion.map_err(|error| TrainError::config("scheduler", error.to_string()))
}

/// A network without cross-attention looks at no text.
pub(crate) fn no_text(batch: usize, device: &TensorDevice) -> Tensor<3> {
    Tensor::zeros([batch, 1, 1], device)
}

impl Task for DdpmTask {
    type Model = UNet2dConditionModel;
    type Batch = Tensor<4>;
    type Config = DdpmTaskConfig;

    fn open(
        mut config: RunConfig<DdpmTaskConfig>,
        dataset: Dataset,
        device: &Device,
    ) -> Result<(Self, UNet2dConditionModel), TrainError> {
        let unet = &mut config.task.unet;
        let wrong = |problem: String| TrainError::config("unet", problem);
        for (key, value) in [("in_channels", json!(3)), ("out_channels", json!(3)), ("mid_block_type", Value::Null)] {
            unet[key] = value;
        }
        let (unet, _): (UNet2dConditionConfig, _) =
            read_config("config.json", "UNet2DConditionModel", unet).map_err(|error| wrong(error.to_string()))?;
        if unet.down_block_types.iter().chain(&unet.up_block_types).any(|block| block.starts_with("Cross")) {
            return Err(wrong("must have blocks without text, DownBlock2D and UpBlock2D".to_owned()));
        }
        let model = unet.init(&config.trainer.device(device)).map_err(|error| wrong(error.to_string()))?;
        let diffusion = diffusion(&config.task.scheduler)?;
        let importance = ImportanceSampler::new(diffusion.steps());
        Ok((Self { config, dataset, diffusion, importance, seen: Vec::new(), device: device.clone() }, model))
    }

    fn batch(&self, index: usize) -> Result<Tensor<4>, TrainError> {
        let RunConfig { data, trainer, .. } = &self.config;
        Ok(self.dataset.batch(index, data.batch_size, trainer.seed, &trainer.device(&self.device))?.images)
    }

    fn loss(&mut self, model: &UNet2dConditionModel, original: Tensor<4>, generator: &mut Generator) -> Tensor<1> {
        let (settings, batch, device) = (&self.config.task.denoising, original.dims()[0], original.device());
        let draws: Vec<(usize, f64)> = if self.config.task.importance_sampling {
            self.importance.draw(batch, generator)
        } else {
            settings.timesteps.draw(batch, self.diffusion.steps(), generator).into_iter().map(|t| (t, 1.0)).collect()
        };
        let (timesteps, factors): (Vec<usize>, Vec<f64>) = draws.into_iter().unzip();
        let noise = generator.randn_tensor(original.dims(), &device);
        let predict = |noisy, times: &[f64]| model.forward(noisy, times, no_text(batch, &device));
        let losses = denoising_loss(&self.diffusion, settings.weighting(), predict, original, noise, &timesteps); // [batch]
        self.seen.push((timesteps, losses.clone().detach()));
        let factors: Vec<f32> = factors.into_iter().map(|factor| factor as f32).collect();
        (losses * Tensor::from_floats(factors.as_slice(), &device)).mean()
    }

    fn after_step(&mut self, _trainer: &mut Trainer<UNet2dConditionModel>) -> Result<(), TrainError> {
        for (timesteps, losses) in self.seen.drain(..).filter(|_| self.config.task.importance_sampling) {
            let losses = losses.into_data().try_to_vec::<f32>().expect("losses are float32");
            let importance = &mut self.importance;
            timesteps.into_iter().zip(losses).for_each(|(timestep, loss)| importance.record(timestep, f64::from(loss)));
        }
        Ok(())
    }

    fn save(&self, folder: &Path) -> Result<(), TrainError> {
        write_json(&folder.join(IMPORTANCE), &json!(self.importance))
    }

    fn resume(&mut self, folder: &Path) -> Result<(), TrainError> {
        let failed = |problem: String| TrainError::checkpoint(folder, problem);
        let history = std::fs::read_to_string(folder.join(IMPORTANCE)).map_err(|error| failed(error.to_string()))?;
        self.importance = serde_json::from_str(&history).map_err(|error| failed(error.to_string()))?;
        Ok(())
    }

    /// Pictures from noise, by DDIM.
    fn samples(&self, model: &UNet2dConditionModel) -> Result<RgbImage, TrainError> {
        let device = model.conv_in.weight.device();
        let wrong = |problem: String| TrainError::config("scheduler", problem);
        let schedule =
            if self.config.task.scheduler.is_null() { json!({}) } else { self.config.task.scheduler.clone() };
        let schedule = SchedulerConfig::from_json(&schedule.to_string()).map_err(|error| wrong(error.to_string()))?;
        let steps = STEPS.min(self.diffusion.steps());
        let mut scheduler = Algorithm::Ddim.build(&schedule, steps).map_err(|error| wrong(error.to_string()))?;
        let mut generator = Generator::new(0);
        let side = self.config.data.size as usize;
        let mut sample = generator.randn_tensor([SHOWN, 3, side, side], &device);
        for (index, timestep) in scheduler.timesteps().to_vec().into_iter().enumerate() {
            let output = model.forward(sample.clone(), &[timestep], no_text(SHOWN, &device));
            sample = scheduler.step(output, index, sample, &mut generator);
        }
        Ok(grid(sample, SHOWN / 2))
    }

    /// A `DDPMPipeline`.
    fn export(&self, model: &UNet2dConditionModel, folder: &Path) -> Result<(), TrainError> {
        let mut unet = self.config.task.unet.clone();
        unet["sample_size"] = self.config.data.size.into();
        unet["flip_sin_to_cos"] = self.config.task.unet.get("flip_sin_to_cos").cloned().unwrap_or(true.into());
        unet["freq_shift"] = self.config.task.unet.get("freq_shift").cloned().unwrap_or(0.into());
        let mut scheduler =
            if self.config.task.scheduler.is_null() { json!({}) } else { self.config.task.scheduler.clone() };
        scheduler["_class_name"] = "DDPMScheduler".into();
        let index = json!({
            "_class_name": "DDPMPipeline",
            "_diffusers_version": super::diffusers::VERSION,
            "scheduler": ["diffusers", "DDPMScheduler"],
            "unet": ["diffusers", "UNet2DModel"],
        });
        replace_folder(folder, |new| {
            write_json(&new.join("model_index.json"), &index)?;
            write_json(&new.join("scheduler/scheduler_config.json"), &scheduler)?;
            write_model(&new.join("unet"), "UNet2DModel", &unet, model)
        })
    }
}
