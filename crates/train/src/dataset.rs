use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor, TensorData};
use image::imageops::FilterType;
use image::{DynamicImage, GenericImageView, ImageReader, ImageResult, Rgb, RgbImage};
use pyrograph_scheduler::Generator;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::TrainError;
use crate::seeds::mix;

/// Files that list the pictures of a folder, the first that is there: ours, or Hugging Face's `imagefolder`.
const LISTS: [&str; 2] = ["captions.jsonl", "metadata.jsonl"];

/// Pictures and captions of a folder with a list of them, `captions.jsonl` or `metadata.jsonl`, one JSON object a line:
/// `{"file_name": "apples/red.png", "text": "a red apple"}`. Pictures are read when they are needed.
#[derive(Clone, Debug)]
pub struct Dataset {
    items: Vec<Item>,
    size: u32,
    mirror: bool,
    random_crop: bool,
}

/// Some pictures with their captions.
#[derive(Clone, Debug)]
pub struct Batch {
    /// `[batch, 3, size, size]` in -1 ..= 1
    pub images: Tensor<4>,
    /// One for each picture.
    pub captions: Vec<String>,
}

#[derive(Clone, Debug)]
struct Item {
    file: PathBuf,
    caption: String,
    labels: Map<String, Value>,
}

/// A line of a list.
#[derive(Deserialize)]
struct Line {
    file_name: PathBuf,
    #[serde(alias = "caption")]
    text: String,
    #[serde(flatten)]
    labels: Map<String, Value>,
}

/// Where a picture is cut if chance does not say.
const MIDDLE: f64 = 0.5;

impl Dataset {
    /// Reads the list and looks at the head of every picture; `size` is the width and height of what
    /// [`batch`](Self::batch) gives.
    ///
    /// # Errors
    /// When there is no list, a line is no JSON of that form, or a picture is missing or unreadable; the line is named.
    pub fn open(folder: &Path, size: u32) -> Result<Self, TrainError> {
        let list = LISTS.map(|name| folder.join(name)).into_iter().find(|list| list.is_file());
        let list = list.ok_or_else(|| TrainError::data(folder, format!("has neither {}", LISTS.join(" nor "))))?;
        let lines = File::open(&list).map_err(|error| TrainError::data(&list, error))?;
        let mut items = Vec::new();
        for (number, line) in BufReader::new(lines).lines().enumerate() {
            let failed = |problem: String| TrainError::data(&list, format!("line {}: {problem}", number + 1));
            let line = line.map_err(|error| failed(error.to_string()))?;
            if line.trim().is_empty() {
                continue;
            }
            let Line { file_name, text, labels } =
                serde_json::from_str(&line).map_err(|error| failed(error.to_string()))?;
            let file = folder.join(file_name);
            reader(&file)
                .and_then(ImageReader::into_dimensions)
                .map_err(|error| failed(format!("{}: {error}", file.display())))?;
            items.push(Item { file, caption: text, labels });
        }
        if items.is_empty() {
            return Err(TrainError::data(&list, "lists no picture"));
        }
        Ok(Self { items, size, mirror: false, random_crop: false })
    }

    /// Mirrors every second picture, by chance.
    #[must_use]
    pub fn with_mirroring(self) -> Self {
        Self { mirror: true, ..self }
    }

    /// Cuts squares out of pictures at places that chance gives, instead of their middle.
    #[must_use]
    pub fn with_random_crops(self) -> Self {
        Self { random_crop: true, ..self }
    }

    /// The number of pictures.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there are none, which [`open`](Self::open) does not let pass.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The pictures of batch number `index`. Every epoch goes through all of them in an order of its own, which follows from
    /// `seed` alone, so that a run can go on anywhere.
    ///
    /// # Errors
    /// When a picture cannot be read.
    pub fn batch(&self, index: usize, batch: usize, seed: u64, device: &Device) -> Result<Batch, TrainError> {
        let mut pixels = Vec::new();
        let mut captions = Vec::with_capacity(batch);
        for (position, item) in (index * batch..).zip(self.numbers(index, batch, seed)) {
            let item = &self.items[item];
            let (mirrored, place) = self.augmentation(mix(!seed, position as u64));
            let mut picture = self.read(&item.file, place)?;
            if mirrored {
                image::imageops::flip_horizontal_in_place(&mut picture);
            }
            pixels.extend(values(&picture));
            captions.push(item.caption.clone());
        }
        Ok(Batch { images: self.tensor(pixels, device), captions })
    }

    /// Whether a picture is mirrored, and where along its longer side it is cut.
    fn augmentation(&self, seed: u64) -> (bool, f64) {
        if !self.mirror && !self.random_crop {
            return (false, MIDDLE);
        }
        let draws = Generator::new(seed).rand(2);
        (self.mirror && draws[0] < 0.5, if self.random_crop { f64::from(draws[1]) } else { MIDDLE })
    }

    /// Pictures by their numbers, as they are or all mirrored.
    ///
    /// # Shapes
    /// `[pictures, 3, size, size]` in -1 ..= 1
    ///
    /// # Errors
    /// When a picture cannot be read.
    pub fn images(&self, numbers: &[usize], mirrored: bool, device: &Device) -> Result<Tensor<4>, TrainError> {
        let mut pixels = Vec::new();
        for &number in numbers {
            let mut picture = self.picture(number)?;
            if mirrored {
                image::imageops::flip_horizontal_in_place(&mut picture);
            }
            pixels.extend(values(&picture));
        }
        Ok(self.tensor(pixels, device))
    }

    fn tensor(&self, pixels: Vec<f32>, device: &Device) -> Tensor<4> {
        let size = self.size as usize;
        let pictures = pixels.len() / (3 * size * size);
        Tensor::from_data(TensorData::new(pixels, [pictures, 3, size, size]), device)
    }

    /// Whether pictures are mirrored by chance.
    pub(crate) fn mirrors(&self) -> bool {
        self.mirror
    }

    /// What tells this data set from others: size, mirroring, and the files with their lengths.
    pub(crate) fn describe(&self) -> impl Iterator<Item = String> {
        let length = |file: &Path| file.metadata().map_or(0, |metadata| metadata.len());
        let files = self.items.iter().map(move |item| format!("{} {}", item.file.display(), length(&item.file)));
        std::iter::once(format!("{} {}", self.size, self.mirror)).chain(files)
    }

    /// The numbers of the pictures of a [`batch`](Self::batch).
    pub fn numbers(&self, index: usize, batch: usize, seed: u64) -> Vec<usize> {
        let mut order = (usize::MAX, Vec::new());
        let number = |position: usize| {
            let epoch = position / self.len();
            if order.0 != epoch {
                order = (epoch, shuffled(self.len(), mix(seed, epoch as u64)));
            }
            order.1[position % self.len()]
        };
        (index * batch..(index + 1) * batch).map(number).collect()
    }

    /// The caption of picture number `index`.
    pub fn caption(&self, index: usize) -> &str {
        &self.items[index].caption
    }

    /// All captions, in the order of the list.
    pub fn captions(&self) -> impl Iterator<Item = &str> {
        self.items.iter().map(|item| item.caption.as_str())
    }

    /// What the list says of picture number `index` beside its name and caption: for evaluation.
    pub fn label(&self, index: usize, key: &str) -> Option<&Value> {
        self.items[index].labels.get(key)
    }

    /// The same for what must be there and be a text.
    pub(crate) fn text_label(&self, index: usize, key: &str) -> Result<&str, TrainError> {
        let problem = || TrainError::data(&self.items[index].file, format!("its line in the list has no text `{key}`"));
        self.label(index, key).and_then(Value::as_str).ok_or_else(problem)
    }

    /// Picture number `index`.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn picture(&self, index: usize) -> Result<RgbImage, TrainError> {
        self.read(&self.items[index].file, MIDDLE)
    }

    /// A picture on white ground, scaled, and cut to a square at `place`, from 0 to 1 along its longer side.
    fn read(&self, file: &Path, place: f64) -> Result<RgbImage, TrainError> {
        let picture = reader(file).and_then(ImageReader::decode).map_err(|error| TrainError::data(file, error))?;
        let (width, height) = picture.dimensions();
        let side =
            |length: u32| (u64::from(length) * u64::from(self.size)).div_ceil(u64::from(width.min(height))) as u32;
        let (scaled_width, scaled_height) = (side(width), side(height));
        let scaled = if (scaled_width, scaled_height) == (width, height) {
            picture
        } else {
            picture.resize_exact(scaled_width, scaled_height, FilterType::CatmullRom)
        };
        let offset = |length: u32| (f64::from(length - self.size) * place).round() as u32;
        Ok(on_white(&scaled.crop_imm(offset(scaled_width), offset(scaled_height), self.size, self.size)))
    }
}

/// The values of a picture's channels, one after the other, in -1 ..= 1.
fn values(picture: &RgbImage) -> impl Iterator<Item = f32> {
    (0..3).flat_map(|channel| picture.pixels().map(move |pixel| f32::from(pixel.0[channel]) / 127.5 - 1.0))
}

/// Of the format that the file's first bytes tell, whatever its name.
fn reader(file: &Path) -> ImageResult<ImageReader<BufReader<File>>> {
    Ok(ImageReader::open(file)?.with_guessed_format()?)
}

fn on_white(picture: &DynamicImage) -> RgbImage {
    let rgba = picture.to_rgba8();
    let blend = |channel: u8, alpha: u8| {
        let (channel, alpha) = (u32::from(channel), u32::from(alpha));
        ((channel * alpha + 255 * (255 - alpha) + 127) / 255) as u8
    };
    RgbImage::from_fn(rgba.width(), rgba.height(), |x, y| {
        let [r, g, b, alpha] = rgba.get_pixel(x, y).0;
        Rgb([r, g, b].map(|channel| blend(channel, alpha)))
    })
}

/// The numbers below `count` in random order (Fisher and Yates).
fn shuffled(count: usize, seed: u64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    for (last, draw) in (1..count).rev().zip(Generator::new(seed).rand(count)) {
        order.swap(last, ((f64::from(draw) * (last + 1) as f64) as usize).min(last));
    }
    order
}
