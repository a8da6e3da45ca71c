use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use burn::tensor::{Device, Tensor, TensorData};
use image::RgbImage;
use pyrograph::{CENTER, Disproportionate, ImageFileError, crop_square, read_image};
use pyrograph_scheduler::Generator;
use rayon::prelude::*;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::image_list::{ImageList, Line};
use crate::seeds::mix;
use crate::{BadImage, Cause, TrainError};

/// Images and captions of a folder with a list of them: `captions.jsonl` or `metadata.jsonl`, one JSON object a line such as
/// `{"file_name": "apples/red.png", "text": "a red apple"}`, or `metadata.csv` with columns of these names. Images are read
/// when they are needed.
#[derive(Clone, Debug)]
pub struct Dataset {
    list: PathBuf,
    lines: Vec<Line>,
    size: u32,
    mirror: bool,
    random_crop: bool,
}

/// Some images with their captions.
#[derive(Clone, Debug)]
pub struct Batch {
    /// `[batch, 3, size, size]` in -1 ..= 1
    pub images: Tensor<4>,
    /// One for each image.
    pub captions: Vec<String>,
}

/// Unusable images that an error names.
const NAMED: usize = 5;

impl Dataset {
    /// Reads the list and decodes every image once, on all cores; `size` is the width and height of the images of a
    /// [`batch`](Self::batch).
    ///
    /// # Errors
    /// [`TrainError::List`] for a line that is not of that form, [`TrainError::Images`] when images are missing, broken or too
    /// narrow.
    pub fn open(folder: &Path, size: u32) -> Result<Self, TrainError> {
        Self::open_with(folder, size, |_, _| {})
    }

    /// The same; `progress` is called with the number of images that have been decoded and of all images.
    ///
    /// # Errors
    /// The errors of [`open`](Self::open).
    pub fn open_with(folder: &Path, size: u32, progress: impl Fn(usize, usize) + Sync) -> Result<Self, TrainError> {
        let dataset = Self::open_unchecked(folder, size)?;
        let (done, total) = (AtomicUsize::new(0), dataset.len());
        let check = |line: &Line| {
            let error = decode(line).err();
            progress(done.fetch_add(1, Ordering::Relaxed) + 1, total);
            error
        };
        let unusable: Vec<BadImage> = dataset.lines.par_iter().filter_map(check).collect();
        if unusable.is_empty() { Ok(dataset) } else { Err(dataset.unusable(unusable)) }
    }

    /// Reads the list only; an image that cannot be used is found when it is needed.
    ///
    /// # Errors
    /// [`TrainError::List`], and [`TrainError::OutOfBounds`] for the size.
    pub fn open_unchecked(folder: &Path, size: u32) -> Result<Self, TrainError> {
        crate::bounds::size("size", size)?;
        let ImageList { path: list, lines } = ImageList::read(folder)?;
        Ok(Self { list, lines, size, mirror: false, random_crop: false })
    }

    /// Mirrors every second image, by chance.
    #[must_use]
    pub fn with_mirroring(self) -> Self {
        Self { mirror: true, ..self }
    }

    /// Crops images to squares at random places instead of their middle.
    #[must_use]
    pub fn with_random_crops(self) -> Self {
        Self { random_crop: true, ..self }
    }

    /// The number of images.
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether there are none, which [`open`](Self::open) does not let pass.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// The images of batch number `index`. Every epoch goes through all of them in an order of its own, which follows from
    /// `seed` alone, so that a run can be resumed anywhere.
    ///
    /// # Errors
    /// Returns an error if an image cannot be read.
    pub fn batch(&self, index: usize, batch: usize, seed: u64, device: &Device) -> Result<Batch, TrainError> {
        let mut pixels = Vec::new();
        let mut captions = Vec::with_capacity(batch);
        for (position, number) in (index * batch..).zip(self.numbers(index, batch, seed)) {
            let (mirrored, place) = self.augmentation(mix(!seed, position as u64));
            pixels.extend(values(&self.read(number, place, mirrored)?));
            captions.push(self.lines[number].caption.clone());
        }
        Ok(Batch { images: self.tensor(pixels, device), captions })
    }

    /// Whether an image is mirrored, and where along its longer side it is cropped.
    fn augmentation(&self, seed: u64) -> (bool, f64) {
        if !self.mirror && !self.random_crop {
            return (false, CENTER);
        }
        let draws = Generator::new(seed).rand(2);
        (self.mirror && draws[0] < 0.5, if self.random_crop { f64::from(draws[1]) } else { CENTER })
    }

    /// Images by their numbers, as they are or all mirrored.
    ///
    /// # Shapes
    /// `[images, 3, size, size]` in -1 ..= 1
    ///
    /// # Errors
    /// Returns an error if an image cannot be read.
    pub fn images(&self, numbers: &[usize], mirrored: bool, device: &Device) -> Result<Tensor<4>, TrainError> {
        let mut pixels = Vec::new();
        for &number in numbers {
            pixels.extend(values(&self.read(number, CENTER, mirrored)?));
        }
        Ok(self.tensor(pixels, device))
    }

    fn tensor(&self, pixels: Vec<f32>, device: &Device) -> Tensor<4> {
        let size = self.size as usize;
        let images = pixels.len() / (3 * size * size);
        Tensor::from_data(TensorData::new(pixels, [images, 3, size, size]), device)
    }

    /// Width and height of the images of a batch.
    pub fn size(&self) -> u32 {
        self.size
    }

    /// Whether images are mirrored by chance.
    pub(crate) fn mirrors(&self) -> bool {
        self.mirror
    }

    /// A digest of the tensors of all [`images`](Self::images): of the files' contents, their order, and the size.
    pub(crate) fn digest(&self) -> Result<[u8; 32], TrainError> {
        let of_file = |line: &Line| {
            let bytes = fs::read(&line.file).map_err(|error| self.unusable(vec![bad(line, error.into())]))?;
            Ok(Sha256::digest(bytes))
        };
        let files = self.lines.par_iter().map(of_file).collect::<Result<Vec<_>, TrainError>>()?;
        let mut hash =
            Sha256::new_with_prefix(format!("center crop of {} pixels, mirrored: {}", self.size, self.mirror));
        files.iter().for_each(|file| hash.update(file));
        Ok(hash.finalize().into())
    }

    /// The numbers of the images of a [`batch`](Self::batch).
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

    /// The caption of image number `index`.
    pub fn caption(&self, index: usize) -> &str {
        &self.lines[index].caption
    }

    /// All captions, in the order of the list.
    pub fn captions(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().map(|line| line.caption.as_str())
    }

    /// A value that the list has for image number `index` beside its name and caption; evaluation uses them.
    pub fn label(&self, index: usize, key: &str) -> Option<&Value> {
        self.lines[index].labels.get(key)
    }

    /// The same for a label that must be a text.
    ///
    /// # Errors
    /// Returns an error if the label is absent or no text.
    pub fn text_label(&self, index: usize, key: &str) -> Result<&str, TrainError> {
        let absent = || TrainError::file(&self.lines[index].file)(Cause::NoLabel { key: key.to_owned() });
        self.label(index, key).and_then(Value::as_str).ok_or_else(absent)
    }

    /// Image number `index`, scaled and its middle cropped.
    ///
    /// # Errors
    /// Returns an error if it cannot be read.
    pub fn image(&self, index: usize) -> Result<RgbImage, TrainError> {
        self.read(index, CENTER, false)
    }

    /// An image, scaled and cropped to a square at `place`, from 0 to 1 along its longer side.
    fn read(&self, number: usize, place: f64, mirrored: bool) -> Result<RgbImage, TrainError> {
        let image = decode(&self.lines[number]).map_err(|bad| self.unusable(vec![bad]))?;
        let mut square = crop_square(&image, self.size, self.size, place).expect("its proportions were checked");
        if mirrored {
            image::imageops::flip_horizontal_in_place(&mut square);
        }
        Ok(square)
    }

    fn unusable(&self, mut bad: Vec<BadImage>) -> TrainError {
        let count = bad.len();
        bad.truncate(NAMED);
        TrainError::Images { list: self.list.clone(), bad, count, of: self.len() }
    }
}

/// An image in its own size, of proportions out of which a square can be cropped.
fn decode(line: &Line) -> Result<RgbImage, BadImage> {
    let image = read_image(&line.file).map_err(|cause| BadImage { line: line.number, cause })?;
    Disproportionate::check(image.width(), image.height()).map_err(|error| bad(line, error.into()))?;
    Ok(image)
}

fn bad(line: &Line, cause: ImageFileError) -> BadImage {
    BadImage { line: line.number, cause: pyrograph::Error::Read { path: line.file.clone(), cause } }
}

/// The values of an image's channels, one after the other, in -1 ..= 1.
fn values(image: &RgbImage) -> impl Iterator<Item = f32> {
    (0..3).flat_map(|channel| image.pixels().map(move |pixel| f32::from(pixel.0[channel]) / 127.5 - 1.0))
}

/// The numbers below `count` in random order (Fisher and Yates).
fn shuffled(count: usize, seed: u64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    for (last, draw) in (1..count).rev().zip(Generator::new(seed).rand(count)) {
        order.swap(last, ((f64::from(draw) * (last + 1) as f64) as usize).min(last));
    }
    order
}
