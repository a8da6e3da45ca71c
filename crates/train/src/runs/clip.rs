//! `train clip`: pictures and texts into one space.

use std::path::Path;

use burn::module::Module;
use burn::tensor::{DType, Tensor};
use image::RgbImage;
use pyrograph::Device;
use pyrograph_checkpoint::{ClipCheckpoint, load, save};
use pyrograph_clip::{ClipConfig, ClipModel};
use serde::Deserialize;
use serde_json::{Value, json};

use super::captions::CaptionTokenizer;
use super::diffusers::write_json;
use super::pictures::grid;
use super::{DataConfig, OutputConfig, Run};
use crate::folder::replace_folder;
use crate::{Batch, Dataset, TrainError, Trainer, TrainerConfig, contrastive_loss};

/// The TOML file of a run.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClipRunConfig {
    /// The pictures and their captions.
    pub data: DataConfig,
    /// What is written.
    pub output: OutputConfig,
    /// How it is optimised.
    #[serde(default)]
    pub trainer: TrainerConfig,
    /// Where the weights come from.
    #[serde(default)]
    pub start: ClipStartConfig,
    /// The keys of transformers' `config.json` for a `CLIPModel`; not needed where there is a checkpoint to start from.
    #[serde(default)]
    pub model: Value,
}

/// `[start]`: the weights that a CLIP begins with.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClipStartConfig {
    /// A folder with a `CLIPModel`; without it weights are random.
    pub checkpoint: Option<std::path::PathBuf>,
    /// Whether a new model knows the words of the captions alone, and has no table of forty thousand others.
    pub vocabulary_of_captions: bool,
}

/// A CLIP in training.
#[derive(Debug)]
pub struct ClipRun {
    config: ClipRunConfig,
    dataset: Dataset,
    tokenizer: CaptionTokenizer,
    trainer: Trainer<ClipModel>,
    device: Device,
}

/// Pictures of the upper row of samples, and those that the lower row is taken from.
const SHOWN: usize = 8;
const CANDIDATES: usize = 64;

impl ClipRun {
    /// Opens the data and makes or loads the model.
    ///
    /// # Errors
    /// When the data or the checkpoint cannot be read, or the configuration describes no CLIP.
    pub fn new(mut config: ClipRunConfig, device: &Device) -> Result<Self, TrainError> {
        let dataset = config.data.open()?;
        let wrong = |problem: String| TrainError::config("model", problem);
        let start = config.start.checkpoint.as_deref().map(ClipCheckpoint::open).transpose();
        let start = start.map_err(|error| TrainError::config("start", error.to_string()))?;
        if let Some(start) = &start {
            config.model.clone_from(&start.model.config);
        }
        let positions = config.model["text_config"]["max_position_embeddings"].as_u64().unwrap_or(77) as usize;
        let tokenizer = match &start {
            Some(start) => CaptionTokenizer::open(&start.tokenizer, positions)?,
            None => {
                let words = config.start.vocabulary_of_captions.then_some(&dataset);
                let tokenizer = CaptionTokenizer::new(words, positions)?;
                tokenizer.describe(&mut config.model["text_config"]);
                tokenizer
            }
        };
        if config.model["vision_config"]["image_size"].as_u64() != Some(u64::from(config.data.size)) {
            return Err(wrong(format!("vision_config.image_size must be data.size, {}", config.data.size)));
        }
        let clip = ClipConfig::from_json(&config.model.to_string()).map_err(|error| wrong(error.to_string()))?;
        let autodiff = config.trainer.device(device);
        autodiff.seed(config.trainer.seed);
        let mut model = clip.init(&autodiff);
        if let Some(start) = &start {
            load(&mut model, start.model.weights.as_ref(), DType::F32).map_err(|error| wrong(error.to_string()))?;
        }
        Ok(Self {
            trainer: Trainer::new(model.materialize(), config.trainer.clone()),
            device: device.clone(),
            config,
            dataset,
            tokenizer,
        })
    }
}

impl Run for ClipRun {
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
        let Self { config, dataset, tokenizer, trainer, device } = self;
        let (batch, dropout) = (config.data.batch_size, config.data.caption_tag_dropout);
        let autodiff = config.trainer.device(device);
        let batches = trainer.batches().map(|index| {
            let Batch { images, captions } = dataset.batch(index, batch, config.trainer.seed, &autodiff)?;
            let captions: Vec<&str> = captions.iter().map(String::as_str).collect();
            Ok((tokenizer.encode_some(&captions, dropout, &mut trainer.generator_of_data(index))?, images))
        });
        let mut batches = batches.collect::<Result<Vec<_>, TrainError>>()?.into_iter();
        trainer.step(|model, _| {
            let (texts, images) = batches.next().expect("there is one for each accumulation");
            let (images, texts) = (model.image_features(images), model.text_features(&texts)); // [batch, width]
            contrastive_loss(images, texts, model.logit_scale.val())
        })
    }

    fn save(&self, folder: &Path) -> Result<(), TrainError> {
        self.trainer.save(folder)
    }

    fn resume(&mut self, folder: &Path) -> Result<(), TrainError> {
        self.trainer = Trainer::resume(self.trainer.model().clone(), self.config.trainer.clone(), folder)?;
        Ok(())
    }

    /// Pictures, and below each the one of 64 that goes best with its caption.
    fn samples(&self) -> Result<RgbImage, TrainError> {
        let candidates = self.dataset.numbers(0, CANDIDATES.min(self.dataset.len()), 0);
        let shown = candidates.len().min(SHOWN);
        let images = self.dataset.images(&candidates, self.device.tensors())?;
        let model = self.trainer.averaged();
        let captions = candidates[..shown].iter().map(|&number| self.tokenizer.encode(self.dataset.caption(number)));
        let texts = captions.collect::<Result<Vec<_>, _>>()?;
        let similarity = model.similarity(model.image_features(images.clone()), model.text_features(&texts));
        let best = similarity.argmax(0).reshape([shown]); // [shown]
        let found = images.clone().select(0, best);
        Ok(grid(Tensor::cat(vec![images.narrow(0, 0, shown), found], 0), shown))
    }

    /// A `CLIPModel` with its tokenizer and picture processor.
    fn export(&self, folder: &Path) -> Result<(), TrainError> {
        let size = self.config.data.size;
        let half = [0.5, 0.5, 0.5]; // pictures are -1 ..= 1
        let processor = json!({
            "image_processor_type": "CLIPImageProcessor",
            "crop_size": { "height": size, "width": size }, "size": { "shortest_edge": size }, "resample": 3,
            "do_center_crop": true, "do_convert_rgb": true, "do_normalize": true, "do_rescale": true, "do_resize": true,
            "image_mean": half, "image_std": half,
        });
        let mut config = self.config.model.clone();
        config["model_type"] = "clip".into();
        config["architectures"] = json!(["CLIPModel"]);
        replace_folder(folder, |new| {
            write_json(&new.join("config.json"), &config)?;
            write_json(&new.join("preprocessor_config.json"), &processor)?;
            let saved = save(self.trainer.averaged(), &new.join("model.safetensors"), "", DType::F16);
            saved.map_err(|error| TrainError::checkpoint(folder, error))?;
            self.tokenizer.write(new)
        })
    }
}
