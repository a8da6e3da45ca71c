//! Whole runs on toys.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use pyrograph_blocks::PerBlock;
use pyrograph_scheduler::{BetaSchedule, Diffusion, Generator, PredictionType, SchedulerConfig};
use pyrograph_train::{TimestepSampler, TrainError, Trainer, TrainerConfig, Weighting, denoising_loss};
use pyrograph_unet::{UNet2dConditionConfig, UNet2dConditionModel};

fn unet(device: &Device) -> UNet2dConditionModel {
    let config = UNet2dConditionConfig {
        in_channels: 1,
        out_channels: 1,
        down_block_types: ["DownBlock2D", "DownBlock2D"].map(String::from).to_vec(),
        up_block_types: ["UpBlock2D", "UpBlock2D"].map(String::from).to_vec(),
        mid_block_type: None,
        block_out_channels: vec![16, 32],
        layers_per_block: PerBlock::All(1),
        norm_num_groups: 4,
        ..UNet2dConditionConfig::default()
    };
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

/// Pictures of 8x8 pixels with one bright row or column on a dark ground: four bits, and nothing else.
fn bars(count: usize, generator: &mut Generator, device: &Device) -> Tensor<4> {
    let level = |byte: f32| byte / 127.5 - 1.0;
    let picture = |draw: f32| {
        let bar = (draw * 16.0) as usize;
        let bright = move |pixel: usize| if bar < 8 { pixel / 8 == bar } else { pixel % 8 == bar - 8 };
        (0..64).map(move |pixel| level(if bright(pixel) { 200.0 } else { 40.0 }))
    };
    let pixels: Vec<f32> = generator.rand(count).into_iter().flat_map(picture).collect();
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

/// The variational bound of new pictures, in bits per dimension.
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
    device.seed(1);
    let config = TrainerConfig {
        steps: 1000,
        learning_rate: 5e-3,
        warmup_steps: 20,
        ema_decay: 0.99,
        ..TrainerConfig::default()
    };
    let mut trainer = Trainer::new(unet(&device), config);
    let before = bits_per_dimension(trainer.averaged(), 16);
    while !trainer.finished() {
        trainer.step(|model, generator| loss(model, generator, 32)).expect("the loss stays finite");
    }
    let after = bits_per_dimension(trainer.averaged(), 16);
    eprintln!("{before:.2} bits per dimension before, {after:.2} after");
    assert!(after < 3.0, "{after} bits per dimension after training, {before} before");
}

#[test]
fn a_resumed_run_takes_the_same_steps() {
    let device = Device::flex().autodiff();
    device.seed(2);
    let config =
        TrainerConfig { steps: 6, warmup_steps: 2, gradient_accumulation: 2, seed: 7, ..TrainerConfig::default() };
    let folder = tempfile::tempdir().expect("there is a place for temporary files");
    let folder = folder.path().join("runs/checkpoint");
    let step = |trainer: &mut Trainer<UNet2dConditionModel>| {
        trainer.step(|model, generator| loss(model, generator, 4)).expect("the loss is finite")
    };
    let mut trainer = Trainer::new(unet(&device), config);
    trainer.save(&folder).expect("the folder can be written");
    for _ in 0..3 {
        step(&mut trainer);
    }
    trainer.save(&folder).expect("the older checkpoint is replaced");
    let losses: Vec<f64> = (0..3).map(|_| step(&mut trainer)).collect();

    let mut resumed = Trainer::resume(unet(&device), &folder).expect("the folder is whole");
    assert_eq!(resumed.steps(), 3);
    let again: Vec<f64> = (0..3).map(|_| step(&mut resumed)).collect();
    assert_eq!(losses, again);
    assert!(resumed.finished());
    let left = std::fs::read_dir(folder.parent().expect("it has one")).expect("it is there").count();
    assert_eq!(left, 1, "nothing but the checkpoint is left");
}

#[test]
fn a_loss_that_is_no_number_stops_the_run() {
    let device = Device::flex().autodiff();
    let mut trainer = Trainer::new(unet(&device), TrainerConfig::default());
    let result = trainer.step(|model, generator| loss(model, generator, 2) * f64::NAN);
    assert!(matches!(result, Err(TrainError::NotFinite { step: 0, .. })), "{result:?}");
    assert_eq!(trainer.steps(), 0);
    let next = trainer.step(|model, generator| loss(model, generator, 2)).expect("the model is as it was");
    assert!(next.is_finite());
}
