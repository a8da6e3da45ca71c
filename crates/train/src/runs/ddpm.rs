//! `train ddpm`: pictures from noise, without text, on pixels.

use std::path::Path;

use burn::module::Module;
use burn::tensor::{Device as TensorDevice, Tensor};
use image::RgbImage;
use pyrograph::Device;
use pyrograph_scheduler::{Algorithm, Diffusion, Generator, SchedulerConfig};
use pyrograph_unet::{UNet2dConditionConfig, UNet2dConditionModel};
use serde::Deserialize;
use serde_json::{Value, json};

use super::diffusers::{write_json, write_model};
use super::pictures::grid;
use super::{DataConfig, DenoisingConfig, OutputConfig, Run};
use crate::folder::replace_folder;
use crate::{Dataset, ImportanceSampler, TrainError, Trainer, TrainerConfig, denoising_loss};

/// The TOML file of a run.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DdpmRunConfig {
    /// The pictures; their captions do not matter.
    pub data: DataConfig,
    /// What is written.
    pub output: OutputConfig,
    /// How it is optimised.
    #[serde(default)]
    pub trainer: TrainerConfig,
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

/// A DDPM in training.
#[derive(Debug)]
pub struct DdpmRun {
    config: DdpmRunConfig,
    dataset: Dataset,
    diffusion: Diffusion,
    importance: ImportanceSampler,
    trainer: Trainer<UNet2dConditionModel>,
}

/// Pictures of a grid, and the steps that make them.
const SHOWN: usize = 16;
const STEPS: usize = 50;
const IMPORTANCE: &str = "importance.json";

impl DdpmRun {
    /// Opens the data and makes the model.
    ///
    /// # Errors
    /// When the data cannot be read, or the configuration describes no such network.
    pub fn new(mut config: DdpmRunConfig, device: &Device) -> Result<Self, TrainError> {
        let wrong = |problem: String| TrainError::config("unet", problem);
        for (key, value) in [("in_channels", json!(3)), ("out_channels", json!(3)), ("mid_block_type", Value::Null)] {
            config.unet[key] = value;
        }
        let unet: UNet2dConditionConfig =
            Deserialize::deserialize(&config.unet).map_err(|error: serde_json::Error| wrong(error.to_string()))?;
        if unet.down_block_types.iter().chain(&unet.up_block_types).any(|block| block.starts_with("Cross")) {
            return Err(wrong("must have blocks without text, DownBlock2D and UpBlock2D".to_owned()));
        }
        let diffusion = diffusion(&config.scheduler)?;
        let autodiff = config.trainer.device(device);
        autodiff.seed(config.trainer.seed);
        let model = unet.init(&autodiff).map_err(|error| wrong(error.to_string()))?.materialize();
        Ok(Self {
            dataset: config.data.open()?,
            importance: ImportanceSampler::new(diffusion.steps()),
            diffusion,
            trainer: Trainer::new(model, config.trainer.clone()),
            config,
        })
    }
}

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

impl Run for DdpmRun {
    fn output(&self) -> &OutputConfig {
        &self.config.output
    }

    fn steps(&self) -> usize {
        self.trainer.steps()
    }

    fn total(&self) -> usize {
        self.config.trainer.steps
    }

    fn images_per_step(&self) -> usize {
        self.config.data.batch_size * self.config.trainer.gradient_accumulation
    }

    fn step(&mut self) -> Result<f64, TrainError> {
        let Self { config, dataset, diffusion, importance, trainer } = self;
        let (batch, settings) = (config.data.batch_size, &config.denoising);
        let device = trainer.model().conv_in.weight.device();
        let mut batches = dataset.batches_of(trainer, batch, &device)?.into_iter();
        let mut seen = Vec::new();
        let loss = trainer.step(|model, generator| {
            let original = batches.next().expect("there is one for each accumulation").images;
            let draws: Vec<(usize, f64)> = match config.importance_sampling {
                true => importance.draw(batch, generator),
                false => {
                    settings.timesteps.draw(batch, diffusion.steps(), generator).into_iter().map(|t| (t, 1.0)).collect()
                }
            };
            let (timesteps, factors): (Vec<usize>, Vec<f64>) = draws.into_iter().unzip();
            let noise = generator.randn_tensor(original.dims(), &device);
            let predict = |noisy, times: &[f64]| model.forward(noisy, times, no_text(batch, &device));
            let losses = denoising_loss(diffusion, settings.weighting(), predict, original, noise, &timesteps); // [batch]
            seen.push((timesteps, losses.clone().detach()));
            let factors: Vec<f32> = factors.into_iter().map(|factor| factor as f32).collect();
            (losses * Tensor::from_floats(factors.as_slice(), &device)).mean()
        })?;
        for (timesteps, losses) in seen.into_iter().filter(|_| config.importance_sampling) {
            let losses = losses.into_data().try_to_vec::<f32>().expect("losses are float32");
            timesteps.into_iter().zip(losses).for_each(|(timestep, loss)| importance.record(timestep, f64::from(loss)));
        }
        Ok(loss)
    }

    fn save(&self, folder: &Path) -> Result<(), TrainError> {
        self.trainer.save_with(folder, |new| write_json(&new.join(IMPORTANCE), &json!(self.importance)))
    }

    fn resume(&mut self, folder: &Path) -> Result<(), TrainError> {
        let failed = |problem: String| TrainError::checkpoint(folder, problem);
        let history = std::fs::read_to_string(folder.join(IMPORTANCE)).map_err(|error| failed(error.to_string()))?;
        self.importance = serde_json::from_str(&history).map_err(|error| failed(error.to_string()))?;
        self.trainer = Trainer::resume(self.trainer.model().clone(), self.config.trainer.clone(), folder)?;
        Ok(())
    }

    /// Pictures from noise, by DDIM.
    fn samples(&self) -> Result<RgbImage, TrainError> {
        let model = self.trainer.averaged();
        let device = model.conv_in.weight.device();
        let wrong = |problem: String| TrainError::config("scheduler", problem);
        let schedule = if self.config.scheduler.is_null() { json!({}) } else { self.config.scheduler.clone() };
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
    fn export(&self, folder: &Path) -> Result<(), TrainError> {
        let mut unet = self.config.unet.clone();
        unet["sample_size"] = self.config.data.size.into();
        unet["flip_sin_to_cos"] = self.config.unet.get("flip_sin_to_cos").cloned().unwrap_or(true.into());
        unet["freq_shift"] = self.config.unet.get("freq_shift").cloned().unwrap_or(0.into());
        let mut scheduler = if self.config.scheduler.is_null() { json!({}) } else { self.config.scheduler.clone() };
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
            write_model(&new.join("unet"), "UNet2DModel", &unet, self.trainer.averaged())
        })
    }
}
