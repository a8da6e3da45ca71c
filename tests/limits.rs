//! What passes the largest binding of a device: WebGPU's default, 128 MiB, and smaller ones, so that a test is quick.

use burn::module::Module;
use burn::tensor::{Distribution, Tensor};
use pyrograph::{Device, Limits};
use pyrograph_autoencoder::AutoencoderKlConfig;
use pyrograph_kernels::{Mask, attention};
use serde::Deserialize;
use serde_json::json;

use crate::support::assert_close;

const LARGEST_BINDING: u64 = 128 << 20;

/// The CPU, and an adapter within the limits. Without one the tests say so, and on continuous integration they fail.
fn devices() -> Option<[Device; 2]> {
    match pyrograph::device_within("wgpu", Limits::WebGpuDefault) {
        Ok(device) => Some([pyrograph::device("cpu").expect("the CPU is always there"), device]),
        Err(error) if std::env::var_os("CI").is_some() => panic!("continuous integration needs an adapter: {error}"),
        Err(error) => {
            eprintln!("NOT TESTED on wgpu: {error}");
            None
        }
    }
}

/// Decodes to `8 * latent_size` pixels within the limits and compares with the CPU, which has none.
fn decode(block_out_channels: [usize; 4], latent_size: usize) {
    let Some([cpu, gpu]) = devices() else { return };
    assert_eq!(gpu.largest_binding(), Some(LARGEST_BINDING));
    let config = json!({
        "block_out_channels": block_out_channels,
        "down_block_types": vec!["DownEncoderBlock2D"; 4],
        "up_block_types": vec!["UpDecoderBlock2D"; 4],
        "layers_per_block": 1,
        "latent_channels": 4,
        "norm_num_groups": 8,
    });
    let config = AutoencoderKlConfig::deserialize(&config).expect("a configuration of diffusers");
    let model = config.init(cpu.tensors()).expect("diffusers could build it too");
    let latents = Tensor::random([1, 4, latent_size, latent_size], Distribution::Normal(0.0, 1.0), cpu.tensors());
    let expected = model.decode(latents.clone());
    assert_eq!(expected.dims(), [1, 3, 8 * latent_size, 8 * latent_size]);
    let limit = (LARGEST_BINDING / 4) as usize;
    let actual = model.to_device(gpu.tensors()).decode_within(latents.to_device(gpu.tensors()), limit);
    let actual = actual.expect("a row of each feature map fits");
    assert_close("the image", actual.into_data(), expected.into_data(), 1e-4);
}

/// Feature maps of 64 channels and 768x768 pixels, 144 MiB.
#[test]
fn decoding_768x768_stays_within_webgpus_limits() {
    decode([64, 16, 16, 16], 96);
}

/// Feature maps of 256 channels and 512x512 pixels, 256 MiB: half of the rows are the limit exactly, without those that a
/// convolution borrows from their neighbours.
#[test]
fn decoding_256_channels_at_512x512_stays_within_webgpus_limits() {
    decode([8, 256, 8, 8], 64);
}

/// Scores of 8 heads would take 512 MiB.
#[test]
fn attention_to_4096_tokens_stays_within_webgpus_limits() {
    let Some([cpu, gpu]) = devices() else { return };
    for head_dim in [8, 12] {
        let [q, k, v] =
            [0; 3].map(|_| Tensor::<4>::random([1, 8, 4096, head_dim], Distribution::Default, cpu.tensors()));
        let [gpu_q, gpu_k, gpu_v] = [&q, &k, &v].map(|x| x.clone().to_device(gpu.tensors()));
        let actual = attention(gpu_q, gpu_k, gpu_v, Mask::None);
        assert_close("4096 tokens", actual.into_data(), attention(q, k, v, Mask::None).into_data(), 1e-5);
    }
}
