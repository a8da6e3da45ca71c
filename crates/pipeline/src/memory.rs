//! The memory of a request, computed before anything starts.

use burn::tensor::DType;
use pyrograph_checkpoint::{Checkpoint, Weights};
use pyrograph_unet::UNet2dConditionConfig;

use crate::decode::Decoder;
use crate::{Device, Error};

/// The number of decoder feature maps that exist at the same time, each as large as the largest one: the input of a
/// residual block, its normalised copy, the result of a convolution, and the buffers of a convolution on the CPU.
const DECODER_MAPS: u64 = 4;

/// The memory of a device.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AvailableMemory {
    /// Bytes of the largest tensor; `None` if only memory limits it.
    pub(crate) tensor: Option<u64>,
    /// Free bytes; `None` if unknown, as on GPUs.
    pub(crate) memory: Option<u64>,
}

impl AvailableMemory {
    /// The memory of `device` that is available now.
    pub(crate) fn of(device: &Device) -> Self {
        let tensor = device.largest_binding();
        Self { tensor, memory: if tensor.is_none() { free_memory() } else { None } }
    }

    fn check_tensor(self, stage: &'static str, needed: u64) -> Result<(), Error> {
        within(self.tensor, stage, needed)
    }

    fn check_memory(self, stage: &'static str, needed: u64) -> Result<(), Error> {
        within(self.memory, stage, needed)
    }
}

fn within(available: Option<u64>, stage: &'static str, needed: u64) -> Result<(), Error> {
    match available {
        Some(available) if needed > available => Err(Error::Memory { stage, needed, available }),
        _ => Ok(()),
    }
}

/// The calls of the UNet for a request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Calls<'a> {
    pub(crate) config: &'a UNet2dConditionConfig,
    /// Height and width of the latents.
    pub(crate) size: [usize; 2],
    pub(crate) text_tokens: usize,
    pub(crate) dtype: DType,
}

impl Calls<'_> {
    /// The largest number of samples per call; the results do not depend on it.
    ///
    /// # Errors
    /// Returns an error if a single sample is too large.
    pub(crate) fn samples_at_once(&self, batch: usize, available: AvailableMemory) -> Result<usize, Error> {
        let fitting = (2..=batch).rev().find(|&samples| self.check(samples, available).is_ok());
        fitting.map_or_else(|| self.check(1, available).map(|()| 1), Ok)
    }

    /// Bytes of all tensors of a call, without the weights.
    pub(crate) fn activations(&self, samples: usize) -> u64 {
        self.extent(samples).activations
    }

    fn check(&self, samples: usize, available: AvailableMemory) -> Result<(), Error> {
        let extent = self.extent(samples);
        available.check_tensor("the largest tensor of the UNet", extent.largest_tensor)?;
        available.check_memory("the UNet", extent.activations)
    }

    fn extent(&self, samples: usize) -> pyrograph_unet::Extent {
        let [height, width] = self.size;
        self.config.extent([samples, height, width], self.text_tokens, self.dtype)
    }
}

/// Bytes of all tensors that exist at the same time while latents `[1, channels, height, width]` are decoded, without
/// the weights.
///
/// # Errors
/// Returns an error if they do not fit.
pub(crate) fn check_decoder(decoder: &Decoder, latents: [usize; 4], available: AvailableMemory) -> Result<u64, Error> {
    let extent = decoder.extent(latents)?;
    let needed = DECODER_MAPS * extent.largest_map * size_of::<f32>() as u64;
    available.check_memory("the autoencoder", needed).map(|()| needed)
}

/// Checks that `device` has memory for the weights of a checkpoint: UNet and text encoder as `dtype`, the autoencoder
/// as float32.
///
/// # Errors
/// Returns an error if it has not enough.
pub(crate) fn check_weights(checkpoint: &Checkpoint, dtype: DType, device: &Device) -> Result<(), Error> {
    let available = AvailableMemory::of(device);
    let (unet, text, vae) = (&checkpoint.unet.weights, &checkpoint.text_encoder.weights, &checkpoint.vae.weights);
    let bytes = |weights: &dyn Weights, dtype: DType| -> Vec<u64> {
        let infos = weights.names().into_iter().filter_map(|name| weights.info(name));
        infos.map(|info| (info.shape.iter().product::<usize>() * dtype.size()) as u64).collect()
    };
    let [unet, text, vae] = [bytes(&**unet, dtype), bytes(&**text, dtype), bytes(&**vae, DType::F32)];
    // The token table stays on the CPU if it is too large.
    let largest = unet.iter().chain(&vae).copied().max().unwrap_or(0);
    available.check_tensor("the largest tensor of the weights", largest)?;
    available.check_memory("the weights", [unet, text, vae].concat().iter().sum())
}

/// Bytes of memory that the program can have: without swapping according to Linux, or the address space of WebAssembly; `None` on
/// other systems.
fn free_memory() -> Option<u64> {
    if cfg!(target_family = "wasm") {
        return Some(u64::from(u32::MAX));
    }
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNKNOWN: AvailableMemory = AvailableMemory { tensor: None, memory: None };

    fn calls(config: &UNet2dConditionConfig, size: [usize; 2]) -> Calls<'_> {
        Calls { config, size, text_tokens: 77, dtype: DType::F32 }
    }

    /// Stable Diffusion 1.5 at 512x512: the weights of a 3x3 convolution, then feed-forward networks of 8 x 320 channels and 4096
    /// pixels.
    #[test]
    fn a_batch_is_split_where_its_largest_tensor_passes_the_largest_binding() {
        let config = UNet2dConditionConfig::default();
        let calls = calls(&config, [64, 64]);
        assert_eq!(calls.extent(1).largest_tensor, 9 * 2560 * 1280 * 4);
        assert_eq!(calls.extent(3).largest_tensor, 3 * 4096 * 8 * 320 * 4);
        let webgpu = AvailableMemory { tensor: Some(128 << 20), ..UNKNOWN };
        assert_eq!(calls.samples_at_once(2, webgpu).expect("two samples fit"), 2);
        assert_eq!(calls.samples_at_once(10, webgpu).expect("parts of ten samples fit"), 3);
        assert_eq!(calls.samples_at_once(10, UNKNOWN).expect("there is no limit"), 10);
    }

    #[test]
    fn a_batch_is_split_where_memory_is_short() {
        let config = UNet2dConditionConfig::default();
        let calls = calls(&config, [64, 64]);
        let memory = Some(calls.activations(4));
        assert_eq!(calls.samples_at_once(10, AvailableMemory { memory, ..UNKNOWN }).expect("four samples fit"), 4);
    }

    #[test]
    fn a_single_sample_that_is_too_large_is_an_error() {
        let config = UNet2dConditionConfig::default();
        let calls = calls(&config, [2048, 2048]);
        for available in [
            AvailableMemory { tensor: Some(128 << 20), ..UNKNOWN },
            AvailableMemory { memory: Some(24 << 30), ..UNKNOWN },
        ] {
            let error = calls.samples_at_once(2, available).expect_err("16384 x 16384 pixels");
            assert!(matches!(error, Error::Memory { needed, available, .. } if needed > available), "{error}");
        }
    }
}
