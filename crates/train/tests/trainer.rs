//! Runs that stop, go on, and fail.

#![expect(clippy::disallowed_methods, reason = "files of a test need not last")]

use burn::tensor::{Device, Tensor};
use pyrograph_kernels::{Linear, LinearConfig, linear};
use pyrograph_scheduler::Generator;
use pyrograph_train::{TrainError, Trainer, TrainerConfig};

fn layer(device: &Device) -> Linear {
    LinearConfig::new(3, 2).init(device)
}

/// The distance of what the layer makes of random vectors from the sums of their first two and last two values.
fn loss(layer: &Linear, generator: &mut Generator) -> Tensor<1> {
    let x: Tensor<2> = generator.randn_tensor([8, 3, 1, 1], &layer.weight.device()).reshape([8, 3]);
    let sums = x.clone().narrow(1, 0, 2) + x.clone().narrow(1, 1, 2);
    (linear(x, layer) - sums).square().mean()
}

fn step(trainer: &mut Trainer<Linear>) -> f64 {
    trainer.step(loss).expect("the loss is finite")
}

#[test]
fn a_resumed_run_takes_the_same_steps() {
    let device = Device::flex().autodiff();
    let config = TrainerConfig {
        steps: 60,
        learning_rate: 0.1,
        warmup_steps: 5,
        gradient_accumulation: 2,
        seed: 7,
        ..TrainerConfig::default()
    };
    let folder = tempfile::tempdir().expect("there is a place for temporary files");
    let folder = folder.path().join("runs/checkpoint");
    let mut trainer = Trainer::new(layer(&device), config.clone());
    trainer.save(&folder).expect("the folder can be written");
    let first: Vec<f64> = (0..30).map(|_| step(&mut trainer)).collect();
    trainer.save(&folder).expect("the older checkpoint is replaced");
    let last: Vec<f64> = (0..30).map(|_| step(&mut trainer)).collect();
    assert!(trainer.finished() && last[29] < 0.05 * first[0], "the loss fell from {} to {}", first[0], last[29]);

    let mut resumed = Trainer::resume(layer(&device), config, &folder).expect("the folder is whole");
    assert_eq!(resumed.steps(), 30);
    assert_eq!(last, (0..30).map(|_| step(&mut resumed)).collect::<Vec<f64>>());
    let weights = |trainer: &Trainer<Linear>| trainer.averaged().weight.val().into_data();
    weights(&trainer).assert_eq(&weights(&resumed), true);
    let left = std::fs::read_dir(folder.parent().expect("it has one")).expect("it is there").count();
    assert_eq!(left, 1, "nothing but the checkpoint is left");
}

#[test]
fn a_loss_that_is_no_number_stops_the_run() {
    let mut trainer = Trainer::new(layer(&Device::flex().autodiff()), TrainerConfig::default());
    let before = trainer.model().weight.val().into_data();
    let result = trainer.step(|layer, generator| loss(layer, generator) * f64::NAN);
    assert!(matches!(result, Err(TrainError::NotFinite { step: 0, .. })), "{result:?}");
    assert_eq!(trainer.steps(), 0);
    trainer.model().weight.val().into_data().assert_eq(&before, true);
}

#[test]
fn what_is_no_checkpoint_is_named() {
    let folder = tempfile::tempdir().expect("there is a place for temporary files");
    let device = Device::flex().autodiff();
    let resume =
        |name: &str| Trainer::resume(layer(&device), TrainerConfig::default(), &folder.path().join(name)).map(drop);
    let error = resume("gone").expect_err("there is no such folder").to_string();
    assert!(error.contains("gone"), "{error}");
    let trainer = Trainer::new(layer(&device), TrainerConfig::default());
    trainer.save(&folder.path().join("cut")).expect("the folder can be written");
    std::fs::write(folder.path().join("cut/model.safetensors"), "no weights").expect("the folder can be written");
    let error = resume("cut").expect_err("the weights are broken").to_string();
    assert!(error.contains("cut"), "{error}");
}

/// A rise to the highest rate, and half a cosine to zero.
#[test]
fn the_learning_rate_rises_and_falls() {
    let config = TrainerConfig { steps: 110, learning_rate: 2.0, warmup_steps: 10, ..TrainerConfig::default() };
    let expected = [(0, 0.2), (9, 2.0), (10, 2.0), (60, 1.0), (110, 0.0), (500, 0.0)];
    for (step, rate) in expected {
        assert!((config.learning_rate(step) - rate).abs() < 1e-12, "{} at step {step}", config.learning_rate(step));
    }
}
