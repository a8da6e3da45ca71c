//! `train autoencoder` with a codebook.

use std::path::Path;

use burn::module::Module;
use burn::tensor::{Int, Tensor};
use image::RgbImage;
use pyrograph_autoencoder::{VqModel, VqModelConfig};
use pyrograph_checkpoint::{SafetensorsFile, Weights, save_tensors};
use pyrograph_scheduler::Generator;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::diffusers::{with_block_types, write_model};
use super::{ConfigFile, Setup, Task};
use crate::bounds::{multiple, within};
use crate::image_grid::above;
use crate::{AutoencoderLoss, Bounds, CodebookMeans, TrainError, Trainer};

/// The tables of a recipe for an autoencoder with a codebook.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct VqTaskConfig {
    /// The objective; there is no divergence.
    #[serde(default)]
    pub loss: AutoencoderLoss,
    /// `config.json` of a `VQModel`.
    pub model: ConfigFile<VqModelConfig>,
    /// The share of itself that a code keeps in a step ([`CodebookMeans`]); 0.99. With 0 codes are learnt by gradients.
    #[serde(default = "codebook_decay")]
    pub codebook_decay: f64,
}

impl Bounds for VqTaskConfig {
    fn check(&self) -> Result<(), TrainError> {
        self.loss.check()?;
        within("codebook_decay", self.codebook_decay, 0.0..1.0, "a number from 0 on and below 1")
    }
}

fn codebook_decay() -> f64 {
    0.99
}

/// An autoencoder with a codebook.
#[derive(Debug)]
pub struct VqTask {
    config: VqTaskConfig,
    setup: Setup,
    means: CodebookMeans,
    /// Latents of the batches of the latest step, and their codes.
    seen: Vec<(Tensor<4>, Tensor<1, Int>)>,
    usage: f32,
}

const SHOWN: usize = 16;
const COUNTS: &str = "codebook.safetensors";

impl VqTask {
    fn by_gradients(&self) -> bool {
        self.config.codebook_decay <= 0.0
    }
}

impl Task for VqTask {
    type Model = VqModel;
    type Batch = Tensor<4>;
    type Config = VqTaskConfig;

    /// Codes begin where the latents of the first step's batches are.
    fn open(config: VqTaskConfig, setup: Setup) -> Result<(Self, VqModel), TrainError> {
        let network = &config.model.config;
        multiple("data.size", setup.data.size as usize, network.downsampling())?;
        let mut model = network.init(&setup.autodiff()).map_err(TrainError::table("model"))?.materialize();
        let means = CodebookMeans::new(&model.quantize, config.codebook_decay);
        let task = Self { config, setup, means, seen: Vec::new(), usage: 0.0 };
        let batches = 0..task.setup.trainer.gradient_accumulation;
        let latents = batches.map(|index| Ok(model.encode(task.batch(index)?).detach()));
        let latents = Tensor::cat(latents.collect::<Result<Vec<_>, TrainError>>()?, 0);
        let indices = model.quantize(latents.clone()).indices;
        let mut first = CodebookMeans::new(&model.quantize, 0.0);
        model.quantize = first.update(model.quantize, latents, indices, &mut task.setup.generator(0));
        if !task.by_gradients() {
            model.quantize = model.quantize.no_grad();
        }
        Ok((task, model))
    }

    fn batch(&self, index: usize) -> Result<Tensor<4>, TrainError> {
        Ok(self.setup.batch(index)?.images)
    }

    fn loss(&mut self, model: &VqModel, image: Tensor<4>, _generator: &mut Generator) -> Tensor<1> {
        let latents = model.encode(image.clone());
        let quantized = model.quantize(latents.clone());
        self.seen.push((latents.detach(), quantized.indices));
        let decoded = model.decode(quantized.values);
        let loss = self.config.loss.of_images(image, decoded) + quantized.commitment_loss;
        if self.by_gradients() { loss + quantized.codebook_loss } else { loss }
    }

    fn after_step(&mut self, trainer: &mut Trainer<VqModel>) -> Result<(), TrainError> {
        let (latents, indices): (Vec<_>, Vec<_>) = self.seen.drain(..).unzip();
        let (latents, indices) = (Tensor::cat(latents, 0), Tensor::cat(indices, 0));
        self.usage = trainer.model().quantize.usage(indices.clone()).into_scalar::<f32>();
        if !self.by_gradients() {
            let mut generator = self.setup.generator(trainer.steps());
            trainer.change(|mut model| {
                model.quantize = self.means.update(model.quantize, latents, indices, &mut generator).no_grad();
                model
            });
        }
        Ok(())
    }

    fn report(&self) -> Option<String> {
        Some(format!("{:.0} of {} codes in use", self.usage, self.means.counts.dims()[0]))
    }

    fn save(&self, folder: &Path) -> Result<(), TrainError> {
        Ok(save_tensors(&folder.join(COUNTS), &[("counts", self.means.counts.to_data())])?)
    }

    fn resume(&mut self, folder: &Path) -> Result<(), TrainError> {
        let counts = SafetensorsFile::open(&folder.join(COUNTS)).and_then(|file| file.read("counts"));
        let counts = counts.map_err(TrainError::checkpoint(folder))?;
        self.means.counts = Tensor::from_data(counts, self.setup.device.tensors());
        Ok(())
    }

    fn samples(&self, model: &VqModel) -> Result<RgbImage, TrainError> {
        let images = self.setup.shown(SHOWN)?;
        let decoded = model.decode(model.quantize(model.encode(images.clone())).values);
        Ok(above(images, decoded))
    }

    fn export(&self, model: &VqModel, folder: &Path) -> Result<(), TrainError> {
        let file = self.config.model.clone().with_keys(json!({ "sample_size": self.setup.data.size }));
        write_model(folder, "VQModel", with_block_types(file.to_json()), model)
    }
}
