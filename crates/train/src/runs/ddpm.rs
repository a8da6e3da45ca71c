//! `train ddpm`: images from noise, without text, on pixels.

use std::path::Path;

use burn::tensor::Tensor;
use image::RgbImage;
use pyrograph_scheduler::{Algorithm, Diffusion, Generator, SchedulerConfig};
use pyrograph_unet::{UNet2dConditionConfig, UNet2dConditionModel};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::diffusers::{VERSION, write_json, write_model};
use super::{ConfigFile, DenoisingConfig, Setup, Task};
use crate::bounds::unless;
use crate::denoising::no_text;
use crate::image_grid::grid;
use crate::{Bounds, ImportanceSampler, TrainError, Trainer, denoising_loss};

/// The tables of a DDPM's recipe.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct DdpmTaskConfig {
    /// The objective.
    #[serde(default)]
    pub denoising: DenoisingConfig,
    /// Whether timesteps with large losses are drawn more often ([`ImportanceSampler`]); false.
    #[serde(default)]
    pub importance_sampling: bool,
    /// `config.json` of a `UNet2DModel`: blocks without attention, and no middle block. It has three channels.
    pub unet: ConfigFile<UNet2dConditionConfig>,
    /// `scheduler_config.json` of a `DDPMScheduler`.
    #[serde(default)]
    pub scheduler: ConfigFile<SchedulerConfig>,
}

impl Bounds for DdpmTaskConfig {
    fn check(&self) -> Result<(), TrainError> {
        self.denoising.check()
    }
}

/// A DDPM (Ho et al., <https://arxiv.org/abs/2006.11239>).
#[derive(Debug)]
pub struct DdpmTask {
    config: DdpmTaskConfig,
    setup: Setup,
    diffusion: Diffusion,
    importance: ImportanceSampler,
    /// Timesteps of the batches of the latest step, and the loss of each.
    seen: Vec<(Vec<usize>, Tensor<1>)>,
}

/// Images of a grid, and the steps that make them.
const SHOWN: usize = 16;
const STEPS: usize = 50;
const IMPORTANCE: &str = "importance.json";

impl Task for DdpmTask {
    type Model = UNet2dConditionModel;
    type Batch = Tensor<4>;
    type Config = DdpmTaskConfig;

    fn open(mut config: DdpmTaskConfig, setup: Setup) -> Result<(Self, UNet2dConditionModel), TrainError> {
        let unet = &mut config.unet.config;
        (unet.in_channels, unet.out_channels, unet.mid_block_type) = (3, 3, None);
        for (key, blocks) in
            [("unet.down_block_types", &unet.down_block_types), ("unet.up_block_types", &unet.up_block_types)]
        {
            let with_text = blocks.iter().any(|block| block.starts_with("Cross"));
            let expected = "a list of blocks without text, DownBlock2D or UpBlock2D,";
            unless(!with_text, key, format_args!("{blocks:?}"), expected)?;
        }
        let model = unet.init(&setup.autodiff()).map_err(TrainError::table("unet"))?;
        let diffusion = Diffusion::new(&config.scheduler.config).map_err(TrainError::table("scheduler"))?;
        let importance = ImportanceSampler::new(diffusion.steps());
        Ok((Self { config, setup, diffusion, importance, seen: Vec::new() }, model))
    }

    fn batch(&self, index: usize) -> Result<Tensor<4>, TrainError> {
        Ok(self.setup.batch(index)?.images)
    }

    fn loss(&mut self, model: &UNet2dConditionModel, original: Tensor<4>, generator: &mut Generator) -> Tensor<1> {
        let (settings, batch, device) = (&self.config.denoising, original.dims()[0], original.device());
        let draws: Vec<(usize, f64)> = if self.config.importance_sampling {
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
        for (timesteps, losses) in self.seen.drain(..).filter(|_| self.config.importance_sampling) {
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
        let history = std::fs::read_to_string(folder.join(IMPORTANCE)).map_err(TrainError::checkpoint(folder))?;
        self.importance = serde_json::from_str(&history).map_err(TrainError::checkpoint(folder))?;
        Ok(())
    }

    /// Images from noise, by DDIM.
    fn samples(&self, model: &UNet2dConditionModel) -> Result<RgbImage, TrainError> {
        let device = model.conv_in.weight.device();
        let steps = STEPS.min(self.diffusion.steps());
        let scheduler = Algorithm::Ddim.build(&self.config.scheduler.config, steps);
        let mut scheduler = scheduler.map_err(TrainError::table("scheduler"))?;
        let mut generator = Generator::new(0);
        let side = self.setup.data.size as usize;
        let mut sample = generator.randn_tensor([SHOWN, 3, side, side], &device);
        for (index, timestep) in scheduler.timesteps().to_vec().into_iter().enumerate() {
            let output = model.forward(sample.clone(), &[timestep], no_text(SHOWN, &device));
            sample = scheduler.step(output, index, sample, &mut generator);
        }
        Ok(grid(sample, SHOWN / 2))
    }

    /// A `DDPMPipeline`.
    fn export(&self, model: &UNet2dConditionModel, folder: &Path) -> Result<(), TrainError> {
        let mut scheduler = self.config.scheduler.clone();
        scheduler.config.class_name = Some("DDPMScheduler".to_owned());
        let index = json!({
            "_class_name": "DDPMPipeline",
            "_diffusers_version": VERSION,
            "scheduler": ["diffusers", "DDPMScheduler"],
            "unet": ["diffusers", "UNet2DModel"],
        });
        write_json(&folder.join("model_index.json"), &index)?;
        write_json(&folder.join("scheduler/scheduler_config.json"), &scheduler.to_json())?;
        write_model(&folder.join("unet"), "UNet2DModel", self.unet_2d_model(), model)
    }
}

impl DdpmTask {
    /// `config.json` of the same network as a `UNet2DModel`, whose defaults are others.
    fn unet_2d_model(&self) -> Value {
        let unet = &self.config.unet.config;
        let mut file = self.config.unet.overwritten(json!({
            "sample_size": self.setup.data.size,
            "in_channels": unet.in_channels,
            "out_channels": unet.out_channels,
            "flip_sin_to_cos": unet.flip_sin_to_cos,
            "freq_shift": unet.freq_shift,
            "down_block_types": unet.down_block_types,
            "up_block_types": unet.up_block_types,
            "block_out_channels": unet.block_out_channels,
            "layers_per_block": unet.layers_per_block,
            "norm_num_groups": unet.norm_num_groups,
            "norm_eps": unet.norm_eps,
        }));
        file["mid_block_type"] = Value::Null;
        file
    }
}
