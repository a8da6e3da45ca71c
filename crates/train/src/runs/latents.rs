//! Latents of all pictures, computed once and kept on disk.

use std::path::Path;

use burn::tensor::{Device, Tensor, TensorData};
use pyrograph_autoencoder::AutoencoderKl;
use pyrograph_checkpoint::{SafetensorsFile, Weights, save_tensors};
use pyrograph_scheduler::Generator;
use sha2::{Digest, Sha256};

use crate::{Dataset, TrainError};

/// The distribution of the latents of every picture, scaled as the diffusion model sees them; behind them those of the
/// mirrored pictures, where the data set mirrors.
#[derive(Debug)]
pub(crate) struct Latents {
    /// Channels, height, width.
    pub(crate) shape: [usize; 3],
    mean: Vec<f32>,
    deviation: Vec<f32>,
}

/// Pictures that are encoded at a time.
const BATCH: usize = 32;

impl Latents {
    /// Takes them from a file in `folder`, or encodes all pictures and writes it. The file's name holds a digest of the
    /// autoencoder and the pictures, so that a stale one is never taken.
    pub(crate) fn cached(
        folder: &Path,
        dataset: &Dataset,
        autoencoder: &AutoencoderKl,
        weights: &dyn Weights,
        device: &Device,
    ) -> Result<Self, TrainError> {
        let path = folder.join(format!("latents-{}.safetensors", digest(dataset, weights)?));
        if !path.is_file() {
            std::fs::create_dir_all(folder).map_err(|error| TrainError::data(folder, error))?;
            encode(&path, dataset, autoencoder, device)?;
        }
        Self::read(&path)
    }

    fn read(path: &Path) -> Result<Self, TrainError> {
        let failed = |problem: String| TrainError::data(path, problem);
        let file = SafetensorsFile::open(path).map_err(|error| failed(error.to_string()))?;
        let read = |name: &str| -> Result<(Vec<usize>, Vec<f32>), TrainError> {
            let tensor = file.read(name).map_err(|error| failed(error.to_string()))?;
            Ok((tensor.shape().to_vec(), tensor.try_to_vec::<f32>().map_err(|error| failed(error.to_string()))?))
        };
        let ((shape, mean), (_, deviation)) = (read("mean")?, read("deviation")?);
        let [_, channels, height, width] = shape[..] else { return Err(failed("holds no feature maps".to_owned())) };
        Ok(Self { shape: [channels, height, width], mean, deviation })
    }

    /// Latents of these pictures, drawn anew from their distributions.
    ///
    /// # Shapes
    /// `[pictures, channels, height, width]`
    pub(crate) fn draw(&self, pictures: &[usize], generator: &mut Generator, device: &Device) -> Tensor<4> {
        let [channels, height, width] = self.shape;
        let size = channels * height * width;
        let of = |values: &[f32]| pictures.iter().flat_map(|i| values[i * size..][..size].to_vec()).collect::<Vec<_>>();
        let noise = generator.randn(pictures.len() * size);
        let parts = of(&self.mean).into_iter().zip(of(&self.deviation)).zip(noise);
        let values = parts.map(|((mean, deviation), noise)| mean + deviation * noise).collect();
        Tensor::from_data(TensorData::new(values, [pictures.len(), channels, height, width]), device)
    }
}

fn encode(path: &Path, dataset: &Dataset, autoencoder: &AutoencoderKl, device: &Device) -> Result<(), TrainError> {
    let (mut mean, mut deviation, mut shape) = (Vec::new(), Vec::new(), [0; 4]);
    let values = |x: Tensor<4>| x.into_data().try_to_vec::<f32>().expect("latents are float32");
    let variants = if dataset.mirrors() { &[false, true][..] } else { &[false] };
    for &mirrored in variants {
        for first in (0..dataset.len()).step_by(BATCH) {
            let pictures: Vec<usize> = (first..dataset.len().min(first + BATCH)).collect();
            let latents = autoencoder.encode(dataset.images(&pictures, mirrored, device)?);
            let scaled = autoencoder.scale(latents.mode());
            shape = scaled.dims();
            let spread = autoencoder.scale(latents.mean.clone() + (latents.log_variance * 0.5).exp()) - scaled.clone();
            mean.extend(values(scaled));
            deviation.extend(values(spread));
        }
    }
    let count = variants.len() * dataset.len();
    let tensor = |values| TensorData::new(values, [count, shape[1], shape[2], shape[3]]);
    let saved = save_tensors(path, &[("mean", tensor(mean)), ("deviation", tensor(deviation))]);
    saved.map_err(|error| TrainError::data(path, error))
}

/// The first digits of a SHA-256 of what the latents depend on.
fn digest(dataset: &Dataset, weights: &dyn Weights) -> Result<String, TrainError> {
    let mut hash = Sha256::new();
    for name in weights.names() {
        let tensor = weights.read(name).map_err(|error| TrainError::data(Path::new(weights.file()), error))?;
        hash.update(name);
        hash.update(tensor.as_bytes());
    }
    dataset.describe().for_each(|part| hash.update(part));
    Ok(hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect())
}
