//! Pictures as CLIP's image tower reads them.

use std::path::Path;

use burn::tensor::{Tensor, TensorData};
use image::imageops::{FilterType, crop_imm, resize};
use image::{DynamicImage, ImageReader, Rgb, RgbImage};
use serde::Deserialize;
use serde_json::Value;

use crate::{Device, Error};

/// Reads a PNG, JPEG or WebP file, of the format that its first bytes tell; what is transparent is put on white ground.
///
/// # Errors
/// When the file cannot be read or is no such picture.
pub fn read_image(path: impl AsRef<Path>) -> Result<RgbImage, Error> {
    let path = path.as_ref();
    let failed = |problem: String| Error::Read { path: path.to_owned(), problem };
    let reader = ImageReader::open(path).and_then(ImageReader::with_guessed_format);
    let reader = reader.map_err(|error| failed(error.to_string()))?;
    Ok(on_white(&reader.decode().map_err(|error| failed(error.to_string()))?))
}

fn on_white(image: &DynamicImage) -> RgbImage {
    let rgba = image.to_rgba8();
    let blend = |channel: u8, alpha: u8| {
        let (channel, alpha) = (u32::from(channel), u32::from(alpha));
        ((channel * alpha + 255 * (255 - alpha) + 127) / 255) as u8
    };
    RgbImage::from_fn(rgba.width(), rgba.height(), |x, y| {
        let [r, g, b, alpha] = rgba.get_pixel(x, y).0;
        Rgb([r, g, b].map(|channel| blend(channel, alpha)))
    })
}

/// What transformers' `CLIPImageProcessor` does, with the settings of `preprocessor_config.json`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ImageProcessor {
    /// What the shorter side becomes.
    shortest_edge: u32,
    /// Width and height of what is cut from the middle.
    crop: u32,
    mean: [f32; 3],
    std: [f32; 3],
}

/// Of the pictures that OpenAI's CLIP was trained with, on a scale from 0 to 1.
const MEAN: [f32; 3] = [0.481_454_66, 0.457_827_5, 0.408_210_73];
const STD: [f32; 3] = [0.268_629_54, 0.261_302_6, 0.275_777_1];

/// What is read of `preprocessor_config.json`.
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

/// The longer side of a picture over its shorter side, at most.
const LONGEST: u32 = 100;

/// Pillow's number for it.
const BICUBIC: u8 = 3;

/// Older files have the number alone. A height and a width stand for pictures that are squashed to a square.
#[derive(Clone, Copy, Deserialize)]
#[serde(untagged)]
enum Size {
    Edge(u32),
    Shortest { shortest_edge: u32 },
    Square { height: u32, width: u32 },
    Other {},
}

impl ImageProcessor {
    /// For an image tower that sees `image_size` pixels each way.
    pub(crate) fn new(config: Option<&Value>, image_size: usize) -> Result<Self, Error> {
        let wrong = |problem: String| Error::request("preprocessor_config.json", problem);
        let settings = config.map(Settings::deserialize).transpose().map_err(|error| wrong(error.to_string()))?;
        let Settings { size, resample, image_mean: mean, image_std: std } = settings.unwrap_or_default();
        let crop = image_size as u32;
        let shortest_edge = match size {
            Size::Edge(edge) | Size::Shortest { shortest_edge: edge } => edge,
            Size::Square { height, width } => {
                return Err(wrong(format!("size is {height}x{width}; only a `shortest_edge` is known")));
            }
            Size::Other {} => crop,
        };
        if !(crop..=1 << 14).contains(&shortest_edge) {
            let problem = format!("size is {shortest_edge}; the model sees {crop} pixels, 16384 are possible");
            return Err(wrong(problem));
        }
        if resample != BICUBIC {
            return Err(wrong(format!("resample is {resample}; only {BICUBIC}, bicubic, is known")));
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
    /// When the picture has no pixels, or is so long that next to nothing of it would be seen.
    pub(crate) fn tensor(&self, image: &RgbImage, device: &Device) -> Result<Tensor<4>, Error> {
        let (width, height) = image.dimensions();
        if width.min(height) == 0 || width.max(height) / width.min(height) > LONGEST {
            let problem = format!("has {width}x{height} pixels; one side can be {LONGEST} times the other");
            return Err(Error::request("picture", problem));
        }
        let resized = self.resize(image);
        let (left, top) = ((resized.width() - self.crop) / 2, (resized.height() - self.crop) / 2);
        let cut = crop_imm(&resized, left, top, self.crop, self.crop).to_image();
        let values = |channel: usize| {
            let (mean, std) = (self.mean[channel], self.std[channel]);
            cut.pixels().map(move |pixel| (f32::from(pixel.0[channel]) / 255.0 - mean) / std)
        };
        let pixels: Vec<f32> = (0..3).flat_map(values).collect();
        let size = self.crop as usize;
        Ok(Tensor::from_data(TensorData::new(pixels, [1, 3, size, size]), device.tensors()))
    }

    /// Bicubic, first across and then down, rounded to bytes in between: that is how Pillow does it, and what overshoots at
    /// an edge is cut off twice. All at once would differ by up to a tenth of the range.
    fn resize(&self, image: &RgbImage) -> RgbImage {
        let (width, height) = image.dimensions();
        let edge = |side: u32| (u64::from(self.shortest_edge) * u64::from(side) / u64::from(width.min(height))) as u32;
        let across = resize(image, edge(width), height, FilterType::CatmullRom);
        resize(&across, edge(width), edge(height), FilterType::CatmullRom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tensors that transformers made of these pictures, see `tests/reference/clip_model.py`. Where a value lies
    /// between two of the 255 steps, Pillow's fixed-point numbers may round it the other way: once in these 1536 values.
    #[test]
    fn pictures_are_those_of_transformers() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference");
        let dump = pyrograph_checkpoint::open_weights(&folder.join("clip_model.safetensors")).expect("it is committed");
        let config = std::fs::read_to_string(folder.join("tiny-clip/preprocessor_config.json")).expect("so is this");
        let config = serde_json::from_str(&config).expect("JSON");
        let processor = ImageProcessor::new(Some(&config), 16).expect("known settings");
        let device = crate::device("cpu").expect("the CPU is always there");
        for name in ["wide", "small"] {
            let image = read_image(folder.join(format!("tiny-clip/{name}.png"))).expect("a picture");
            let actual = processor.tensor(&image, &device).expect("a usual picture");
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
    fn pictures_without_pixels_and_threads_are_refused() {
        let processor = ImageProcessor::new(None, 16).expect("the defaults");
        let device = crate::device("cpu").expect("the CPU is always there");
        for (width, height) in [(0, 0), (1, 101), (5000, 3)] {
            assert!(processor.tensor(&RgbImage::new(width, height), &device).is_err(), "{width}x{height}");
        }
        assert_eq!(processor.tensor(&RgbImage::new(1, 100), &device).expect("narrow").dims(), [1, 3, 16, 16]);
    }
}
