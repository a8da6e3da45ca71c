//! Autoencoders on toys: how close images are to what is left of them.

use std::sync::{Mutex, PoisonError};

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use pyrograph_autoencoder::{AutoencoderKl, AutoencoderKlConfig, VqModelConfig};
use pyrograph_scheduler::Generator;
use pyrograph_train::{AutoencoderLoss, CodebookMeans, Trainer, TrainerConfig};

/// A square on a ground, both in one of the eight corners of a cube of colours, 16x16 pixels.
fn squares(count: usize, generator: &mut Generator, device: &Device) -> Tensor<4> {
    let image = |draws: &[f32]| {
        let colours: Vec<f32> = draws[..6].iter().map(|&draw| if draw < 0.5 { -0.8 } else { 0.8 }).collect();
        let (left, top) = ((draws[6] * 8.0) as usize, (draws[7] * 8.0) as usize);
        (0..3 * 256).map(move |i| {
            let (channel, x, y) = (i / 256, i % 16, i / 16 % 16);
            let inside = (left..left + 8).contains(&x) && (top..top + 8).contains(&y);
            colours[if inside { channel } else { 3 + channel }]
        })
    };
    let pixels: Vec<f32> = generator.rand(8 * count).chunks(8).flat_map(image).collect();
    Tensor::<1>::from_floats(pixels.as_slice(), device).reshape([count, 3, 16, 16])
}

/// Peak signal-to-noise ratio in decibels.
fn psnr(decoded: Tensor<4>, image: Tensor<4>) -> f64 {
    let error = f64::from((decoded - image).square().mean().into_scalar::<f32>());
    10.0 * (4.0 / error).log10()
}

/// Of the mean of all such images.
fn psnr_of_the_mean(image: &Tensor<4>) -> f64 {
    psnr(image.clone().mean_dim(0).expand(image.dims()), image.clone())
}

fn autoencoder(device: &Device) -> AutoencoderKl {
    let config =
        AutoencoderKlConfig { block_out_channels: vec![16, 32], norm_num_groups: 4, ..AutoencoderKlConfig::default() };
    config.init(device).expect("the configuration is sound").materialize()
}

fn short_run() -> TrainerConfig {
    TrainerConfig { steps: 500, learning_rate: 2e-3, warmup_steps: 20, ema_decay: 0.95, ..TrainerConfig::default() }
}

/// What `init` makes of random numbers from a seed. burn has one source of them for all threads, and tests run side by side.
fn seeded<T>(seed: u64, device: &Device, init: impl FnOnce() -> T) -> T {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _lock = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    device.seed(seed);
    init()
}

#[test]
fn a_tiny_kl_autoencoder_learns_squares() {
    let device = Device::flex().autodiff();
    let mut model = seeded(4, &device, || autoencoder(&device));
    if let Some(bias) = model.quant_conv.as_mut().and_then(|conv| conv.bias.take()) {
        // Latents begin with little noise, so that the decoder looks at them from the first step.
        let quiet = Tensor::from_floats([0.0, 0.0, 0.0, 0.0, -6.0, -6.0, -6.0, -6.0], &device);
        model.quant_conv.as_mut().expect("it was there").bias =
            Some(bias.map(|bias| (bias.inner() + quiet.clone().inner()).autodiff()));
    }
    let loss = AutoencoderLoss { absolute: 0.0, square: 1.0, edge: 0.0, kl: 1e-4 };
    let mut trainer = Trainer::new(model, short_run());
    while !trainer.finished() {
        let step = trainer.step(|model, generator| {
            let image = squares(8, generator, &device);
            let noise = generator.randn_tensor([8, 4, 8, 8], &device);
            loss.forward(model, image, noise)
        });
        step.expect("the loss stays finite");
    }
    let image = squares(48, &mut Generator::new(77), &Device::flex());
    let model = trainer.averaged();
    let decoded = model.decode(model.encode(image.clone()).mode());
    let (mean, psnr) = (psnr_of_the_mean(&image), psnr(decoded, image));
    assert!(psnr > 11.0, "{psnr} dB; the mean image has {mean}");
}

#[test]
fn a_tiny_vq_autoencoder_learns_squares() {
    let device = Device::flex().autodiff();
    let config = VqModelConfig {
        block_out_channels: vec![16, 32],
        norm_num_groups: 4,
        latent_channels: 4,
        num_vq_embeddings: 64,
        ..VqModelConfig::default()
    };
    let mut model = seeded(5, &device, || config.init(&device).expect("the configuration is sound").materialize());
    let mut generator = Generator::new(78);
    let latents = model.encode(squares(8, &mut generator, &device));
    let indices = model.quantize(latents.clone()).indices;
    let mut first = CodebookMeans::new(&model.quantize, 0.0); // codes begin where latents are
    model.quantize = first.update(model.quantize, latents, indices, &mut generator);
    let mut trainer = Trainer::new(model, short_run());
    while !trainer.finished() {
        let step = trainer.step(|model, generator| {
            let image = squares(8, generator, &device);
            let quantized = model.quantize(model.encode(image.clone()));
            let decoded = model.decode(quantized.values);
            (decoded - image).square().mean() + quantized.codebook_loss + quantized.commitment_loss
        });
        step.expect("the loss stays finite");
    }
    let image = squares(48, &mut Generator::new(77), &Device::flex());
    let model = trainer.averaged();
    let quantized = model.quantize(model.encode(image.clone()));
    let usage = model.quantize.usage(quantized.indices.clone()).into_scalar::<f32>();
    let (mean, psnr) = (psnr_of_the_mean(&image), psnr(model.decode(quantized.values), image));
    assert!(psnr > 11.0 && usage > 4.0, "{psnr} dB with {usage} of 64 codes; the mean image has {mean}");
}
