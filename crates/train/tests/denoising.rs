//! Denoising on toys: how well images are coded, and whether captions are heard.

use std::sync::{Mutex, PoisonError};

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use pyrograph_blocks::PerBlock;
use pyrograph_scheduler::{Algorithm, BetaSchedule, Diffusion, Generator, PredictionType, SchedulerConfig};
use pyrograph_train::{TimestepSampler, Trainer, TrainerConfig, Weighting, denoising_loss};
use pyrograph_unet::{UNet2dConditionConfig, UNet2dConditionModel};

fn unet_config() -> UNet2dConditionConfig {
    UNet2dConditionConfig {
        in_channels: 1,
        out_channels: 1,
        down_block_types: ["DownBlock2D", "DownBlock2D"].map(String::from).to_vec(),
        up_block_types: ["UpBlock2D", "UpBlock2D"].map(String::from).to_vec(),
        mid_block_type: None,
        block_out_channels: vec![16, 32],
        layers_per_block: PerBlock::All(1),
        norm_num_groups: 4,
        ..UNet2dConditionConfig::default()
    }
}

/// burn has one source of random numbers for all threads, and tests run side by side.
fn unet(config: &UNet2dConditionConfig, seed: u64, device: &Device) -> UNet2dConditionModel {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _lock = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    device.seed(seed);
    config.init(device).expect("the configuration is sound").materialize()
}

fn diffusion() -> Diffusion {
    let config = SchedulerConfig {
        num_train_timesteps: Some(100),
        beta_schedule: Some(BetaSchedule::Linear),
        beta_start: Some(1e-4),
        beta_end: Some(0.1),
        prediction_type: Some(PredictionType::VPrediction),
        ..SchedulerConfig::default()
    };
    Diffusion::new(&config).expect("the schedule leaves a signal")
}

/// Images of 8x8 pixels with one bright row or column on a dark ground: four bits, and nothing else.
fn bars(count: usize, generator: &mut Generator, device: &Device) -> Tensor<4> {
    let level = |byte: f32| byte / 127.5 - 1.0;
    let image = |draw: f32| {
        let bar = (draw * 16.0) as usize;
        let bright = move |pixel: usize| if bar < 8 { pixel / 8 == bar } else { pixel % 8 == bar - 8 };
        (0..64).map(move |pixel| level(if bright(pixel) { 200.0 } else { 40.0 }))
    };
    let pixels: Vec<f32> = generator.rand(count).into_iter().flat_map(image).collect();
    Tensor::<1>::from_floats(pixels.as_slice(), device).reshape([count, 1, 8, 8])
}

fn no_text(batch: usize, device: &Device) -> Tensor<3> {
    Tensor::zeros([batch, 1, 1], device)
}

fn loss(model: &UNet2dConditionModel, generator: &mut Generator, batch: usize) -> Tensor<1> {
    let (diffusion, device) = (diffusion(), model.conv_in.weight.device());
    let original = bars(batch, generator, &device);
    let timesteps = TimestepSampler::Stratified.draw(batch, diffusion.steps(), generator);
    let noise = generator.randn_tensor(original.dims(), &device);
    let predict = |noisy, times: &[f64]| model.forward(noisy, times, no_text(batch, &device));
    denoising_loss(&diffusion, Weighting::Simple, predict, original, noise, &timesteps).mean()
}

/// The variational bound of new images, in bits per dimension.
fn bits_per_dimension(model: &UNet2dConditionModel, batch: usize) -> f64 {
    let (diffusion, device) = (diffusion(), model.conv_in.weight.device());
    let mut generator = Generator::new(99);
    let original = bars(batch, &mut generator, &device);
    let mut sum = diffusion.prior_bound(original.clone());
    for timestep in 0..diffusion.steps() {
        let timesteps = vec![timestep; batch];
        let noise = generator.randn_tensor(original.dims(), &device);
        let noisy = diffusion.add_noise(original.clone(), noise, &timesteps);
        let output = model.forward(noisy.clone(), &[timestep as f64], no_text(batch, &device));
        sum = sum + diffusion.bound(output, original.clone(), noisy, &timesteps);
    }
    f64::from(sum.mean().into_scalar::<f32>())
}

/// Less than half of what a normal distribution with the pixels' mean and deviation (53 of 256 levels) needs: 7.8 bits.
#[test]
fn a_tiny_ddpm_learns_to_code_bars() {
    let device = Device::flex().autodiff();
    let config = TrainerConfig {
        steps: 1000,
        learning_rate: 5e-3,
        warmup_steps: 20,
        ema_decay: 0.99,
        ..TrainerConfig::default()
    };
    let mut trainer = Trainer::new(unet(&unet_config(), 1, &device), config);
    let before = bits_per_dimension(trainer.averaged(), 16);
    while !trainer.finished() {
        trainer.step(|model, generator| loss(model, generator, 32)).expect("the loss stays finite");
    }
    let after = bits_per_dimension(trainer.averaged(), 16);
    eprintln!("{before:.2} bits per dimension before, {after:.2} after");
    assert!(after < 3.0, "{after} bits per dimension after training, {before} before");
}

/// Two captions, as a text encoder would have them, and their absence.
fn text(captions: &[Option<usize>], device: &Device) -> Tensor<3> {
    let value =
        |caption: Option<usize>, i: usize| caption.map_or(0.0, |caption| if i % 2 == caption { 1.0 } else { -1.0 });
    let states: Vec<f32> = captions.iter().flat_map(|&caption| (0..8).map(move |i| value(caption, i))).collect();
    Tensor::<1>::from_floats(states.as_slice(), device).reshape([captions.len(), 1, 8])
}

/// A bright row for the first caption and a bright column for the second.
fn captioned(captions: &[usize], generator: &mut Generator, device: &Device) -> Tensor<4> {
    let draws = generator.rand(captions.len());
    let image = |(&caption, draw): (&usize, f32)| {
        let bar = (draw * 8.0) as usize;
        (0..64).map(move |pixel| if [pixel / 8, pixel % 8][caption] == bar { 1.0 } else { -0.5 })
    };
    let pixels: Vec<f32> = captions.iter().zip(draws).flat_map(image).collect();
    Tensor::<1>::from_floats(pixels.as_slice(), device).reshape([captions.len(), 1, 8, 8])
}

/// With a tenth of the captions left out in training, guidance leads to the right kind of image.
#[test]
fn a_tiny_model_learns_two_captions() {
    let device = Device::flex().autodiff();
    let listening = UNet2dConditionConfig {
        down_block_types: ["CrossAttnDownBlock2D", "DownBlock2D"].map(String::from).to_vec(),
        up_block_types: ["UpBlock2D", "CrossAttnUpBlock2D"].map(String::from).to_vec(),
        cross_attention_dim: PerBlock::All(8),
        attention_head_dim: PerBlock::All(2),
        ..unet_config()
    };
    let schedule = SchedulerConfig { beta_schedule: Some(BetaSchedule::ScaledLinear), ..SchedulerConfig::default() };
    let diffusion = Diffusion::new(&schedule).expect("the schedule leaves a signal");
    let config = TrainerConfig {
        steps: 400,
        learning_rate: 4e-3,
        warmup_steps: 20,
        ema_decay: 0.98,
        ..TrainerConfig::default()
    };
    let mut trainer = Trainer::new(unet(&listening, 3, &device), config);
    while !trainer.finished() {
        let step = trainer.step(|model, generator| {
            let captions: Vec<usize> = generator.rand(16).into_iter().map(|draw| usize::from(draw < 0.5)).collect();
            let original = captioned(&captions, generator, &device);
            let shown: Vec<Option<usize>> = captions
                .iter()
                .zip(generator.rand(16))
                .map(|(&caption, draw)| (draw > 0.1).then_some(caption))
                .collect();
            let timesteps = TimestepSampler::Stratified.draw(16, diffusion.steps(), generator);
            let noise = generator.randn_tensor(original.dims(), &device);
            let predict = |noisy, times: &[f64]| model.forward(noisy, times, text(&shown, &device));
            denoising_loss(&diffusion, Weighting::MinSnr(5.0), predict, original, noise, &timesteps).mean()
        });
        step.expect("the loss stays finite");
    }

    let model = trainer.averaged();
    let device = Device::flex();
    let mut generator = Generator::new(11);
    let mut scheduler = Algorithm::Ddim.build(&schedule, 20).expect("twenty steps are allowed");
    let mut sample = generator.randn_tensor([20, 1, 8, 8], &device);
    let wanted: Vec<Option<usize>> = (0..20).map(|i| Some(i % 2)).collect();
    for (index, timestep) in scheduler.timesteps().to_vec().into_iter().enumerate() {
        let with = model.forward(sample.clone(), &[timestep], text(&wanted, &device));
        let without = model.forward(sample.clone(), &[timestep], text(&[None; 20], &device));
        let output = without.clone() + (with - without) * 2.0;
        sample = scheduler.step(output, index, sample, &mut generator);
    }
    // The means of rows differ where a row is bright, those of columns where a column is.
    let spread = |axis: usize| -> Vec<f32> {
        let means = sample.clone().mean_dim(axis).reshape([20, 8]);
        means.var(1).into_data().try_to_vec().expect("float32")
    };
    let right = spread(3)
        .into_iter()
        .zip(spread(2))
        .enumerate()
        .filter(|(i, (rows, columns))| (rows > columns) == (i % 2 == 0));
    let right = right.count();
    assert!(right >= 18, "{right} of 20 images are what was asked for");
}
