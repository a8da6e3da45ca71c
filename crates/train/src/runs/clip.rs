//! `train clip`: pictures and texts into one space.

use std::path::{Path, PathBuf};

use burn::module::Param;
use burn::tensor::{DType, Tensor};
use image::RgbImage;
use pyrograph::Device;
use pyrograph_checkpoint::{ClipCheckpoint, load, save};
use pyrograph_clip::{ClipConfig, ClipModel};
use pyrograph_scheduler::Generator;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::captions::CaptionTokenizer;
use super::diffusers::write_json;
use super::pictures::grid;
use super::{RunConfig, Task};
use crate::folder::replace_folder;
use crate::{Batch, Dataset, TrainError, Trainer, contrastive_loss};

/// The tables of a run's file beside those that all have.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClipTaskConfig {
    /// Where the weights come from.
    pub start: ClipStartConfig,
    /// The keys of transformers' `config.json` for a `CLIPModel`; not needed where there is a checkpoint to start from.
    pub model: Value,
}

/// `[start]`: the weights that a CLIP begins with.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClipStartConfig {
    /// A folder with a `CLIPModel`; without it weights are random.
    pub checkpoint: Option<PathBuf>,
    /// Whether a new model knows the words of the captions alone, and has no table of forty thousand others.
    pub vocabulary_of_captions: bool,
}

/// CLIP: pictures and texts into one space.
#[derive(Debug)]
pub struct ClipTask {
    config: RunConfig<ClipTaskConfig>,
    dataset: Dataset,
    tokenizer: CaptionTokenizer,
    device: Device,
}

/// Pictures of the upper row of samples, and those that the lower row is taken from.
const SHOWN: usize = 8;
const CANDIDATES: usize = 64;
/// The most that similarities are multiplied by, as in the paper.
const LARGEST_SCALE: f64 = 100.0;

impl Task for ClipTask {
    type Model = ClipModel;
    type Batch = (Vec<Vec<u32>>, Tensor<4>);
    type Config = ClipTaskConfig;

    fn open(
        mut config: RunConfig<ClipTaskConfig>,
        dataset: Dataset,
        device: &Device,
    ) -> Result<(Self, ClipModel), TrainError> {
        let ClipTaskConfig { start, model } = &mut config.task;
        let wrong = |problem: String| TrainError::config("model", problem);
        let checkpoint = start.checkpoint.as_deref().map(ClipCheckpoint::open).transpose();
        let checkpoint = checkpoint.map_err(|error| TrainError::config("start", error.to_string()))?;
        if let Some(checkpoint) = &checkpoint {
            model.clone_from(&checkpoint.model.config);
        }
        let positions = model["text_config"]["max_position_embeddings"].as_u64().unwrap_or(77) as usize;
        let tokenizer = match &checkpoint {
            Some(checkpoint) => CaptionTokenizer::open(&checkpoint.tokenizer, positions)?,
            None => {
                let words = start.vocabulary_of_captions.then_some(&dataset);
                let tokenizer = CaptionTokenizer::new(words, positions)?;
                tokenizer.describe(&mut model["text_config"]);
                tokenizer
            }
        };
        if model["vision_config"]["image_size"].as_u64() != Some(u64::from(config.data.size)) {
            return Err(wrong(format!("vision_config.image_size must be data.size, {}", config.data.size)));
        }
        let clip = ClipConfig::from_json(&model.to_string()).map_err(|error| wrong(error.to_string()))?;
        let mut model = clip.init(&config.trainer.device(device));
        if let Some(checkpoint) = &checkpoint {
            load(&mut model, checkpoint.model.weights.as_ref(), DType::F32)
                .map_err(|error| wrong(error.to_string()))?;
        }
        Ok((Self { config, dataset, tokenizer, device: device.clone() }, model))
    }

    fn batch(&self, index: usize) -> Result<Self::Batch, TrainError> {
        let RunConfig { data, trainer, .. } = &self.config;
        let device = trainer.device(&self.device);
        let Batch { images, captions } = self.dataset.batch(index, data.batch_size, trainer.seed, &device)?;
        let captions: Vec<&str> = captions.iter().map(String::as_str).collect();
        let mut generator = trainer.generator_of_data(index);
        Ok((self.tokenizer.encode_some(&captions, data.caption_tag_dropout, &mut generator)?, images))
    }

    fn loss(&mut self, model: &ClipModel, (texts, images): Self::Batch, _generator: &mut Generator) -> Tensor<1> {
        let (images, texts) = (model.image_features(images), model.text_features(&texts)); // [batch, width]
        contrastive_loss(images, texts, model.logit_scale.val())
    }

    fn after_step(&mut self, trainer: &mut Trainer<ClipModel>) -> Result<(), TrainError> {
        trainer.change(|mut model| {
            let scale = model.logit_scale.val().inner().clamp_max(LARGEST_SCALE.ln());
            model.logit_scale = Param::initialized(model.logit_scale.id, scale.autodiff().require_grad());
            model
        });
        Ok(())
    }

    /// Pictures, and below each the one of 64 that goes best with its caption.
    fn samples(&self, model: &ClipModel) -> Result<RgbImage, TrainError> {
        let candidates = self.dataset.numbers(0, CANDIDATES.min(self.dataset.len()), 0);
        let shown = candidates.len().min(SHOWN);
        let images = self.dataset.images(&candidates, false, self.device.tensors())?;
        let captions = candidates[..shown].iter().map(|&number| self.tokenizer.encode(self.dataset.caption(number)));
        let texts = captions.collect::<Result<Vec<_>, _>>()?;
        let similarity = model.similarity(model.image_features(images.clone()), model.text_features(&texts));
        let best = similarity.argmax(0).reshape([shown]); // [shown]
        let found = images.clone().select(0, best);
        Ok(grid(Tensor::cat(vec![images.narrow(0, 0, shown), found], 0), shown))
    }

    /// A `CLIPModel` with its tokenizer and picture processor.
    fn export(&self, model: &ClipModel, folder: &Path) -> Result<(), TrainError> {
        let size = self.config.data.size;
        let half = [0.5, 0.5, 0.5]; // pictures are -1 ..= 1
        let processor = json!({
            "image_processor_type": "CLIPImageProcessor",
            "crop_size": { "height": size, "width": size }, "size": { "shortest_edge": size }, "resample": 3,
            "do_center_crop": true, "do_convert_rgb": true, "do_normalize": true, "do_rescale": true, "do_resize": true,
            "image_mean": half, "image_std": half,
        });
        let mut config = self.config.task.model.clone();
        config["model_type"] = "clip".into();
        config["architectures"] = json!(["CLIPModel"]);
        replace_folder(folder, |new| {
            write_json(&new.join("config.json"), &config)?;
            write_json(&new.join("preprocessor_config.json"), &processor)?;
            save(model, &new.join("model.safetensors"), "", DType::F16, &[])?;
            self.tokenizer.write(new)
        })
    }
}
