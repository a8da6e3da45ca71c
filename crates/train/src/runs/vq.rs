//! `train autoencoder` with a codebook.

use std::path::Path;

use burn::module::Module;
use burn::tensor::{Int, Tensor};
use image::RgbImage;
use pyrograph::Device;
use pyrograph_autoencoder::{VqModel, VqModelConfig};
use pyrograph_checkpoint::{SafetensorsFile, Weights, read_config, save_tensors};
use pyrograph_scheduler::Generator;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::diffusers::write_model;
use super::pictures::above;
use super::{RunConfig, Task, multiple};
use crate::folder::replace_folder;
use crate::{AutoencoderLoss, CodebookMeans, Dataset, TrainError, Trainer};

/// The tables of a run's file beside those that all have.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct VqTaskConfig {
    /// What is minimised; there is no divergence.
    #[serde(default)]
    pub loss: AutoencoderLoss,
    /// The keys of diffusers' `config.json` for a `VQModel`.
    pub model: Value,
    /// How much a code keeps of itself in a step ([`CodebookMeans`]); 0.99. With 0 codes are learnt by gradients.
    #[serde(default = "codebook_decay")]
    pub codebook_decay: f64,
}

fn codebook_decay() -> f64 {
    0.99
}

/// An autoencoder with a codebook.
#[derive(Debug)]
pub struct VqTask {
    config: RunConfig<VqTaskConfig>,
    dataset: Dataset,
    means: CodebookMeans,
    /// Latents of the batches of the latest step and the codes that they chose.
    seen: Vec<(Tensor<4>, Tensor<1, Int>)>,
    usage: f32,
    device: Device,
}

const SHOWN: usize = 16;
const COUNTS: &str = "codebook.safetensors";

impl VqTask {
    fn by_gradients(&self) -> bool {
        self.config.task.codebook_decay <= 0.0
    }
}

impl Task for VqTask {
    type Model = VqModel;
    type Batch = Tensor<4>;
    type Config = VqTaskConfig;

    /// Codes begin where the latents of the first step's batches are.
    fn open(config: RunConfig<VqTaskConfig>, dataset: Dataset, device: &Device) -> Result<(Self, VqModel), TrainError> {
        let wrong = |problem: String| TrainError::config("model", problem);
        let read = read_config("config.json", "VQModel", &config.task.model);
        let (model_config, _): (VqModelConfig, _) = read.map_err(|error| wrong(error.to_string()))?;
        multiple("data.size", config.data.size as usize, model_config.downsampling())?;
        let model = model_config.init(&config.trainer.device(device)).map_err(|error| wrong(error.to_string()))?;
        let (mut model, decay) = (model.materialize(), config.task.codebook_decay);
        let means = CodebookMeans::new(&model.quantize, decay);
        let task = Self { config, dataset, means, seen: Vec::new(), usage: 0.0, device: device.clone() };
        let batches = 0..task.config.trainer.gradient_accumulation;
        let latents = batches.map(|index| Ok(model.encode(task.batch(index)?).detach()));
        let latents = Tensor::cat(latents.collect::<Result<Vec<_>, TrainError>>()?, 0);
        let indices = model.quantize(latents.clone()).indices;
        let mut generator = task.config.trainer.generator_of_data(0);
        model.quantize =
            CodebookMeans::new(&model.quantize, 0.0).update(model.quantize, latents, indices, &mut generator);
        if !task.by_gradients() {
            model.quantize = model.quantize.no_grad();
        }
        Ok((task, model))
    }

    fn batch(&self, index: usize) -> Result<Tensor<4>, TrainError> {
        let RunConfig { data, trainer, .. } = &self.config;
        Ok(self.dataset.batch(index, data.batch_size, trainer.seed, &trainer.device(&self.device))?.images)
    }

    fn loss(&mut self, model: &VqModel, image: Tensor<4>, _generator: &mut Generator) -> Tensor<1> {
        let latents = model.encode(image.clone());
        let quantized = model.quantize(latents.clone());
        self.seen.push((latents.detach(), quantized.indices));
        let decoded = model.decode(quantized.values);
        let loss = self.config.task.loss.of_pictures(image, decoded) + quantized.commitment_loss;
        if self.by_gradients() { loss + quantized.codebook_loss } else { loss }
    }

    fn after_step(&mut self, trainer: &mut Trainer<VqModel>) -> Result<(), TrainError> {
        let (latents, indices): (Vec<_>, Vec<_>) = self.seen.drain(..).unzip();
        let (latents, indices) = (Tensor::cat(latents, 0), Tensor::cat(indices, 0));
        self.usage = trainer.model().quantize.usage(indices.clone()).into_scalar::<f32>();
        if !self.by_gradients() {
            let mut generator = self.config.trainer.generator_of_data(trainer.steps());
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
        let counts = counts.map_err(|error| TrainError::checkpoint(folder, error))?;
        self.means.counts = Tensor::from_data(counts, self.device.tensors());
        Ok(())
    }

    fn samples(&self, model: &VqModel) -> Result<RgbImage, TrainError> {
        let images = self.dataset.batch(0, SHOWN, 0, self.device.tensors())?.images;
        let decoded = model.decode(model.quantize(model.encode(images.clone())).values);
        Ok(above(images, decoded))
    }

    fn export(&self, model: &VqModel, folder: &Path) -> Result<(), TrainError> {
        let mut config = self.config.task.model.clone();
        config["sample_size"] = self.config.data.size.into();
        replace_folder(folder, |new| write_model(new, "VQModel", &config, model))
    }
}
