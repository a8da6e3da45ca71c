//! `train autoencoder` with a codebook.

use std::path::Path;

use burn::module::Module;
use burn::tensor::Tensor;
use image::RgbImage;
use pyrograph::Device;
use pyrograph_autoencoder::{VqModel, VqModelConfig};
use pyrograph_checkpoint::{SafetensorsFile, Weights, save_tensors};
use serde::Deserialize;
use serde_json::Value;

use super::diffusers::write_model;
use super::pictures::above;
use super::{DataConfig, OutputConfig, Run};
use crate::folder::replace_folder;
use crate::{AutoencoderLoss, CodebookMeans, Dataset, TrainError, Trainer, TrainerConfig};

/// The TOML file of a run.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VqRunConfig {
    /// The pictures.
    pub data: DataConfig,
    /// What is written.
    pub output: OutputConfig,
    /// How it is optimised.
    #[serde(default)]
    pub trainer: TrainerConfig,
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

/// An autoencoder with a codebook in training.
#[derive(Debug)]
pub struct VqRun {
    config: VqRunConfig,
    dataset: Dataset,
    trainer: Trainer<VqModel>,
    means: CodebookMeans,
    usage: f32,
    device: Device,
}

const SHOWN: usize = 16;
const COUNTS: &str = "codebook.safetensors";

impl VqRun {
    /// Opens the data and makes the model, whose codes begin where the latents of a batch are.
    ///
    /// # Errors
    /// When the data cannot be read, or the configuration describes no such autoencoder.
    pub fn new(config: VqRunConfig, device: &Device) -> Result<Self, TrainError> {
        let dataset = config.data.open()?;
        let wrong = |problem: String| TrainError::config("model", problem);
        let model_config: VqModelConfig =
            Deserialize::deserialize(&config.model).map_err(|error: serde_json::Error| wrong(error.to_string()))?;
        let autodiff = config.trainer.device(device);
        autodiff.seed(config.trainer.seed);
        let mut model = model_config.init(&autodiff).map_err(|error| wrong(error.to_string()))?.materialize();
        let latents =
            model.encode(dataset.batch(0, config.data.batch_size, config.trainer.seed, &autodiff)?.images, usize::MAX);
        let indices = model.quantize(latents.clone()).indices;
        let mut generator = pyrograph_scheduler::Generator::new(config.trainer.seed);
        let mut first = CodebookMeans::new(&model.quantize, 0.0);
        model.quantize = first.update(model.quantize, latents, indices, &mut generator);
        if config.codebook_decay > 0.0 {
            model.quantize = model.quantize.no_grad();
        }
        Ok(Self {
            means: CodebookMeans::new(&model.quantize, config.codebook_decay),
            trainer: Trainer::new(model, config.trainer.clone()),
            usage: 0.0,
            device: device.clone(),
            config,
            dataset,
        })
    }
}

impl Run for VqRun {
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
        let Self { config, dataset, trainer, means, usage, device } = self;
        let batches = dataset.batches_of(trainer, config.data.batch_size, &config.trainer.device(device))?;
        let mut images = batches.into_iter().map(|batch| batch.images);
        let mut generator = trainer.generator_of_data(trainer.batches().start);
        let (gradients, mut seen) = (config.codebook_decay <= 0.0, None);
        let loss = trainer.step(|model, _| {
            let image = images.next().expect("there is one for each accumulation");
            let latents = model.encode(image.clone(), usize::MAX);
            let quantized = model.quantize(latents.clone());
            seen = Some((latents.detach(), quantized.indices));
            let decoded = model.decode(quantized.values, usize::MAX);
            let loss = config.loss.of_pictures(image, decoded) + quantized.commitment_loss;
            if gradients { loss + quantized.codebook_loss } else { loss }
        })?;
        if let Some((latents, indices)) = seen {
            *usage = trainer.model().quantize.usage(indices.clone()).into_scalar::<f32>();
            if !gradients {
                trainer.change(|mut model| {
                    model.quantize = means.update(model.quantize, latents, indices, &mut generator).no_grad();
                    model
                });
            }
        }
        Ok(loss)
    }

    fn report(&self) -> Option<String> {
        Some(format!("{:.0} of {} codes in use", self.usage, self.means.counts.dims()[0]))
    }

    fn save(&self, folder: &Path) -> Result<(), TrainError> {
        self.trainer.save_with(folder, |new| {
            let saved = save_tensors(&new.join(COUNTS), &[("counts", self.means.counts.to_data())]);
            saved.map_err(|error| TrainError::checkpoint(folder, error))
        })
    }

    fn resume(&mut self, folder: &Path) -> Result<(), TrainError> {
        let counts = SafetensorsFile::open(&folder.join(COUNTS)).and_then(|file| file.read("counts"));
        let counts = counts.map_err(|error| TrainError::checkpoint(folder, error))?;
        self.means.counts = Tensor::from_data(counts, self.device.tensors());
        self.trainer = Trainer::resume(self.trainer.model().clone(), self.config.trainer.clone(), folder)?;
        Ok(())
    }

    fn samples(&self) -> Result<RgbImage, TrainError> {
        let images = self.dataset.batch(0, SHOWN, 0, self.device.tensors())?.images;
        let model = self.trainer.averaged();
        let decoded = model.decode(model.quantize(model.encode(images.clone(), usize::MAX)).values, usize::MAX);
        Ok(above(images, decoded))
    }

    fn export(&self, folder: &Path) -> Result<(), TrainError> {
        let mut config = self.config.model.clone();
        config["sample_size"] = self.config.data.size.into();
        replace_folder(folder, |new| write_model(new, "VQModel", &config, self.trainer.averaged()))
    }
}
