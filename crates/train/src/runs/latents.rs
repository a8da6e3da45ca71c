//! Latents of all images, computed once and kept on disk.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor, TensorData};
use pyrograph_autoencoder::AutoencoderKl;
use pyrograph_checkpoint::{Component, Output, Weights};
use pyrograph_scheduler::Generator;
use sha2::{Digest, Sha256};

use crate::{Dataset, TrainError};

/// The distributions of the latents of all images, scaled as the diffusion model sees them, in a file; behind them those of the
/// mirrored images, where the data set mirrors.
///
/// The file has [`MAGIC`], the shape in three little-endian u64, and for each image two arrays of this shape in little-endian
/// float32: mean and standard deviation. Only the images of a batch are in memory.
#[derive(Debug)]
pub(crate) struct Latents {
    /// Channels, height, width.
    pub(crate) shape: [usize; 3],
    file: File,
    path: PathBuf,
}

/// The distributions of the latents of some images.
#[derive(Clone, Debug, PartialEq)]
pub struct LatentBatch {
    shape: [usize; 4],
    mean: Vec<f32>,
    deviation: Vec<f32>,
}

const MAGIC: [u8; 8] = *b"latents1";
const HEADER: u64 = 32;
/// Images that are encoded at a time.
const BATCH: usize = 32;

impl Latents {
    /// Opens the file in `folder`, or encodes all images and writes it. Its name holds a digest of all that latents depend on:
    /// the autoencoder's configuration and weights, the images' contents, size and mirroring.
    pub(crate) fn cached(
        folder: &Path,
        dataset: &Dataset,
        autoencoder: &AutoencoderKl,
        component: &Component,
        device: &Device,
    ) -> Result<Self, TrainError> {
        let path = folder.join(format!("latents-{}.bin", digest(dataset, component)?));
        let count = dataset.len() * if dataset.mirrors() { 2 } else { 1 };
        if let Ok(latents) = Self::open(&path, count) {
            return Ok(latents);
        }
        let failed = |error: io::Error| TrainError::data(&path, error);
        fs::create_dir_all(folder).map_err(failed)?;
        let mut output = Output::create(&path)?;
        encode(&mut output, &path, dataset, autoencoder, device)?;
        output.commit()?;
        Self::open(&path, count).map_err(failed)
    }

    fn open(path: &Path, count: usize) -> io::Result<Self> {
        let (mut file, mut header) = (File::open(path)?, [0; HEADER as usize]);
        file.read_exact(&mut header)?;
        let sizes = header[MAGIC.len()..]
            .chunks_exact(8)
            .map(|bytes| u64::from_le_bytes(bytes.try_into().expect("eight bytes")));
        let sizes: Vec<usize> = sizes.map(|size| usize::try_from(size).unwrap_or(0)).collect();
        let latents = Self { shape: [sizes[0], sizes[1], sizes[2]], file, path: path.to_owned() };
        let length = latents.record().checked_mul(count as u64).and_then(|length| length.checked_add(HEADER));
        if header[..MAGIC.len()] != MAGIC || length != Some(latents.file.metadata()?.len()) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok(latents)
    }

    /// Bytes of an image's distribution.
    fn record(&self) -> u64 {
        self.shape.iter().fold(2 * size_of::<f32>() as u64, |product, &size| product.saturating_mul(size as u64))
    }

    /// Reads the distributions of these images.
    pub(crate) fn read(&self, images: &[usize]) -> Result<LatentBatch, TrainError> {
        let [channels, height, width] = self.shape;
        let shape = [images.len(), channels, height, width];
        let mut batch = LatentBatch { shape, mean: Vec::new(), deviation: Vec::new() };
        let mut bytes = vec![0; self.record() as usize];
        for &image in images {
            let mut file = &self.file;
            let place = SeekFrom::Start(HEADER + image as u64 * self.record());
            let read = file.seek(place).and_then(|_| file.read_exact(&mut bytes));
            read.map_err(|error| TrainError::data(&self.path, error))?;
            let (mean, deviation) = bytes.split_at(bytes.len() / 2);
            batch.mean.extend(floats(mean));
            batch.deviation.extend(floats(deviation));
        }
        Ok(batch)
    }
}

fn floats(bytes: &[u8]) -> impl Iterator<Item = f32> {
    bytes.chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().expect("four bytes")))
}

impl LatentBatch {
    /// Latents drawn from the distributions.
    ///
    /// # Shapes
    /// `[images, channels, height, width]`
    pub(crate) fn draw(&self, generator: &mut Generator, device: &Device) -> Tensor<4> {
        let noise = generator.randn(self.mean.len());
        let parts = self.mean.iter().zip(&self.deviation).zip(noise);
        let values = parts.map(|((mean, deviation), noise)| mean + deviation * noise).collect();
        Tensor::from_data(TensorData::new(values, self.shape), device)
    }
}

/// Encodes all images, batch by batch; `path` is for errors.
fn encode(
    output: &mut impl Write,
    path: &Path,
    dataset: &Dataset,
    autoencoder: &AutoencoderKl,
    device: &Device,
) -> Result<(), TrainError> {
    let variants = if dataset.mirrors() { &[false, true][..] } else { &[false] };
    let firsts = || (0..dataset.len()).step_by(BATCH);
    let mut header = None;
    for (mirrored, first) in variants.iter().flat_map(|&mirrored| firsts().map(move |first| (mirrored, first))) {
        let images: Vec<usize> = (first..dataset.len().min(first + BATCH)).collect();
        let batch = distributions(autoencoder, dataset.images(&images, mirrored, device)?)?;
        let written = match header.replace(batch.shape) {
            None => write_header(output, batch.shape),
            Some(_) => Ok(()),
        };
        written.and_then(|()| batch.write(output)).map_err(|error| TrainError::data(path, error))?;
    }
    output.flush().map_err(|error| TrainError::data(path, error))
}

/// # Shapes
/// - `images`: `[batch, 3, height, width]`
fn distributions(autoencoder: &AutoencoderKl, images: Tensor<4>) -> Result<LatentBatch, TrainError> {
    let values = |x: Tensor<4>| x.into_data().try_to_vec::<f32>().expect("latents are float32");
    let latents = autoencoder.encode(images);
    let mean = autoencoder.scale(latents.mode());
    let deviation = autoencoder.scale(latents.mean.clone() + (latents.log_variance * 0.5).exp()) - mean.clone();
    let batch = LatentBatch { shape: mean.dims(), mean: values(mean), deviation: values(deviation) };
    if !batch.mean.iter().chain(&batch.deviation).all(|value| value.is_finite()) {
        return Err(TrainError::config("start", "the autoencoder makes NaN or infinity of the images"));
    }
    Ok(batch)
}

fn write_header(output: &mut impl Write, [_, sizes @ ..]: [usize; 4]) -> io::Result<()> {
    output.write_all(&MAGIC)?;
    sizes.into_iter().try_for_each(|size| output.write_all(&(size as u64).to_le_bytes()))
}

impl LatentBatch {
    fn write(&self, output: &mut impl Write) -> io::Result<()> {
        let size = self.mean.len() / self.shape[0];
        for (mean, deviation) in self.mean.chunks(size).zip(self.deviation.chunks(size)) {
            mean.iter().chain(deviation).try_for_each(|value| output.write_all(&value.to_le_bytes()))?;
        }
        Ok(())
    }
}

/// The first digits of a SHA-256 of what the latents depend on.
fn digest(dataset: &Dataset, autoencoder: &Component) -> Result<String, TrainError> {
    let mut hash = Sha256::new_with_prefix(autoencoder.config.to_string());
    let weights: &dyn Weights = autoencoder.weights.as_ref();
    for name in weights.names() {
        let tensor = weights.read(name).map_err(|error| TrainError::data(Path::new(weights.file()), error))?;
        hash.update(format!("{name} {:?} {:?}", tensor.dtype(), tensor.shape()));
        hash.update(tensor.as_bytes());
    }
    hash.update(dataset.digest()?);
    Ok(hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "files of a test need not last")]
mod tests {
    use std::collections::HashSet;

    use burn::tensor::DType;
    use image::{Rgb, RgbImage};
    use pyrograph_autoencoder::AutoencoderKlConfig;
    use pyrograph_checkpoint::load;
    use serde_json::{Value, json};

    use super::*;
    use crate::runs::diffusers::write_model;

    /// An autoencoder, images, and the folder that they are in.
    struct Place {
        folder: tempfile::TempDir,
        config: Value,
    }

    impl Place {
        fn new() -> Self {
            let folder = tempfile::tempdir().expect("there is a place for temporary files");
            let config = json!({ "block_out_channels": [4, 4], "norm_num_groups": 2, "scaling_factor": 0.5 });
            let place = Self { folder, config };
            (0..3).for_each(|number| place.image(number, 80 * number));
            let line = |number| format!("{{\"file_name\": \"{number}.png\", \"text\": \"\"}}\n");
            let list: String = (0..3).map(line).collect();
            fs::write(place.path("captions.jsonl"), list).expect("writable");
            place.autoencoder(1);
            place
        }

        fn path(&self, name: &str) -> PathBuf {
            self.folder.path().join(name)
        }

        /// Writes an image whose file has the same length for every grey.
        fn image(&self, number: u8, grey: u8) {
            let image = RgbImage::from_pixel(8, 8, Rgb([grey, grey, 200]));
            image.save(self.path(&format!("{number}.png"))).expect("writable");
        }

        /// Writes the autoencoder with random weights.
        fn autoencoder(&self, seed: u64) {
            let device = Device::flex();
            device.seed(seed);
            let model = self.parsed().init(&device).expect("a small autoencoder");
            write_model(&self.path("vae"), "AutoencoderKL", &self.config, &model).expect("writable");
        }

        fn parsed(&self) -> AutoencoderKlConfig {
            serde_json::from_value(self.config.clone()).expect("a configuration")
        }

        fn component(&self) -> Component {
            Component::open(self.path("vae").as_path()).expect("it was written")
        }

        fn dataset(&self, size: u32) -> Dataset {
            Dataset::open(self.folder.path(), size).expect("whole images")
        }

        fn key(&self, dataset: &Dataset) -> String {
            digest(dataset, &self.component()).expect("readable files")
        }

        fn latents(&self, dataset: &Dataset) -> Latents {
            Latents::cached(&self.path("run"), dataset, &self.model(), &self.component(), &Device::flex())
                .expect("finite latents")
        }

        fn model(&self) -> AutoencoderKl {
            let mut model = self.parsed().init(&Device::flex()).expect("a small autoencoder");
            load(&mut model, self.component().weights.as_ref(), DType::F32).expect("its own weights");
            model
        }
    }

    /// Whatever changes the latents changes the name of their file, and nothing else does.
    #[test]
    fn latents_are_known_by_all_that_they_depend_on() {
        let mut place = Place::new();
        let mut keys = HashSet::from([place.key(&place.dataset(8))]);
        assert!(!keys.insert(place.key(&place.dataset(8))), "nothing has changed");
        assert!(keys.insert(place.key(&place.dataset(4))), "the size");
        assert!(keys.insert(place.key(&place.dataset(8).with_mirroring())), "mirrored images");
        let length = |number: u8| fs::metadata(place.path(&format!("{number}.png"))).expect("a file").len();
        let before = length(1);
        place.image(1, 81);
        assert_eq!(length(1), before, "only the content differs");
        assert!(keys.insert(place.key(&place.dataset(8))), "an image");
        place.autoencoder(2);
        assert!(keys.insert(place.key(&place.dataset(8))), "the weights");
        place.config["scaling_factor"] = 0.25.into();
        fs::write(place.path("vae/config.json"), place.config.to_string()).expect("writable");
        assert!(keys.insert(place.key(&place.dataset(8))), "the configuration");
    }

    #[test]
    fn batches_are_read_from_the_file() {
        let place = Place::new();
        let dataset = place.dataset(8).with_mirroring();
        let latents = place.latents(&dataset);
        assert_eq!(latents.shape, [4, 4, 4]);
        let images = dataset.images(&[2, 0], false, &Device::flex()).expect("whole images");
        let expected = distributions(&place.model(), images).expect("finite latents");
        let batch = latents.read(&[2, 0]).expect("the file is whole");
        let differ = |a: &[f32], b: &[f32]| a.iter().zip(b).any(|(a, b)| (a - b).abs() > 1e-5);
        assert!(!differ(&batch.mean, &expected.mean) && !differ(&batch.deviation, &expected.deviation));
        let mirrored = dataset.images(&[1], true, &Device::flex()).expect("whole images");
        let mirrored = distributions(&place.model(), mirrored).expect("finite latents");
        assert!(!differ(&latents.read(&[4]).expect("the file is whole").mean, &mirrored.mean));
        // Nothing is kept in memory: what changes on the disk is seen.
        let zeros = vec![0; latents.record() as usize];
        let mut file = File::options().write(true).open(&latents.path).expect("it was written");
        file.seek(SeekFrom::Start(HEADER + 2 * latents.record()))
            .and_then(|_| file.write_all(&zeros))
            .expect("writable");
        let changed = latents.read(&[2]).expect("the file is whole");
        assert!(changed.mean.iter().chain(&changed.deviation).all(|&value| value == 0.0));
    }

    #[test]
    fn a_broken_file_is_made_anew() {
        let place = Place::new();
        let dataset = place.dataset(8);
        let path = place.latents(&dataset).path;
        let whole = fs::read(&path).expect("it was written");
        for broken in [&whole[..whole.len() - 1], &whole[..10], &[0; 32][..], b""] {
            fs::write(&path, broken).expect("writable");
            place.latents(&dataset);
            assert_eq!(fs::read(&path).expect("it was written"), whole);
        }
        let files = fs::read_dir(place.path("run")).expect("it was made").count();
        assert_eq!(files, 1, "no temporary file is left");
    }

    #[test]
    fn latents_that_are_no_numbers_are_refused() {
        let mut place = Place::new();
        place.config["scaling_factor"] = 1e39.into(); // more than float32 holds
        let (dataset, model) = (place.dataset(8), place.model());
        let made = Latents::cached(&place.path("run"), &dataset, &model, &place.component(), &Device::flex());
        assert!(matches!(made, Err(TrainError::Config { .. })));
    }
}
