//! Checkpoints that are looked up file by file, compared with the same checkpoints on disk.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};

use pyrograph_checkpoint::{
    Attempt, Checkpoint, CheckpointError, ClipCheckpoint, Component, Location, OnDemand, Source,
};

use crate::{assert_same_weights, folder, message, reference, safetensors_of};

/// Opens the model at `root` and looks up each file that is needed. Also returns these files in order.
fn look_up<T>(
    files: &OnDemand,
    root: &Path,
    open: impl Fn(Location) -> Result<T, CheckpointError>,
) -> (Result<T, CheckpointError>, Vec<PathBuf>) {
    let mut looked_up = Vec::new();
    loop {
        let path = match files.attempt(&open) {
            Ok(Attempt::Needs(path)) => path,
            Ok(Attempt::Done(opened)) => return (Ok(opened), looked_up),
            Err(error) => return (Err(error), looked_up),
        };
        assert!(!looked_up.contains(&path), "{path:?} is looked up twice");
        let file = if path.as_os_str().is_empty() { root.to_owned() } else { root.join(&path) };
        if file.is_file() {
            files.found(&path, move || Ok(Box::new(File::open(&file)?) as Box<dyn Source>));
        } else {
            files.absent(&path);
        }
        looked_up.push(path);
    }
}

/// All files below a folder.
fn files_below(folder: &Path) -> BTreeSet<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files_below(&path) } else { [path].into() }).collect()
}

fn networks(checkpoint: &Checkpoint) -> [&Component; 3] {
    [&checkpoint.text_encoder, &checkpoint.unet, &checkpoint.vae]
}

fn assert_same(found: &Checkpoint, expected: &Checkpoint) {
    for (found, expected) in networks(found).into_iter().zip(networks(expected)) {
        assert_eq!(found.config, expected.config);
        assert_same_weights(found.weights.as_ref(), expected.weights.as_ref());
    }
    assert_eq!(found.scheduler_config, expected.scheduler_config);
    assert_eq!(found.tokenizer, expected.tokenizer);
}

#[test]
fn a_folder_is_the_one_on_disk_and_all_its_files_are_looked_up() {
    let root = reference("tiny-sd1");
    let (found, looked_up) = look_up(&OnDemand::folder("https://example.org/tiny-sd1"), &root, Checkpoint::open);
    assert_same(&found.unwrap(), &Checkpoint::open(&root).unwrap());
    let looked_up = looked_up.iter().map(|path| root.join(path)).collect();
    assert!(files_below(&root).is_subset(&looked_up));
}

#[test]
fn every_variant_on_disk_is_found() {
    let index: &[u8] = br#"{"weight_map": {"weight": "a.safetensors"}}"#;
    let weights = safetensors_of(&[("weight", &[1], &[1.0])]);
    let variants: [&[(&str, &[u8])]; 5] = [
        &[("unet/diffusion_pytorch_model.fp16.safetensors", &weights)],
        &[("unet/diffusion_pytorch_model.bf16.safetensors", &weights)],
        &[("unet/diffusion_pytorch_model.fp16.bin", &weights)],
        &[("unet/diffusion_pytorch_model.safetensors.index.json", index), ("unet/a.safetensors", &weights)],
        &[("unet/diffusion_pytorch_model.safetensors.index.fp16.json", index), ("unet/a.safetensors", &weights)],
    ];
    for variant in variants {
        let mut all: Vec<(&str, &[u8])> = vec![
            ("model_index.json", br#"{"_class_name":"StableDiffusionPipeline"}"#),
            ("scheduler/scheduler_config.json", b"{}"),
            ("text_encoder/config.json", b"{}"),
            ("text_encoder/model.safetensors", &weights),
            ("unet/config.json", b"{}"),
            ("vae/config.json", b"{}"),
            ("vae/diffusion_pytorch_model.safetensors", &weights),
        ];
        all.extend(variant);
        let folder = folder(&all);
        let (found, looked_up) = look_up(&OnDemand::folder("model"), folder.path(), Checkpoint::open);
        assert_same(&found.unwrap(), &Checkpoint::open(folder.path()).unwrap());
        let looked_up = looked_up.iter().map(|path| folder.path().join(path)).collect();
        assert!(files_below(folder.path()).is_subset(&looked_up));
    }
}

#[test]
fn a_single_file() {
    for name in ["tiny-sd1.ckpt", "tiny-sd2.safetensors"] {
        let (found, looked_up) = look_up(&OnDemand::file(name), &reference(name), Checkpoint::open);
        assert_same(&found.unwrap(), &Checkpoint::open(&reference(name)).unwrap());
        assert_eq!(looked_up, [Path::new("")], "the file itself, whatever it is called");
    }
}

#[test]
fn a_clip() {
    let root = reference("tiny-clip");
    let (found, _) = look_up(&OnDemand::folder("clip"), &root, ClipCheckpoint::open);
    assert_eq!(found.unwrap().model.config, ClipCheckpoint::open(&root).unwrap().model.config);
}

#[test]
fn what_is_missing_is_said_under_the_name_that_was_given() {
    let empty = folder(&[("model_index.json", br#"{"_class_name":"StableDiffusionPipeline"}"#)]);
    let (found, looked_up) = look_up(&OnDemand::folder("https://example.org/m"), empty.path(), Checkpoint::open);
    assert!(matches!(found, Err(CheckpointError::Missing { .. })));
    message(found, &["https://example.org/m/text_encoder"]);
    assert_eq!(looked_up[0], Path::new("model_index.json"));
    let nothing = empty.path().join("nothing.safetensors");
    let (found, _) = look_up(&OnDemand::file("nothing.safetensors"), &nothing, Checkpoint::open);
    assert!(matches!(found, Err(CheckpointError::Io { .. })));
    message(found, &["nothing.safetensors", "there is no such file"]);
}
