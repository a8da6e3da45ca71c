//! Preprocessing of images for CLIP's image tower.

use burn::tensor::{Tensor, TensorData};
use image::RgbImage;
use serde::Deserialize;
use serde_json::Value;

use crate::resize::{CENTER, crop_square};
use crate::{Device, Error};

/// transformers' `CLIPImageProcessor`, with the settings of `preprocessor_config.json`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ImageProcessor {
    /// The length of the shorter side after scaling.
    shortest_edge: u32,
    /// Width and height of the crop from the middle.
    crop: u32,
    mean: [f32; 3],
    std: [f32; 3],
}

/// Mean of the training images of OpenAI's CLIP, on a scale from 0 to 1.
const MEAN: [f32; 3] = [0.481_454_66, 0.457_827_5, 0.408_210_73];
const STD: [f32; 3] = [0.268_629_54, 0.261_302_6, 0.275_777_1];

/// The settings that are read from `preprocessor_config.json`.
#[derive(Deserialize)]
#[serde(default)]
struct Settings {
    size: Size,
    resample: u8,
    image_mean: [f32; 3],
    image_std: [f32; 3],
}

impl Default for Settings {
    fn default() -> Self {
        Self { size: Size::Other {}, resample: BICUBIC, image_mean: MEAN, image_std: STD }
    }
}

/// Pillow's number of bicubic interpolation.
const BICUBIC: u8 = 3;

/// Older files have only the number. A height and a width mean that images are scaled to a square without keeping their
/// proportions.
#[derive(Clone, Copy, Deserialize)]
#[serde(untagged)]
enum Size {
    Edge(u32),
    Shortest { shortest_edge: u32 },
    Square { height: u32, width: u32 },
    Other {},
}

impl ImageProcessor {
    /// For an image tower with inputs of `image_size` x `image_size` pixels.
    pub(crate) fn new(config: Option<&Value>, image_size: usize) -> Result<Self, Error> {
        let wrong = |problem: String| Error::request("preprocessor_config.json", problem);
        let settings = config.map(Settings::deserialize).transpose().map_err(|error| wrong(error.to_string()))?;
        let Settings { size, resample, image_mean: mean, image_std: std } = settings.unwrap_or_default();
        let crop = image_size as u32;
        let shortest_edge = match size {
            Size::Edge(edge) | Size::Shortest { shortest_edge: edge } => edge,
            Size::Square { height, width } => {
                return Err(wrong(format!("size is {height}x{width}; only a `shortest_edge` is supported")));
            }
            Size::Other {} => crop,
        };
        if !(crop..=1 << 14).contains(&shortest_edge) {
            let problem = format!("size is {shortest_edge}; {crop} to 16384 are possible");
            return Err(wrong(problem));
        }
        if resample != BICUBIC {
            return Err(wrong(format!("resample is {resample}; only {BICUBIC}, bicubic, is supported")));
        }
        if !std.iter().all(|&std| std > 0.0) {
            return Err(wrong(format!("image_std is {std:?}; positive numbers are expected")));
        }
        Ok(Self { shortest_edge, crop, mean, std })
    }

    /// # Shapes
    /// `[1, 3, image_size, image_size]`
    ///
    /// # Errors
    /// Returns an error if the image has no pixels, or is so long that the crop shows almost nothing of it.
    pub(crate) fn tensor(&self, image: &RgbImage, device: &Device) -> Result<Tensor<4>, Error> {
        let cropped = crop_square(image, self.shortest_edge, self.crop, CENTER);
        let cropped = cropped.map_err(|error| Error::request("image", error.to_string()))?;
        let values = |channel: usize| {
            let (mean, std) = (self.mean[channel], self.std[channel]);
            cropped.pixels().map(move |pixel| (f32::from(pixel.0[channel]) / 255.0 - mean) / std)
        };
        let pixels: Vec<f32> = (0..3).flat_map(values).collect();
        let size = self.crop as usize;
        Ok(Tensor::from_data(TensorData::new(pixels, [1, 3, size, size]), device.tensors()))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::read_image;

    /// Compares with the tensors that transformers made from these images, see `tests/reference/clip_model.py`. Where a
    /// value lies between two of the 255 steps, Pillow's fixed-point numbers may round it the other way; this happens
    /// once in these 1536 values.
    #[test]
    fn images_are_those_of_transformers() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference");
        let dump = pyrograph_checkpoint::open_weights(&folder.join("clip_model.safetensors")).expect("it is committed");
        let config = std::fs::read_to_string(folder.join("tiny-clip/preprocessor_config.json")).expect("so is this");
        let config = serde_json::from_str(&config).expect("JSON");
        let processor = ImageProcessor::new(Some(&config), 16).expect("known settings");
        let device = crate::device("cpu").expect("the CPU is always there");
        for name in ["wide", "small"] {
            let image = read_image(folder.join(format!("tiny-clip/{name}.png"))).expect("an image");
            let actual = processor.tensor(&image, &device).expect("an ordinary image");
            let expected =
                Tensor::from_data(dump.read(&format!("{name}/pixels")).expect("it is there"), device.tensors());
            let std = Tensor::<1>::from_floats(processor.std, device.tensors()).reshape([1, 3, 1, 1]);
            let steps = ((actual - expected) * std * 255.0).abs();
            let (worst, mean) = (steps.clone().max().into_scalar::<f32>(), steps.mean().into_scalar::<f32>());
            assert!(worst < 1.01 && mean < 0.005, "{name}: {worst} of 255 steps, {mean} in the mean");
        }
    }

    #[test]
    fn settings_that_are_not_known_are_named() {
        let refusal = |json: &str| {
            let config = serde_json::from_str(json).expect("JSON");
            ImageProcessor::new(Some(&config), 16).expect_err(json).to_string()
        };
        assert!(refusal(r#"{"resample": 2}"#).contains("resample is 2"));
        assert!(refusal(r#"{"size": 8}"#).contains("size is 8"));
        assert!(refusal(r#"{"size": {"height": 16, "width": 16}}"#).contains("size is 16x16"));
        assert!(refusal(r#"{"image_std": [1, 0, 1]}"#).contains("image_std"));
        assert!(refusal(r#"{"image_mean": 3}"#).starts_with("preprocessor_config.json: "));
        let absent = ImageProcessor::new(None, 16).expect("the defaults");
        assert_eq!((absent.shortest_edge, absent.crop, absent.mean, absent.std), (16, 16, MEAN, STD));
    }

    #[test]
    fn images_without_pixels_and_threads_are_refused() {
        let processor = ImageProcessor::new(None, 16).expect("the defaults");
        let device = crate::device("cpu").expect("the CPU is always there");
        for (width, height) in [(0, 0), (1, 101), (5000, 3)] {
            assert!(processor.tensor(&RgbImage::new(width, height), &device).is_err(), "{width}x{height}");
        }
        assert_eq!(processor.tensor(&RgbImage::new(1, 100), &device).expect("narrow").dims(), [1, 3, 16, 16]);
    }
}
