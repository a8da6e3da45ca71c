//! Training from its user's view: runs that end, are interrupted, resume and fail.

#![expect(clippy::disallowed_methods, reason = "files of a test need not last")]

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;

use safetensors::SafeTensors;

use support::recipes::{AUTOENCODER, CLIP, DDPM, LATENT, recipe};
use support::{Place, message, signal};

const LATENT_DATA: &str = "batch_size = 4, caption_tag_dropout = 0.5, mirror = true";

/// A recipe for each kind of model.
fn place() -> Place {
    let short = |name: &str, data: &str, task: &str| recipe(data, &format!("folder = {name:?}"), "steps = 3", task);
    let (output, trainer) =
        ("folder = \"autoencoder\", save_every = 1", "steps = 40, learning_rate = 1e-3, warmup_steps = 5");
    Place::new()
        .with("autoencoder.toml", recipe("batch_size = 4", output, trainer, AUTOENCODER))
        .with("clip.toml", short("clip", "batch_size = 4", CLIP))
        .with("latent.toml", short("latent", LATENT_DATA, LATENT))
        .with("ddpm.toml", short("ddpm", "batch_size = 4", DDPM))
}

/// Every kind of model, each trained from the result of the one before, and images of the result.
#[test]
fn models_are_trained_from_files_and_used() {
    let place = place();
    place.succeeds(&["train", "autoencoder", "autoencoder.toml", "--steps", "3", "--set", "adversarial.factor=0.1"]);
    place.succeeds(&["train", "clip", "clip.toml"]);
    place.succeeds(&["train", "latent", "latent.toml", "--learning-rate", "0.001"]);
    for file in
        ["losses.csv", "losses.svg", "samples/000003.png", "checkpoints/000003/state.json", "model/model_index.json"]
    {
        assert!(place.path("latent").join(file).is_file(), "{file} is missing");
    }
    place.succeeds(&["txt2img", "square 1", "--model", "latent/model", "--steps", "2", "--output", "square.png"]);
    assert_eq!(image::open(place.path("square.png")).expect("an image").width(), 16);
    let labels =
        place.succeeds(&["classify", "data/1.png", "--labels", "square 1,square 2", "--model", "clip/model"]).out;
    assert!(labels.contains("square 2"), "{labels}");

    // The trained model is a checkpoint for fine-tuning, with its own configurations.
    let start = "start = { checkpoint = \"latent/model\", freeze_text_encoder = true }\nsamples = { steps = 2 }\n";
    let place = place.with("tuned.toml", recipe(LATENT_DATA, "folder = \"latent\"", "steps = 3", start));
    place.succeeds(&["train", "latent", "tuned.toml", "--output", "tuned"]);
    let file = "text_encoder/model.safetensors";
    let [before, after] =
        ["latent/model", "tuned/model"].map(|model| fs::read(place.path(model).join(file)).expect("a file"));
    assert_eq!(before, after, "the text tower was frozen");

    place.succeeds(&["train", "ddpm", "ddpm.toml"]);
    let bits = place.succeeds(&["eval", "--model", "ddpm/model", "--data", "data", "--count", "2"]).out;
    let bits: f64 = bits.split(' ').next().and_then(|bits| bits.parse().ok()).expect("a number first");
    assert!(bits > 1.0 && bits < 1e3, "{bits} bits per dimension of an untrained model");
    let psnr = place.succeeds(&["eval", "--model", "autoencoder/model", "--data", "data"]).out;
    assert!(psnr.contains("dB PSNR"), "{psnr}");
}

/// A UNet that diffusers wrote and pyrograph fine-tuned has the tensors that diffusers expects, including SD 1's 1x1
/// convolutions.
#[test]
fn a_tuned_checkpoint_keeps_its_layout() {
    let place = place();
    let original = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/reference/tiny-sd1");
    let start = format!("start = {{ checkpoint = {original:?} }}\nsamples = {{ steps = 1, prompts = [\"a\"] }}\n");
    let place = place.with("tuned.toml", recipe("batch_size = 2", "folder = \"tuned\"", "steps = 1", &start));
    place.succeeds(&["train", "latent", "tuned.toml"]);
    let file = "unet/diffusion_pytorch_model.safetensors";
    assert_eq!(layout(&place.path("tuned/model").join(file)), layout(&original.join(file)));
}

/// Names and shapes of a file's tensors.
fn layout(file: &Path) -> Vec<(String, Vec<usize>)> {
    let bytes = fs::read(file).expect("a file");
    let tensors = SafeTensors::deserialize(&bytes).expect("a safetensors file");
    let mut layout: Vec<_> = tensors.iter().map(|(name, view)| (name.to_owned(), view.shape().to_vec())).collect();
    layout.sort();
    layout
}

/// A run that is interrupted and resumed takes the same steps as one that was not.
#[test]
fn an_interrupted_run_goes_on_as_if_it_had_not_stopped() {
    let place = place();
    place.succeeds(&["train", "autoencoder", "autoencoder.toml", "--output", "whole"]);
    let arguments = ["train", "autoencoder", "autoencoder.toml"];
    let child = place.start(place.command(&arguments), "autoencoder/losses.csv", 5);
    signal(&child, "INT");
    let output = child.wait_with_output().expect("it ends");
    let message = message(&output);
    assert!(output.status.success() && message.contains("--resume"), "{message}");
    let stopped = fs::read_to_string(place.path("autoencoder/losses.csv")).expect("a file").lines().count();
    assert!(stopped < 40, "it was over before the interrupt");
    place.refuses(&arguments, &["--resume"]);
    place.succeeds(&[&arguments[..], &["--resume"]].concat());
    let losses = |run| fs::read_to_string(place.path(run).join("losses.csv")).expect("a file");
    assert_eq!(losses("whole"), losses("autoencoder"));
    let weights = |run| fs::read(place.path(run).join("model/diffusion_pytorch_model.safetensors")).expect("a file");
    assert_eq!(weights("whole"), weights("autoencoder"));
}

/// Whenever a run is killed, its last checkpoint is complete. The run saves after each step, so kills often hit a save.
#[test]
fn a_killed_run_loses_no_checkpoint() {
    let place = place();
    let arguments = ["train", "autoencoder", "autoencoder.toml", "--steps", "100000"];
    let mut resumed = arguments.to_vec();
    for round in 0..4 {
        let mut child = place.start(place.command(&resumed), "autoencoder/losses.csv", 3 + 4 * round);
        signal(&child, "KILL");
        child.wait().expect("it ends");
        assert!(place.path("autoencoder/checkpoints/latest").is_file());
        resumed = [&arguments[..], &["--resume"]].concat();
    }
}

/// A limit on the size of files acts like a full disk.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_named_and_the_checkpoint_stays() {
    let place = place();
    place.succeeds(&["train", "autoencoder", "autoencoder.toml", "--steps", "4"]);
    let program = env!("CARGO_BIN_EXE_pyrograph");
    let limited = format!(
        "trap '' XFSZ; ulimit -f 16; exec {program} train autoencoder autoencoder.toml --steps 8 --resume --device cpu"
    );
    let output =
        Command::new("sh").current_dir(place.root()).args(["-c", &limited]).output().expect("there is a shell");
    let message = message(&output);
    assert!(output.status.code() == Some(1) && message.contains("checkpoint"), "{message}");
    place.succeeds(&["train", "autoencoder", "autoencoder.toml", "--steps", "8", "--resume"]);
}

#[test]
fn what_is_wrong_is_named() {
    let place = place();
    let train = |more: &[&'static str]| [&["train", "autoencoder", "autoencoder.toml"], more].concat();
    place.refuses(&["train", "autoencoder", "none.toml"], &["none.toml"]);
    place.refuses(&["train", "painter", "autoencoder.toml"], &["painter"]);
    place.refuses(&train(&["--data", "nowhere"]), &["nowhere"]);
    place.refuses(&train(&["--set", "trainer.stepps=3"]), &["stepps"]);
    place.refuses(&train(&["--set", "model.norm_num_groups=3"]), &["norm_num_groups"]);
    place.refuses(&train(&["--set", "loss.kl"]), &["KEY=VALUE"]);
    place.refuses(&train(&["--resume"]), &["checkpoint"]);
    place.refuses(&train(&["--learning-rate", "1e30"]), &["max_grad_norm"]);
    place.refuses(&["train", "latent", "latent.toml"], &["clip/model"]);
    place.refuses(&["eval", "--model", "data", "--data", "data"], &["model_index.json"]);
    fs::write(place.path("data/3.png"), "no image").expect("a file");
    place.refuses(&train(&["--output", "new"]), &["3.png"]);
    fs::remove_file(place.path("data/3.png")).expect("it was there");
    place.refuses(&train(&["--output", "new"]), &["line 4"]);
}
