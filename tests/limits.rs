//! What passes the largest binding of a device: WebGPU's default, 128 MiB, and smaller ones, so that a test is quick.

use std::panic::{AssertUnwindSafe, catch_unwind};

use burn::module::Module;
use burn::tensor::{DType, Distribution, Tensor};
use pyrograph::{Device, Error, Limits, LoadOptions, Request, StableDiffusion};
use pyrograph_autoencoder::{AutoencoderKlConfig, AutoencoderTinyConfig};
use pyrograph_kernels::{Mask, attention};
use pyrograph_unet::{UNet2dConditionConfig, UNet2dConditionModel};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::support::skip::no_adapter;
use crate::support::{assert_close, cpu, device_with_bindings_of, devices, shipped_model};

const LARGEST_BINDING: u64 = 128 << 20;

/// The CPU, and an adapter within the limits; [`no_adapter`] is the rule.
fn limited_devices() -> Option<[Device; 2]> {
    match pyrograph::device_within("wgpu", Limits::WebGpuDefault) {
        Ok(device) => Some([cpu(), device]),
        Err(error) => {
            no_adapter(error);
            None
        }
    }
}

/// Decodes to `8 * latent_size` pixels within the limits and compares with the CPU, which has none.
fn decode(block_out_channels: [usize; 4], latent_size: usize) {
    let Some([cpu, gpu]) = limited_devices() else { return };
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

/// Feature maps of 64 channels and 1024x1024 pixels, which take 256 MiB like those of Stable Diffusion 1.5 at 512x512, 256
/// channels of them, with a quarter of their arithmetic: half of the rows are the limit exactly, without those that a
/// convolution borrows from their neighbours.
#[test]
fn decoding_twice_the_largest_binding_stays_within_webgpus_limits() {
    decode([8, 64, 8, 8], 128);
}

/// Scores of 8 heads would take 512 MiB.
#[test]
fn attention_to_4096_tokens_stays_within_webgpus_limits() {
    let Some([cpu, gpu]) = limited_devices() else { return };
    for head_dim in [8, 12] {
        let [q, k, v] =
            [0; 3].map(|_| Tensor::<4>::random([1, 8, 4096, head_dim], Distribution::Default, cpu.tensors()));
        let [gpu_q, gpu_k, gpu_v] = [&q, &k, &v].map(|x| x.clone().to_device(gpu.tensors()));
        let actual = attention(gpu_q, gpu_k, gpu_v, Mask::None);
        assert_close("4096 tokens", actual.into_data(), attention(q, k, v, Mask::None).into_data(), 1e-5);
    }
}

/// The device sees to the limit. The first feature map of the largest images has as many rows to a band as the limit allows and no
/// room for those that a convolution borrows.
#[test]
fn a_device_with_small_bindings_encodes_and_decodes() {
    const LIMIT: usize = 1 << 18;
    let Some(gpu) = device_with_bindings_of(4 * LIMIT as u64) else { return };
    let cpu = burn::tensor::Device::flex();
    let config = json!({
        "block_out_channels": [16, 16, 8],
        "down_block_types": vec!["DownEncoderBlock2D"; 3],
        "up_block_types": vec!["UpDecoderBlock2D"; 3],
        "latent_channels": 4,
        "norm_num_groups": 4,
    });
    let kl = AutoencoderKlConfig::deserialize(&config).expect("a configuration").init(&cpu).expect("a network");
    let tiny = AutoencoderTinyConfig {
        encoder_block_out_channels: vec![16; 3],
        decoder_block_out_channels: vec![16; 3],
        num_encoder_blocks: vec![1; 3],
        num_decoder_blocks: vec![1; 3],
        ..AutoencoderTinyConfig::default()
    };
    let tiny = tiny.init(&cpu).expect("a network");
    let (gpu_kl, gpu_tiny) = (kl.clone().to_device(&gpu), tiny.clone().to_device(&gpu));
    let check = |what: &str, actual: Tensor<4>, expected: Tensor<4>| {
        assert_close(what, actual.into_data(), expected.into_data(), 1e-4);
    };
    for [height, width] in [[128, 128], [256, 320], [140, 604]] {
        let random = |shape: [usize; 4]| Tensor::<4>::random(shape, Distribution::Uniform(-1.0, 1.0), &cpu);
        let (image, latents) = (random([1, 3, height, width]), random([1, 4, height / 4, width / 4]));
        let (gpu_image, gpu_latents) = (image.clone().to_device(&gpu), latents.clone().to_device(&gpu));
        let fits = "a row of each feature map fits";
        check(
            "KL moments",
            gpu_kl.encode_within(gpu_image.clone(), LIMIT).expect(fits).mean,
            kl.encode(image.clone()).mean,
        );
        check("KL image", gpu_kl.decode_within(gpu_latents.clone(), LIMIT).expect(fits), kl.decode(latents.clone()));
        check("tiny latents", gpu_tiny.encode_within(gpu_image, LIMIT).expect(fits), tiny.encode(image));
        check("tiny image", gpu_tiny.decode_within(gpu_latents, LIMIT).expect(fits), tiny.decode(latents));
    }
}

/// Whether the network runs on an adapter with bindings of so many bytes.
fn runs(unet: &UNet2dConditionModel, inputs: &(Tensor<4>, Tensor<3>), dtype: DType, bytes: u64) -> bool {
    let Some(gpu) = device_with_bindings_of(bytes) else { return false };
    let run = || {
        let unet = unet.clone().to_device(&gpu);
        let (sample, text) = (inputs.0.clone().to_device(&gpu), inputs.1.clone().to_device(&gpu));
        unet.forward(sample, &[500.0], text.cast(dtype)).try_into_data().is_ok_and(|data| data.num_elements() > 0)
    };
    catch_unwind(AssertUnwindSafe(run)).unwrap_or(false)
}

/// The estimate is no less than the largest tensor, or the device would refuse it, and no more, or it would allow less.
#[test]
fn the_largest_tensor_of_the_unet_is_known() {
    if device_with_bindings_of(1 << 27).is_none() {
        return;
    }
    let transformers = json!({
        "block_out_channels": [32, 64], "cross_attention_dim": 24, "attention_head_dim": 4, "norm_num_groups": 8,
        "down_block_types": ["CrossAttnDownBlock2D", "DownBlock2D"], "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D"],
        "layers_per_block": 1,
    });
    let convolutions = json!({
        "block_out_channels": [32, 48, 48], "cross_attention_dim": 24, "attention_head_dim": 4, "norm_num_groups": 8,
        "down_block_types": vec!["DownBlock2D"; 3], "up_block_types": vec!["UpBlock2D"; 3],
        "mid_block_type": Value::Null, "layers_per_block": 2,
    });
    let cases = [(&transformers, [2, 32, 40]), (&transformers, [1, 31, 33]), (&convolutions, [3, 36, 28])];
    for (config, sample) in cases {
        let config = UNet2dConditionConfig::deserialize(config).expect("a configuration");
        let unet = config.init(&burn::tensor::Device::flex()).expect("a network");
        let [batch, height, width] = sample;
        let random = Distribution::Normal(0.0, 1.0);
        let inputs = (
            Tensor::random([batch, 4, height, width], random, &burn::tensor::Device::flex()),
            Tensor::random([batch, 77, 24], random, &burn::tensor::Device::flex()),
        );
        let needed = config.extent(sample, 77, DType::F32).largest_tensor.next_multiple_of(256);
        assert!(runs(&unet, &inputs, DType::F32, needed), "{needed} bytes are enough for {sample:?}");
        assert!(!runs(&unet, &inputs, DType::F32, needed - 256), "less than {needed} bytes are enough for {sample:?}");
    }
}

/// One sample after the other, and all at once.
#[test]
fn splitting_the_batch_does_not_change_the_images() {
    let cpu = cpu();
    let request = Request::text("a red apple on a blue background").with_negative_prompt("blurry").with_batch_size(5);
    let request = request.with_steps(3).with_seed(7);
    let latents = |low_memory| {
        let options = LoadOptions::default().with_low_memory(low_memory);
        let pipeline = StableDiffusion::open(&shipped_model(), &cpu, options).expect("the shipped model");
        let mut denoising = pipeline.denoise(&request).expect("it fits");
        denoising.try_for_each(|step| step.map(drop)).expect("the device works");
        denoising.latents().into_data()
    };
    assert_close("the split batch", latents(true), latents(false), 1e-5);
}

/// No machine holds these; nothing is computed before that is known.
#[test]
fn what_no_device_holds_is_refused_at_once() {
    for device in devices() {
        let pipeline = StableDiffusion::from_path(shipped_model(), &device).expect("the shipped model");
        let start = std::time::Instant::now();
        let request = Request::text("a wall").with_size(16_384, 16_384);
        let error = pipeline.denoise(&request).map(drop).expect_err("more than 100 GiB");
        assert!(matches!(error, Error::Memory { needed, available, .. } if needed > available), "{error}");
        assert!(start.elapsed().as_secs() < 1, "{} took {:?}", device.name(), start.elapsed());
    }
}
