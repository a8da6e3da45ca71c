//! `train autoencoder`: pictures to latents and back.

use std::path::{Path, PathBuf};

use burn::module::{Module, Param};
use burn::tensor::{DType, Tensor};
use image::RgbImage;
use pyrograph::Device;
use pyrograph_autoencoder::{AutoencoderKl, AutoencoderKlConfig};
use pyrograph_checkpoint::{Component, load, read_config};
use pyrograph_scheduler::Generator;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::diffusers::write_model;
use super::pictures::above;
use super::{RunConfig, Task, multiple, within};
use crate::folder::replace_folder;
use crate::{AutoencoderLoss, Dataset, PatchDiscriminator, TrainError, Trainer};

/// The tables of a run's file beside those that all have.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct AutoencoderTaskConfig {
    /// What is minimised.
    pub loss: AutoencoderLoss,
    /// The keys of diffusers' `config.json` for an `AutoencoderKL`; not needed where there is a checkpoint to start from.
    pub model: Value,
    /// Where the weights come from.
    pub start: StartConfig,
    /// Whether a discriminator takes part.
    pub adversarial: AdversarialConfig,
}

/// `[start]`: the weights that an autoencoder begins with.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct StartConfig {
    /// A folder with `config.json` and weights of an `AutoencoderKL`; without it they are random.
    pub checkpoint: Option<PathBuf>,
    /// Whether the decoder alone is trained, so that latents stay what they are.
    pub freeze_encoder: bool,
}

/// `[adversarial]`: a [`PatchDiscriminator`] that is trained beside the autoencoder. It knows details no pixel-wise error
/// asks for, and invents some.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdversarialConfig {
    /// How much its opinion counts in the autoencoder's loss; 0, which turns it off.
    pub factor: f64,
    /// The step from which on it counts; 0.
    pub start: usize,
    /// Channels of its first convolution; 32.
    pub channels: usize,
    /// How many times it halves the size; 3.
    pub halvings: usize,
}

impl Default for AdversarialConfig {
    fn default() -> Self {
        Self { factor: 0.0, start: 0, channels: 32, halvings: 3 }
    }
}

/// An autoencoder, with a discriminator if it is wanted.
#[derive(Debug)]
pub struct AutoencoderTask {
    config: RunConfig<AutoencoderTaskConfig>,
    dataset: Dataset,
    discriminator: Option<Trainer<PatchDiscriminator>>,
    /// Pictures of the latest step and what was made of them, for the discriminator.
    made: Vec<[Tensor<4>; 2]>,
    step: usize,
    device: Device,
}

/// Pictures of a grid of samples, and those whose latents are measured for the scaling factor.
const SHOWN: usize = 16;
const MEASURED: usize = 512;
const DISCRIMINATOR: &str = "discriminator";

impl AutoencoderTask {
    /// What latents are multiplied with to have unit variance.
    fn scaling_factor(&self, model: &AutoencoderKl) -> Result<f64, TrainError> {
        let batch = self.config.data.batch_size;
        let batches = MEASURED.min(self.dataset.len()).div_ceil(batch);
        let latents = (0..batches).map(|index| {
            let batch = self.dataset.batch(index, batch, 0, self.device.tensors())?;
            Ok(model.encode(batch.images).mode())
        });
        let latents = Tensor::cat(latents.collect::<Result<Vec<_>, TrainError>>()?, 0);
        let count = latents.shape().num_elements() as i32;
        Ok(1.0 / f64::from(latents.reshape([count]).var(0).sqrt().into_scalar::<f32>()))
    }
}

/// Latents begin with little noise, so that the decoder looks at them from the first step.
fn with_little_noise(mut model: AutoencoderKl, channels: usize) -> AutoencoderKl {
    if let Some(conv) = &mut model.quant_conv {
        conv.bias = conv.bias.take().map(|bias| {
            let bias = bias.val().detach();
            let quiet = Tensor::full([channels], -6.0, &bias.device());
            Param::from_tensor(Tensor::cat(vec![bias.narrow(0, 0, channels), quiet], 0).detach())
        });
    }
    model
}

impl Task for AutoencoderTask {
    type Model = AutoencoderKl;
    type Batch = Tensor<4>;
    type Config = AutoencoderTaskConfig;

    fn open(
        mut config: RunConfig<AutoencoderTaskConfig>,
        dataset: Dataset,
        device: &Device,
    ) -> Result<(Self, AutoencoderKl), TrainError> {
        let task = &mut config.task;
        let start = task.start.checkpoint.as_deref().map(Component::open).transpose();
        let start = start.map_err(|error| TrainError::config("start", error.to_string()))?;
        if let Some(start) = &start {
            task.model.clone_from(&start.config);
        }
        let wrong = |problem: String| TrainError::config("model", problem);
        let read = read_config("config.json", "AutoencoderKL", &task.model);
        let (model_config, _): (AutoencoderKlConfig, _) = read.map_err(|error| wrong(error.to_string()))?;
        let autodiff = config.trainer.device(device);
        let mut model = model_config.init(&autodiff).map_err(|error| wrong(error.to_string()))?;
        match &start {
            Some(start) => {
                load(&mut model, start.weights.as_ref(), DType::F32).map_err(|error| wrong(error.to_string()))?;
            }
            None => model = with_little_noise(model.materialize(), model_config.latent_channels),
        }
        if task.start.freeze_encoder {
            model.encoder = model.encoder.no_grad();
            model.quant_conv = model.quant_conv.map(Module::no_grad);
        }
        multiple("data.size", config.data.size as usize, model_config.downsampling())?;
        let AdversarialConfig { factor, channels, halvings, .. } = task.adversarial;
        if factor > 0.0 {
            // Of two pixels each way the last convolution leaves one.
            let most = config.data.size.ilog2().saturating_sub(1) as usize;
            let expected = format!("1 to {most} for images of {} pixels", config.data.size);
            within("adversarial.halvings", halvings, 1..=most, &expected)?;
        }
        let discriminator = || PatchDiscriminator::new(channels, halvings, &autodiff).materialize();
        let discriminator = (factor > 0.0).then(|| Trainer::new(discriminator(), config.trainer.clone()));
        let device = device.clone();
        Ok((Self { config, dataset, discriminator, made: Vec::new(), step: 0, device }, model))
    }

    fn batch(&self, index: usize) -> Result<Tensor<4>, TrainError> {
        let RunConfig { data, trainer, .. } = &self.config;
        Ok(self.dataset.batch(index, data.batch_size, trainer.seed, &trainer.device(&self.device))?.images)
    }

    fn loss(&mut self, model: &AutoencoderKl, image: Tensor<4>, generator: &mut Generator) -> Tensor<1> {
        let latents = model.encode(image.clone());
        let noise = generator.randn_tensor(latents.mean.dims(), &image.device());
        let decoded = model.decode(latents.sample(noise));
        let loss = self.config.task.loss.of(image.clone(), decoded.clone(), &latents);
        let Some(discriminator) = &self.discriminator else { return loss };
        self.made.push([image, decoded.clone().detach()]);
        let AdversarialConfig { factor, start, .. } = self.config.task.adversarial;
        if self.step < start {
            return loss;
        }
        loss + discriminator.model().clone().no_grad().generator_loss(decoded) * factor
    }

    fn after_step(&mut self, trainer: &mut Trainer<AutoencoderKl>) -> Result<(), TrainError> {
        self.step = trainer.steps();
        if let Some(discriminator) = &mut self.discriminator {
            let mut made = self.made.drain(..);
            discriminator.step(|model, _| {
                let [image, decoded] = made.next().expect("there is one for each accumulation");
                model.loss(image, decoded)
            })?;
        }
        Ok(())
    }

    fn save(&self, folder: &Path) -> Result<(), TrainError> {
        self.discriminator.as_ref().map_or(Ok(()), |discriminator| discriminator.write(&folder.join(DISCRIMINATOR)))
    }

    fn resume(&mut self, folder: &Path) -> Result<(), TrainError> {
        if let Some(discriminator) = &mut self.discriminator {
            let (model, config) = (discriminator.model().clone(), self.config.trainer.clone());
            *discriminator = Trainer::resume(model, config, &folder.join(DISCRIMINATOR))?;
            self.step = discriminator.steps();
        }
        Ok(())
    }

    /// Rows of pictures, each above what the autoencoder makes of it.
    fn samples(&self, model: &AutoencoderKl) -> Result<RgbImage, TrainError> {
        let images = self.dataset.batch(0, SHOWN, 0, self.device.tensors())?.images;
        let decoded = model.decode(model.encode(images.clone()).mode());
        Ok(above(images, decoded))
    }

    fn export(&self, model: &AutoencoderKl, folder: &Path) -> Result<(), TrainError> {
        let mut config = self.config.task.model.clone();
        if !self.config.task.start.freeze_encoder {
            config["scaling_factor"] = self.scaling_factor(model)?.into();
        }
        config["sample_size"] = self.config.data.size.into();
        replace_folder(folder, |new| write_model(new, "AutoencoderKL", &config, model))
    }
}
