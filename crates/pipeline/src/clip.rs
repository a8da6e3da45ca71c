//! Similarity of images and texts.

use std::path::Path;

use burn::tensor::{DType, Tensor};
use image::RgbImage;
use pyrograph_checkpoint::{ClipCheckpoint, Location, load};
use pyrograph_clip::{ClipConfig, ClipModel, Tokenizer, cosine_similarity};

use crate::clip_image::ImageProcessor;
use crate::readback::finite;
use crate::text::{table_is_too_large, tokenizer};
use crate::{Device, Error};

/// A CLIP model ([Radford et al.](https://arxiv.org/abs/2103.00020)) on a device, in float32.
#[derive(Debug)]
pub struct Clip {
    model: ClipModel,
    tokenizer: Tokenizer,
    processor: ImageProcessor,
    device: Device,
}

/// Texts that are encoded at once.
const BATCH: usize = 64;

impl Clip {
    /// Loads a folder in transformers' layout: `config.json`, `model.safetensors` or `pytorch_model.bin`, the files of
    /// the tokenizer, `preprocessor_config.json`. The last two are optional; the defaults are CLIP's own vocabulary,
    /// and the mean and standard deviation of CLIP's images.
    ///
    /// # Errors
    /// Returns an error if the folder cannot be read, or is not a CLIP model with both towers.
    pub fn from_path(folder: impl AsRef<Path>, device: &Device) -> Result<Self, Error> {
        Self::open(folder.as_ref(), device)
    }

    /// [`from_path`](Self::from_path) for a folder in any storage.
    ///
    /// # Errors
    /// The errors of [`from_path`](Self::from_path).
    pub fn open(folder: impl Into<Location>, device: &Device) -> Result<Self, Error> {
        let folder = folder.into();
        let checkpoint = ClipCheckpoint::open(folder.clone())?;
        let wrong = |cause| Error::Clip { folder: folder.path().to_owned(), cause };
        let config = ClipConfig::from_json(&checkpoint.model.config.to_string()).map_err(wrong)?;
        let channels = config.vision_config.num_channels;
        if channels != 3 {
            let problem = format!("num_channels is {channels}; only 3 is supported");
            return Err(Error::Misfit { part: "vision_config", problem });
        }
        let processor = ImageProcessor::new(checkpoint.preprocessor_config.as_ref(), config.vision_config.image_size)?;
        let tokenizer = tokenizer(&checkpoint.tokenizer, &config.text_config)?;
        let mut model = config.init(device.tensors());
        if table_is_too_large(&config.text_config, DType::F32, device) {
            model = model.with_token_table_on(&burn::tensor::Device::flex());
        }
        load(&mut model, checkpoint.model.weights.as_ref(), DType::F32)?;
        Ok(Self { model, tokenizer, processor, device: device.clone() })
    }

    /// The probability of each label, in their order, given that one of them describes the image. Labels are whole
    /// texts: "a photo of a cat" works better than "cat".
    ///
    /// # Errors
    /// Returns an error if there is no label, or a result is not finite.
    pub fn classify<S: AsRef<str>>(&self, image: &RgbImage, labels: &[S]) -> Result<Vec<f64>, Error> {
        if labels.is_empty() {
            return Err(Error::request("labels", "there is none; name what the image may show"));
        }
        let similarity = self.model.similarity(self.image(image)?, self.texts(labels)?); // [1, labels]
        Ok(softmax(&row(similarity)?))
    }

    /// The cosine of the angle between the embeddings of image and text, from -1 to 1.
    ///
    /// # Errors
    /// Returns an error if the result is not finite.
    pub fn score(&self, image: &RgbImage, text: &str) -> Result<f64, Error> {
        Ok(row(cosine_similarity(self.image(image)?, self.texts(&[text])?))?[0])
    }

    /// The end of a text that is too long for the model; `None` if the whole text is used.
    ///
    /// # Errors
    /// Returns an error if the text cannot be tokenized.
    pub fn dropped(&self, text: &str) -> Result<Option<String>, Error> {
        Ok(self.tokenizer.encode(text)?.dropped)
    }

    /// # Shapes
    /// `[1, projection_dim]`
    fn image(&self, image: &RgbImage) -> Result<Tensor<2>, Error> {
        let tensor = self.processor.tensor(image, &self.device)?;
        Ok(self.model.image_features(tensor))
    }

    /// # Shapes
    /// `[texts, projection_dim]`
    fn texts<S: AsRef<str>>(&self, texts: &[S]) -> Result<Tensor<2>, Error> {
        let features = texts.chunks(BATCH).map(|texts| {
            let ids = texts.iter().map(|text| Ok(self.tokenizer.encode(text.as_ref())?.ids));
            Ok(self.model.text_features(&ids.collect::<Result<Vec<_>, Error>>()?))
        });
        Ok(Tensor::cat(features.collect::<Result<Vec<_>, Error>>()?, 0))
    }
}

/// The values of a row.
fn row(x: Tensor<2>) -> Result<Vec<f64>, Error> {
    let values = pollster::block_on(finite("CLIP", "the checkpoint may be broken", x))?;
    Ok(values.into_iter().map(f64::from).collect())
}

fn softmax(logits: &[f64]) -> Vec<f64> {
    let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let exponentials: Vec<f64> = logits.iter().map(|logit| (logit - largest).exp()).collect();
    let sum: f64 = exponentials.iter().sum();
    exponentials.into_iter().map(|exponential| exponential / sum).collect()
}
