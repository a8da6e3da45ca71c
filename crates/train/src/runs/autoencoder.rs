//! `train autoencoder`: pictures to latents and back.

use std::path::{Path, PathBuf};

use burn::module::{Module, Param};
use burn::tensor::{DType, Tensor};
use image::RgbImage;
use pyrograph::Device;
use pyrograph_autoencoder::{AutoencoderKl, AutoencoderKlConfig};
use pyrograph_checkpoint::{Component, load};
use serde::Deserialize;
use serde_json::Value;

use super::diffusers::write_model;
use super::pictures::above;
use super::{DataConfig, OutputConfig, Run};
use crate::folder::replace_folder;
use crate::{AutoencoderLoss, Dataset, PatchDiscriminator, TrainError, Trainer, TrainerConfig};

/// The TOML file of a run.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AutoencoderRunConfig {
    /// The pictures.
    pub data: DataConfig,
    /// What is written.
    pub output: OutputConfig,
    /// How it is optimised.
    #[serde(default)]
    pub trainer: TrainerConfig,
    /// What is minimised.
    #[serde(default)]
    pub loss: AutoencoderLoss,
    /// The keys of diffusers' `config.json` for an `AutoencoderKL`; not needed where there is a checkpoint to start from.
    #[serde(default)]
    pub model: Value,
    /// Where the weights come from.
    #[serde(default)]
    pub start: StartConfig,
    /// Whether a discriminator takes part.
    #[serde(default)]
    pub adversarial: AdversarialConfig,
}

/// `[start]`: the weights that an autoencoder begins with.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StartConfig {
    /// A folder with `config.json` and weights of an `AutoencoderKL`; without it they are random.
    pub checkpoint: Option<PathBuf>,
    /// Whether the decoder alone is trained, so that latents stay what they are.
    pub freeze_encoder: bool,
}

/// `[adversarial]`: a [`PatchDiscriminator`] that is trained beside the autoencoder. It knows details no pixel-wise error
/// asks for, and invents some.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
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

/// An autoencoder in training.
#[derive(Debug)]
pub struct AutoencoderRun {
    config: AutoencoderRunConfig,
    dataset: Dataset,
    trainer: Trainer<AutoencoderKl>,
    discriminator: Option<Trainer<PatchDiscriminator>>,
    latent_channels: usize,
    downsampling: usize,
    device: Device,
}

/// Pictures of a grid of samples, and those whose latents are measured for the scaling factor.
const SHOWN: usize = 16;
const MEASURED: usize = 512;
const DISCRIMINATOR: &str = "discriminator";

impl AutoencoderRun {
    /// Opens the data and makes the model.
    ///
    /// # Errors
    /// When the data or the checkpoint cannot be read, or the configuration describes no autoencoder.
    pub fn new(mut config: AutoencoderRunConfig, device: &Device) -> Result<Self, TrainError> {
        let start = match &config.start.checkpoint {
            Some(folder) => Some(Component::open(folder).map_err(|error| TrainError::checkpoint(folder, error))?),
            None => None,
        };
        if let Some(start) = &start {
            config.model = start.config.clone();
        }
        let wrong = |problem: String| TrainError::config("model", problem);
        let model_config: AutoencoderKlConfig =
            Deserialize::deserialize(&config.model).map_err(|error: serde_json::Error| wrong(error.to_string()))?;
        let autodiff = config.trainer.device(device);
        autodiff.seed(config.trainer.seed);
        let mut model = model_config.init(&autodiff).map_err(|error| wrong(error.to_string()))?;
        match &start {
            Some(start) => {
                let report = load(&mut model, start.weights.as_ref(), DType::F32);
                report.map_err(|error| TrainError::checkpoint(Path::new(start.weights.file()), error))?;
            }
            None => model = with_little_noise(model.materialize(), model_config.latent_channels),
        }
        if config.start.freeze_encoder {
            model.encoder = model.encoder.no_grad();
            model.quant_conv = model.quant_conv.map(Module::no_grad);
        }
        let AdversarialConfig { factor, channels, halvings, .. } = config.adversarial;
        let discriminator = || {
            Trainer::new(PatchDiscriminator::new(channels, halvings, &autodiff).materialize(), config.trainer.clone())
        };
        Ok(Self {
            dataset: config.data.open()?,
            discriminator: (factor > 0.0).then(discriminator),
            trainer: Trainer::new(model, config.trainer.clone()),
            latent_channels: model_config.latent_channels,
            downsampling: model_config.downsampling(),
            device: device.clone(),
            config,
        })
    }

    /// What latents are multiplied with to have unit variance.
    fn scaling_factor(&self) -> Result<f64, TrainError> {
        let batches = MEASURED.min(self.dataset.len()).div_ceil(self.config.data.batch_size);
        let latents = (0..batches).map(|index| {
            let batch = self.dataset.batch(index, self.config.data.batch_size, 0, self.device.tensors())?;
            Ok(self.trainer.averaged().encode(batch.images, usize::MAX).mode())
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

impl Run for AutoencoderRun {
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
        let Self { config, dataset, trainer, discriminator, device, .. } = self;
        let batches = dataset.batches_of(trainer, config.data.batch_size, &config.trainer.device(device))?;
        let side = config.data.size as usize / self.downsampling;
        let AdversarialConfig { factor, start, .. } = config.adversarial;
        let critic = discriminator.as_ref().filter(|_| trainer.steps() >= start);
        let critic = critic.map(|discriminator| discriminator.model().clone().no_grad());
        let mut made = Vec::new();
        let mut images = batches.into_iter().map(|batch| batch.images);
        let loss = trainer.step(|model, generator| {
            let image = images.next().expect("there is one for each accumulation");
            let noise = generator.randn_tensor([image.dims()[0], self.latent_channels, side, side], &image.device());
            let latents = model.encode(image.clone(), usize::MAX);
            let decoded = model.decode(latents.sample(noise), usize::MAX);
            made.push((image.clone(), decoded.clone().detach()));
            let loss = config.loss.of(image, decoded.clone(), &latents);
            match &critic {
                Some(critic) => loss + critic.generator_loss(decoded) * factor,
                None => loss,
            }
        })?;
        if let Some(discriminator) = discriminator {
            let mut made = made.into_iter();
            discriminator.step(|model, _| {
                let (image, decoded) = made.next().expect("there is one for each accumulation");
                model.loss(image, decoded)
            })?;
        }
        Ok(loss)
    }

    fn save(&self, folder: &Path) -> Result<(), TrainError> {
        self.trainer.save_with(folder, |new| match &self.discriminator {
            Some(discriminator) => discriminator.save(&new.join(DISCRIMINATOR)),
            None => Ok(()),
        })
    }

    fn resume(&mut self, folder: &Path) -> Result<(), TrainError> {
        self.trainer = Trainer::resume(self.trainer.model().clone(), self.config.trainer.clone(), folder)?;
        if let Some(discriminator) = &mut self.discriminator {
            let (model, config) = (discriminator.model().clone(), self.config.trainer.clone());
            *discriminator = Trainer::resume(model, config, &folder.join(DISCRIMINATOR))?;
        }
        Ok(())
    }

    /// Rows of pictures, each above what the autoencoder makes of it.
    fn samples(&self) -> Result<RgbImage, TrainError> {
        let images = self.dataset.batch(0, SHOWN, 0, self.device.tensors())?.images;
        let model = self.trainer.averaged();
        let decoded = model.decode(model.encode(images.clone(), usize::MAX).mode(), usize::MAX);
        Ok(above(images, decoded))
    }

    fn export(&self, folder: &Path) -> Result<(), TrainError> {
        let mut config = self.config.model.clone();
        if !self.config.start.freeze_encoder {
            config["scaling_factor"] = self.scaling_factor()?.into();
        }
        config["sample_size"] = self.config.data.size.into();
        replace_folder(folder, |new| write_model(new, "AutoencoderKL", &config, self.trainer.averaged()))
    }
}
