//! A run that is killed at any moment can be resumed, and one folder belongs to one run.

#![expect(clippy::disallowed_methods, reason = "files of a test need not last")]

use std::fs;
use std::path::Path;

use burn::tensor::{Device, Tensor, TensorData};
use pyrograph_checkpoint::faults::{Fault, inject};
use pyrograph_kernels::{Linear, LinearConfig, linear};
use pyrograph_scheduler::Generator;
use pyrograph_train::{RunFolder, TrainError, Trainer, TrainerConfig};

fn layer() -> Linear {
    LinearConfig::new(3, 2).init(&Device::flex().autodiff())
}

fn loss(layer: &Linear, generator: &mut Generator) -> Tensor<1> {
    let x: Tensor<2> = generator.randn_tensor([8, 3, 1, 1], &layer.weight.device()).reshape([8, 3]);
    linear(x, layer).square().mean()
}

/// The same trainer after one, two and three steps.
fn trainers() -> [Trainer<Linear>; 3] {
    let mut trainer = Trainer::new(layer(), TrainerConfig::default());
    [(); 3].map(|()| {
        trainer.step(loss).expect("the loss is finite");
        trainer.clone()
    })
}

fn weights(trainer: &Trainer<Linear>) -> TensorData {
    trainer.model().weight.val().into_data()
}

fn save(folder: &RunFolder, trainer: &Trainer<Linear>) -> Result<(), TrainError> {
    folder.save(trainer.steps(), |checkpoint| trainer.write(checkpoint))
}

fn resume(folder: &RunFolder) -> Option<Trainer<Linear>> {
    let checkpoint = folder.latest().expect("it can be read")?;
    Some(Trainer::resume(layer(), TrainerConfig::default(), &checkpoint).expect("a checkpoint is whole"))
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder");
    let mut names: Vec<_> =
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// Saves one checkpoint whole unless it is the first that fails, and the next with a fault. Then resumes, takes a step, and saves.
fn try_all_faults(fault: Fault, is_first: bool) {
    let [one, two, three] = trainers();
    for operation in 0.. {
        let place = tempfile::tempdir().expect("a folder");
        let run = place.path().join("runs/a");
        let folder = RunFolder::open(&run).expect("it can be written");
        if !is_first {
            save(&folder, &one).expect("nothing fails");
        }
        let (saved, failed) = inject(fault, operation, || save(&folder, &two));
        drop(folder);

        let folder = RunFolder::open(&run).expect("the lock is free");
        let resumed = resume(&folder);
        let steps = resumed.as_ref().map_or(0, Trainer::steps);
        let least = if saved.is_ok() { 2 } else { usize::from(!is_first) };
        assert!((least..=2).contains(&steps), "{fault:?} at {operation}: {steps} steps are left");
        if let Some(mut resumed) = resumed {
            weights(&resumed).assert_eq(&weights(if steps == 1 { &one } else { &two }), true);
            for _ in steps..3 {
                resumed.step(loss).expect("the loss is finite");
            }
            weights(&resumed).assert_eq(&weights(&three), true);
        }
        save(&folder, &three).expect("nothing fails");
        assert_eq!(names(&run.join("checkpoints")), ["000003", "latest"], "{fault:?} at {operation}");
        assert_eq!(names(&run), [".lock", "checkpoints"], "{fault:?} at {operation}");
        if !failed {
            assert!(operation > 30, "too few operations to be true: {operation}");
            return;
        }
    }
}

#[test]
fn a_failed_save_leaves_a_checkpoint_to_resume_from() {
    try_all_faults(Fault::Error, false);
    try_all_faults(Fault::Error, true);
}

#[test]
fn a_killed_save_leaves_a_checkpoint_to_resume_from() {
    try_all_faults(Fault::Crash, false);
    try_all_faults(Fault::Crash, true);
}

#[test]
fn one_folder_belongs_to_one_run() {
    let place = tempfile::tempdir().expect("a folder");
    let folder = RunFolder::open(place.path()).expect("it is free");
    assert!(matches!(RunFolder::open(place.path()), Err(TrainError::Locked { .. })));
    drop(folder);
    RunFolder::open(place.path()).expect("it is free again");
}

#[test]
fn only_leftovers_of_runs_are_removed() {
    let place = tempfile::tempdir().expect("a folder");
    let [one, two, _] = trainers();
    let folder = RunFolder::open(place.path()).expect("it is free");
    save(&folder, &one).expect("nothing fails");
    let checkpoints = place.path().join("checkpoints");
    for kept in ["good", "000001 (copy)"] {
        fs::create_dir(checkpoints.join(kept)).expect("a new folder");
    }
    fs::create_dir(checkpoints.join("000007")).expect("a new folder");
    save(&folder, &two).expect("nothing fails");
    save(&folder, &two).expect("the same step can be saved again");
    assert_eq!(names(&checkpoints), ["000001 (copy)", "000002-2", "good", "latest"]);
    assert_eq!(resume(&folder).map(|trainer| trainer.steps()), Some(2));

    fs::write(checkpoints.join("latest"), "../../elsewhere\n").expect("writable");
    assert!(matches!(folder.latest(), Err(TrainError::Checkpoint { .. })));
    drop(folder);
    RunFolder::open(place.path()).expect("what cannot be judged stays");
    assert_eq!(names(&checkpoints).len(), 4);
}

/// A checkpoint of a model with other shapes.
#[test]
fn a_tensor_of_another_shape_is_named() {
    let place = tempfile::tempdir().expect("a folder");
    let [one, ..] = trainers();
    one.save(place.path()).expect("nothing fails");
    let wider = LinearConfig::new(5, 2).init(&Device::flex().autodiff());
    let error = Trainer::resume(wider, TrainerConfig::default(), place.path()).map(drop).expect_err("it is wider");
    let message = error.to_string();
    assert!(matches!(error, TrainError::Weights(_)), "{message}");
    assert!(message.lines().count() == 1 && message.len() < 300, "{message}");
    assert!(["`weight`", "[2, 3]", "[2, 5]"].iter().all(|part| message.contains(part)), "{message}");
}
