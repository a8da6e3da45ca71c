//! `train autoencoder`: images to latents and back.

use std::path::{Path, PathBuf};

use burn::module::{Module, Param};
use burn::tensor::{DType, Tensor};
use image::RgbImage;
use pyrograph_autoencoder::{AutoencoderKl, AutoencoderKlConfig};
use pyrograph_checkpoint::{Component, load};
use pyrograph_scheduler::Generator;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::diffusers::{with_block_types, write_model};
use super::{AdversarialConfig, ConfigFile, Setup, Task};
use crate::bounds::{multiple, required, without_effect};
use crate::image_grid::above;
use crate::{AutoencoderLoss, Bounds, PatchDiscriminator, TrainError, Trainer};

/// The tables of an autoencoder's recipe.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct AutoencoderTaskConfig {
    /// The objective.
    pub loss: AutoencoderLoss,
    /// `config.json` of an `AutoencoderKL`; not needed where there is a checkpoint to start from.
    pub model: Option<ConfigFile<AutoencoderKlConfig>>,
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

impl Bounds for AutoencoderTaskConfig {
    fn check(&self) -> Result<(), TrainError> {
        self.loss.check()?;
        self.adversarial.check()
    }
}

/// An autoencoder, with a discriminator if the recipe asks for one.
#[derive(Debug)]
pub struct AutoencoderTask {
    config: AutoencoderTaskConfig,
    model: ConfigFile<AutoencoderKlConfig>,
    setup: Setup,
    discriminator: Option<Trainer<PatchDiscriminator>>,
    /// Images of the latest step and their reconstructions, for the discriminator.
    made: Vec<[Tensor<4>; 2]>,
    step: usize,
}

/// Images of a grid of samples, and those whose latents are measured for the scaling factor.
const SHOWN: usize = 16;
const MEASURED: usize = 512;
const DISCRIMINATOR: &str = "discriminator";

impl Task for AutoencoderTask {
    type Model = AutoencoderKl;
    type Batch = Tensor<4>;
    type Config = AutoencoderTaskConfig;

    fn open(config: AutoencoderTaskConfig, setup: Setup) -> Result<(Self, AutoencoderKl), TrainError> {
        let (file, mut network) = open_network(&config, &setup)?;
        multiple("data.size", setup.data.size as usize, file.config.downsampling())?;
        if config.start.freeze_encoder {
            network.encoder = network.encoder.no_grad();
            network.quant_conv = network.quant_conv.map(Module::no_grad);
        }
        let discriminator = config.adversarial.open(&setup)?;
        Ok((Self { config, model: file, setup, discriminator, made: Vec::new(), step: 0 }, network))
    }

    fn batch(&self, index: usize) -> Result<Tensor<4>, TrainError> {
        Ok(self.setup.batch(index)?.images)
    }

    fn loss(&mut self, model: &AutoencoderKl, image: Tensor<4>, generator: &mut Generator) -> Tensor<1> {
        let latents = model.encode(image.clone());
        let noise = generator.randn_tensor(latents.mean.dims(), &image.device());
        let decoded = model.decode(latents.sample(noise));
        let loss = self.config.loss.of(image.clone(), decoded.clone(), &latents);
        let Some(discriminator) = &self.discriminator else { return loss };
        self.made.push([image, decoded.clone().detach()]);
        let AdversarialConfig { factor, start, .. } = self.config.adversarial;
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
            let (model, config) = (discriminator.model().clone(), self.setup.trainer.clone());
            *discriminator = Trainer::resume(model, config, &folder.join(DISCRIMINATOR))?;
            self.step = discriminator.steps();
        }
        Ok(())
    }

    /// Rows of images, each above what the autoencoder makes of it.
    fn samples(&self, model: &AutoencoderKl) -> Result<RgbImage, TrainError> {
        let images = self.setup.shown(SHOWN)?;
        let decoded = model.decode(model.encode(images.clone()).mode());
        Ok(above(images, decoded))
    }

    fn export(&self, model: &AutoencoderKl, folder: &Path) -> Result<(), TrainError> {
        let mut file = self.model.clone();
        if !self.config.start.freeze_encoder {
            file.config.scaling_factor = self.scaling_factor(model)?;
        }
        let file = file.with_keys(json!({ "sample_size": self.setup.data.size }));
        write_model(folder, "AutoencoderKL", with_block_types(file.to_json()), model)
    }
}

/// The network of the checkpoint to start from, or one of the recipe's configuration with random weights.
fn open_network(
    config: &AutoencoderTaskConfig,
    setup: &Setup,
) -> Result<(ConfigFile<AutoencoderKlConfig>, AutoencoderKl), TrainError> {
    let init = |file: &ConfigFile<AutoencoderKlConfig>| {
        file.config.init(&setup.autodiff()).map_err(TrainError::table("model"))
    };
    if let Some(folder) = &config.start.checkpoint {
        without_effect("model", config.model.is_some(), "start.checkpoint")?;
        let Component { config, weights, .. } =
            Component::open(folder.as_path()).map_err(TrainError::table("start"))?;
        let file = ConfigFile::read(config).map_err(TrainError::table("model"))?;
        let mut network = init(&file)?;
        load(&mut network, weights.as_ref(), DType::F32).map_err(TrainError::table("model"))?;
        return Ok((file, network));
    }
    let file = required("model", config.model.clone(), "a table [model], or start.checkpoint,")?;
    let network = with_little_noise(init(&file)?.materialize(), file.config.latent_channels);
    Ok((file, network))
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

impl AutoencoderTask {
    /// The factor with which latents have unit variance.
    fn scaling_factor(&self, model: &AutoencoderKl) -> Result<f64, TrainError> {
        let Setup { dataset, data, device, .. } = &self.setup;
        let batches = MEASURED.min(dataset.len()).div_ceil(data.batch_size);
        let latents = (0..batches).map(|index| {
            let batch = dataset.batch(index, data.batch_size, 0, device.tensors())?;
            Ok(model.encode(batch.images).mode())
        });
        let latents = Tensor::cat(latents.collect::<Result<Vec<_>, TrainError>>()?, 0);
        let count = latents.shape().num_elements() as i32;
        Ok(1.0 / f64::from(latents.reshape([count]).var(0).sqrt().into_scalar::<f32>()))
    }
}
