//! `train clip`: images and texts into one space.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use burn::module::Param;
use burn::tensor::{DType, Tensor};
use image::RgbImage;
use pyrograph_checkpoint::{ClipCheckpoint, Weights, load, save};
use pyrograph_clip::{ClipConfig, ClipModel};
use pyrograph_scheduler::Generator;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::captions::CaptionTokenizer;
use super::diffusers::write_json;
use super::{ConfigFile, Setup, Task};
use crate::bounds::{required, unless, without_effect};
use crate::image_grid::grid;
use crate::{Batch, Bounds, TrainError, Trainer, contrastive_loss};

/// The tables of a CLIP's recipe.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClipTaskConfig {
    /// Where the weights come from.
    pub start: ClipStartConfig,
    /// `config.json` of a `CLIPModel`; not needed where there is a checkpoint to start from.
    pub model: Option<ConfigFile<ClipConfig>>,
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

impl Bounds for ClipTaskConfig {
    fn check(&self) -> Result<(), TrainError> {
        Ok(()) // it has no numbers but those of the model
    }
}

/// A CLIP (Radford et al., <https://arxiv.org/abs/2103.00020>).
#[derive(Debug)]
pub struct ClipTask {
    model: ConfigFile<ClipConfig>,
    setup: Setup,
    tokenizer: CaptionTokenizer,
}

/// Images of the upper row of samples, and those that the lower row is taken from.
const SHOWN: usize = 8;
const CANDIDATES: usize = 64;
/// The most that similarities are multiplied by, as in the paper.
const LARGEST_SCALE: f64 = 100.0;

impl Task for ClipTask {
    type Model = ClipModel;
    type Batch = (Vec<Vec<u32>>, Tensor<4>);
    type Config = ClipTaskConfig;

    fn open(config: ClipTaskConfig, setup: Setup) -> Result<(Self, ClipModel), TrainError> {
        let Parts { model, tokenizer, weights } = Parts::open(config, &setup)?;
        let (size, trained) = (model.config.vision_config.image_size, setup.data.size);
        let expected = format!("{trained}, as data.size is,");
        unless(size == trained as usize, "model.vision_config.image_size", size, expected)?;
        let mut clip = model.config.init(&setup.autodiff());
        if let Some(weights) = weights {
            load(&mut clip, weights.as_ref(), DType::F32).map_err(TrainError::table("model"))?;
        }
        Ok((Self { model, setup, tokenizer }, clip))
    }

    fn batch(&self, index: usize) -> Result<Self::Batch, TrainError> {
        let Batch { images, captions } = self.setup.batch(index)?;
        let captions: Vec<&str> = captions.iter().map(String::as_str).collect();
        let mut generator = self.setup.generator(index);
        let dropout = self.setup.data.caption_tag_dropout;
        Ok((self.tokenizer.encode_some(&captions, dropout, &mut generator)?, images))
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

    /// Images, and below each the one of 64 that goes best with its caption.
    fn samples(&self, model: &ClipModel) -> Result<RgbImage, TrainError> {
        let Setup { dataset, device, .. } = &self.setup;
        let candidates = dataset.numbers(0, CANDIDATES.min(dataset.len()), 0);
        let shown = candidates.len().min(SHOWN);
        let images = dataset.images(&candidates, false, device.tensors())?;
        let captions = candidates[..shown].iter().map(|&number| self.tokenizer.encode(dataset.caption(number)));
        let texts = captions.collect::<Result<Vec<_>, _>>()?;
        let similarity = model.similarity(model.image_features(images.clone()), model.text_features(&texts));
        let best = similarity.argmax(0).reshape([shown]); // [shown]
        let found = images.clone().select(0, best);
        Ok(grid(Tensor::cat(vec![images.narrow(0, 0, shown), found], 0), shown))
    }

    /// A `CLIPModel` with its tokenizer and image processor.
    fn export(&self, model: &ClipModel, folder: &Path) -> Result<(), TrainError> {
        let size = self.setup.data.size;
        let half = [0.5, 0.5, 0.5]; // images are -1 ..= 1
        let processor = json!({
            "image_processor_type": "CLIPImageProcessor",
            "crop_size": { "height": size, "width": size }, "size": { "shortest_edge": size }, "resample": 3,
            "do_center_crop": true, "do_convert_rgb": true, "do_normalize": true, "do_rescale": true, "do_resize": true,
            "image_mean": half, "image_std": half,
        });
        let file = self.model.clone().with_keys(json!({ "model_type": "clip", "architectures": ["CLIPModel"] }));
        write_json(&folder.join("config.json"), &file.to_json())?;
        write_json(&folder.join("preprocessor_config.json"), &processor)?;
        save(model, &folder.join("model.safetensors"), "", DType::F16, &[])?;
        self.tokenizer.write(folder)
    }
}

/// A CLIP before it is made: that of the checkpoint to start from, or one of the recipe's configuration.
struct Parts {
    model: ConfigFile<ClipConfig>,
    tokenizer: CaptionTokenizer,
    weights: Option<Arc<dyn Weights>>,
}

impl Parts {
    fn open(config: ClipTaskConfig, setup: &Setup) -> Result<Self, TrainError> {
        let ClipTaskConfig { start, model } = config;
        if let Some(folder) = &start.checkpoint {
            without_effect("model", model.is_some(), "start.checkpoint")?;
            without_effect("start.vocabulary_of_captions", start.vocabulary_of_captions, "start.checkpoint")?;
            let ClipCheckpoint { model, tokenizer, .. } =
                ClipCheckpoint::open(folder.as_path()).map_err(TrainError::table("start"))?;
            let file: ConfigFile<ClipConfig> = ConfigFile::read(model.config).map_err(TrainError::table("model"))?;
            let tokenizer = CaptionTokenizer::open(&tokenizer, file.config.text_config.max_position_embeddings)?;
            return Ok(Self { model: file, tokenizer, weights: Some(model.weights) });
        }
        let mut model = required("model", model, "a table [model], or start.checkpoint,")?;
        let tower = &mut model.config.text_config;
        let words = start.vocabulary_of_captions.then_some(&setup.dataset);
        let tokenizer = CaptionTokenizer::new(words, tower.max_position_embeddings)?;
        tokenizer.describe(tower);
        let model = model.with_keys(json!({ "text_config": tokenizer.more_keys() }));
        Ok(Self { model, tokenizer, weights: None })
    }
}
