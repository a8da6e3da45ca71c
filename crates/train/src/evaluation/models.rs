use burn::tensor::{DType, Tensor};
use pyrograph::Device;
use pyrograph_autoencoder::{AutoencoderKl, AutoencoderKlConfig};
use pyrograph_checkpoint::{Component, Location, load, read_config};
use pyrograph_scheduler::{Diffusion, Generator, SchedulerConfig};
use pyrograph_unet::{UNet2dConditionConfig, UNet2dConditionModel};

use super::reconstruction::WINDOW;
use super::{peak_signal_to_noise, structural_similarity};
use crate::bounds::within;
use crate::denoising::no_text;
use crate::image_grid::grid;
use crate::{Dataset, TrainError};

/// Images per call of a network.
const BATCH: usize = 16;

/// The number of images, which must be at least one for a mean.
fn some(count: usize) -> Result<usize, TrainError> {
    within("count", count, 1.., "at least 1").map(|()| count)
}

/// The similarity of the first `count` images and their reconstructions by an autoencoder: the mean
/// [`peak_signal_to_noise`] in decibels, and the mean [`structural_similarity`].
///
/// # Errors
/// Returns an error if the folder holds no `AutoencoderKL`, or an image cannot be read.
pub fn reconstruction(
    folder: &Location,
    data: &Dataset,
    count: usize,
    device: &Device,
) -> Result<[f64; 2], TrainError> {
    let component = Component::open(folder.clone()).map_err(TrainError::checkpoint(folder.path()))?;
    let (config, _): (AutoencoderKlConfig, _) =
        component.read_config("vae").map_err(TrainError::checkpoint(folder.path()))?;
    let mut model: AutoencoderKl = config.init(device.tensors()).map_err(TrainError::checkpoint(folder.path()))?;
    load(&mut model, component.weights.as_ref(), DType::F32).map_err(TrainError::checkpoint(folder.path()))?;
    let mut sums = [0.0; 2];
    let count = some(count)?.min(data.len());
    within("size", data.size(), WINDOW.., "at least 11 pixels, the window of the structural similarity,")?;
    for number in 0..count {
        let image = data.images(&[number], false, device.tensors())?;
        let decoded = model.decode(model.encode(image).mode());
        let (image, decoded) = (data.image(number)?, grid(decoded, 1));
        sums[0] += peak_signal_to_noise(&image, &decoded);
        sums[1] += structural_similarity(&image, &decoded);
    }
    Ok(sums.map(|sum| sum / count as f64))
}

/// The variational bound of the first `count` images in bits per dimension, with all its terms, under a DDPM in the
/// layout of diffusers (Ho et al., <https://arxiv.org/abs/2006.11239>, equation 5).
///
/// # Errors
/// Returns an error if the folder holds no such model, or an image cannot be read.
pub fn bits_per_dimension(folder: &Location, data: &Dataset, count: usize, device: &Device) -> Result<f64, TrainError> {
    let component = Component::open(folder.join("unet")).map_err(TrainError::checkpoint(folder.path()))?;
    let config = read_config("unet/config.json", "UNet2DModel", &component.config);
    let (config, _): (UNet2dConditionConfig, _) = config.map_err(TrainError::checkpoint(folder.path()))?;
    let mut model: UNet2dConditionModel =
        config.init(device.tensors()).map_err(TrainError::checkpoint(folder.path()))?;
    load(&mut model, component.weights.as_ref(), DType::F32).map_err(TrainError::checkpoint(folder.path()))?;
    let scheduler = folder.join("scheduler/scheduler_config.json").read_json();
    let scheduler = scheduler.map_err(TrainError::checkpoint(folder.path()))?.to_string();
    let diffusion = SchedulerConfig::from_json(&scheduler).and_then(|schedule| Diffusion::new(&schedule));
    let diffusion = diffusion.map_err(TrainError::table("scheduler"))?;
    let mut generator = Generator::new(0);
    let (mut sum, count) = (0.0, some(count)?.min(data.len()));
    for first in (0..count).step_by(BATCH) {
        let numbers: Vec<usize> = (first..count.min(first + BATCH)).collect();
        let original = data.images(&numbers, false, device.tensors())?;
        let mut bound: Tensor<1> = diffusion.prior_bound(original.clone());
        for timestep in 0..diffusion.steps() {
            let timesteps = vec![timestep; numbers.len()];
            let noise = generator.randn_tensor(original.dims(), device.tensors());
            let noisy = diffusion.add_noise(original.clone(), noise, &timesteps);
            let output = model.forward(noisy.clone(), &[timestep as f64], no_text(numbers.len(), device.tensors()));
            bound = bound + diffusion.bound(output, original.clone(), noisy, &timesteps);
        }
        sum += f64::from(bound.sum().into_scalar::<f32>());
    }
    Ok(sum / count as f64)
}
