//! Encodes all images once.

use std::fs;
use std::io::Write;
use std::path::Path;

use burn::tensor::{Device, Tensor};
use pyrograph_autoencoder::AutoencoderKl;
use pyrograph_checkpoint::{Component, Output, Weights};
use sha2::{Digest, Sha256};

use super::latents::{LatentBatch, Latents};
use super::networks::Autoencoder;
use crate::{Dataset, TrainError};

/// Images that are encoded at a time.
const BATCH: usize = 32;

/// The latents of all images, read from a file in `folder`, or encoded and written there. Its name holds a digest of all that
/// latents depend on: the autoencoder's configuration and weights, the images' contents, size and mirroring.
pub(crate) fn latents_of(
    dataset: &Dataset,
    autoencoder: &Autoencoder,
    folder: &Path,
    device: &Device,
) -> Result<Latents, TrainError> {
    let path = folder.join(format!("latents-{}.bin", digest(dataset, &autoencoder.component)?));
    let count = dataset.len() * if dataset.mirrors() { 2 } else { 1 };
    if let Ok(latents) = Latents::open(&path, count) {
        return Ok(latents);
    }
    fs::create_dir_all(folder).map_err(TrainError::file(&path))?;
    let mut output = Output::create(&path)?;
    encode(&mut output, &path, dataset, &autoencoder.model, device)?;
    output.commit()?;
    Latents::open(&path, count).map_err(TrainError::file(&path))
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
    let mut has_header = false;
    for (mirrored, first) in variants.iter().flat_map(|&mirrored| firsts().map(move |first| (mirrored, first))) {
        let images: Vec<usize> = (first..dataset.len().min(first + BATCH)).collect();
        let batch = distributions(autoencoder, dataset.images(&images, mirrored, device)?)?;
        if !std::mem::replace(&mut has_header, true) {
            batch.write_header(output).map_err(TrainError::file(path))?;
        }
        batch.write(output).map_err(TrainError::file(path))?;
    }
    output.flush().map_err(TrainError::file(path))
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
        return Err(TrainError::LatentsNotFinite);
    }
    Ok(batch)
}

/// The first digits of a SHA-256 of what the latents depend on.
fn digest(dataset: &Dataset, autoencoder: &Component) -> Result<String, TrainError> {
    let mut hash = Sha256::new_with_prefix(autoencoder.config.to_string());
    let weights: &dyn Weights = autoencoder.weights.as_ref();
    for name in weights.names() {
        let tensor = weights.read(name).map_err(TrainError::file(Path::new(weights.file())))?;
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
    use std::fs::File;
    use std::io::{Seek, SeekFrom};
    use std::path::PathBuf;

    use burn::tensor::DType;
    use image::{Rgb, RgbImage};
    use pyrograph_autoencoder::AutoencoderKlConfig;
    use pyrograph_checkpoint::load;
    use serde_json::{Value, json};

    use super::super::latents::HEADER;
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
            write_model(&self.path("vae"), "AutoencoderKL", self.config.clone(), &model).expect("writable");
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
            latents_of(dataset, &self.opened(), &self.path("run"), &Device::flex()).expect("finite latents")
        }

        /// The autoencoder of the folder, with the configuration of this place.
        fn opened(&self) -> Autoencoder {
            let mut model = self.parsed().init(&Device::flex()).expect("a small autoencoder");
            load(&mut model, self.component().weights.as_ref(), DType::F32).expect("its own weights");
            Autoencoder { component: self.component(), downsampling: 2, model }
        }
    }

    /// The name of the file changes if and only if the latents change.
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
        let expected = distributions(&place.opened().model, images).expect("finite latents");
        let batch = latents.read(&[2, 0]).expect("the file is whole");
        let differ = |a: &[f32], b: &[f32]| a.iter().zip(b).any(|(a, b)| (a - b).abs() > 1e-5);
        assert!(!differ(&batch.mean, &expected.mean) && !differ(&batch.deviation, &expected.deviation));
        let mirrored = dataset.images(&[1], true, &Device::flex()).expect("whole images");
        let mirrored = distributions(&place.opened().model, mirrored).expect("finite latents");
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
        let made = latents_of(&place.dataset(8), &place.opened(), &place.path("run"), &Device::flex());
        assert!(matches!(made, Err(TrainError::LatentsNotFinite)));
    }
}
