//! The side of `bench_torch.py` that is ours: answers the name of a model on standard input with the images per second of its
//! training steps on the CPU, so that the two programs work in alternation.
//!
//! `echo unet | cargo bench --workspace --bench throughput` is one model without PyTorch. With `PROCESSOR_TIME` in the
//! environment, the seconds are those that all threads spend on the processor, for machines that are in use.

#![expect(clippy::print_stdout, reason = "the output is the point of a benchmark")]

use std::io::{BufRead, Write};
use std::sync::LazyLock;
use std::time::Instant;

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use pyrograph_autoencoder::AutoencoderKlConfig;
use pyrograph_blocks::PerBlock;
use pyrograph_scheduler::{Diffusion, Generator, SchedulerConfig};
use pyrograph_train::{AutoencoderLoss, TimestepSampler, Trainer, TrainerConfig, Weighting, denoising_loss};
use pyrograph_unet::UNet2dConditionConfig;
use serde::de::DeserializeOwned;

const BATCH: usize = 16;
const STEPS: usize = 5;

fn main() {
    // This thread is one of the pool's, so that no operation waits for another thread to wake up.
    rayon::ThreadPoolBuilder::new().use_current_thread().build_global().expect("there is no pool yet");
    let device = Device::flex().autodiff();
    for line in std::io::stdin().lock().lines() {
        let images_per_second = match line.expect("names are UTF-8").as_str() {
            "unet" => unet(&device),
            "autoencoder" => autoencoder(&device),
            name => panic!("there is no model {name}"),
        };
        println!("{images_per_second:.2}");
        std::io::stdout().flush().expect("standard output is open");
    }
}

/// The UNet, with latents of 16 x 8 x 8 under texts of 77 tokens.
fn unet(device: &Device) -> f64 {
    let config: UNet2dConditionConfig = spark("unet");
    let PerBlock::All(text_width) = config.cross_attention_dim else { panic!("all blocks read the same text") };
    let model = config.init(device).expect("the configuration is sound").materialize();
    let diffusion = Diffusion::new(&SchedulerConfig::default()).expect("the schedule leaves a signal");
    throughput(model, |model, generator| {
        let original = generator.randn_tensor([BATCH, config.in_channels, 8, 8], device);
        let text: Tensor<3> = generator.randn_tensor([BATCH, 1, 77, text_width], device).squeeze_dim(1);
        let timesteps = TimestepSampler::Stratified.draw(BATCH, diffusion.steps(), generator);
        let noise = generator.randn_tensor(original.dims(), device);
        let predict = |noisy, times: &[f64]| model.forward(noisy, times, text);
        denoising_loss(&diffusion, Weighting::MinSnr(5.0), predict, original, noise, &timesteps).mean()
    })
}

/// The autoencoder, with images of 64 x 64.
fn autoencoder(device: &Device) -> f64 {
    let config: AutoencoderKlConfig = spark("vae");
    let model = config.init(device).expect("the configuration is sound").materialize();
    throughput(model, |model, generator| {
        let image = generator.randn_tensor([BATCH, 3, 64, 64], device);
        let noise = generator.randn_tensor([BATCH, config.latent_channels, 8, 8], device);
        AutoencoderLoss::default().forward(model, image, noise)
    })
}

/// The configuration of a component of `assets/spark`.
fn spark<T: DeserializeOwned>(component: &str) -> T {
    let file = format!("{}/../../assets/spark/{component}/config.json", env!("CARGO_MANIFEST_DIR"));
    let json = std::fs::read_to_string(file).expect("the model is in the repository");
    serde_json::from_str(&json).expect("the configuration is sound")
}

/// Images per second of whole steps: forward, backward, global clipping, `AdamW` and averaging.
fn throughput<M: Module>(model: M, mut loss: impl FnMut(&M, &mut Generator) -> Tensor<1>) -> f64 {
    let mut trainer = Trainer::new(model, TrainerConfig::default());
    trainer.step(&mut loss).expect("the loss stays finite");
    let start = clock();
    for _ in 0..STEPS {
        trainer.step(&mut loss).expect("the loss stays finite");
    }
    (STEPS * BATCH) as f64 / (clock() - start)
}

/// Seconds since the start, or those that the threads have spent on the processor.
fn clock() -> f64 {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    if std::env::var_os("PROCESSOR_TIME").is_none() {
        return START.elapsed().as_secs_f64();
    }
    let threads = std::fs::read_dir("/proc/self/task").expect("Linux lists the threads");
    let times = threads.flatten().filter_map(|thread| std::fs::read_to_string(thread.path().join("schedstat")).ok());
    times.filter_map(|times| times.split(' ').next()?.parse::<f64>().ok()).sum::<f64>() * 1e-9
}
