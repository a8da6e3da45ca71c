//! The program from its user's view: images, and errors for wrong input.

#![expect(clippy::disallowed_methods, reason = "files of a test need not last")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn tiny() -> PathBuf {
    repository().join("tests/reference/tiny-sd1")
}

/// Runs `pyrograph txt2img` on the CPU in a fresh folder.
fn txt2img(folder: &TempDir, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pyrograph"));
    command.current_dir(folder).args(["txt2img", "--device", "cpu"]).args(arguments);
    command.output().expect("the program starts")
}

/// The command fails with exit code 1 and one to three lines that contain `needle`, and leaves no files.
fn assert_refuses(arguments: &[&str], needle: &str) {
    let folder = TempDir::new().expect("a folder");
    let output = txt2img(&folder, arguments);
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {message}");
    assert!((1..=3).contains(&message.lines().count()), "{arguments:?}: {message}");
    assert!(message.contains(needle), "{arguments:?} should name {needle}: {message}");
    assert_eq!(fs::read_dir(&folder).expect("a folder").count(), 0, "{arguments:?} left something behind");
}

/// The command fails with a message that contains `needle` exactly once.
fn assert_says_once(arguments: &[&str], needle: &str) {
    let output = txt2img(&TempDir::new().expect("a folder"), arguments);
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(message.matches(needle).count(), 1, "{arguments:?}: {message}");
}

/// A copy of the tiny model whose file `name` is changed by `change`.
fn broken_model(name: &str, change: impl Fn(Vec<u8>) -> Vec<u8>) -> TempDir {
    let copy = TempDir::new().expect("a folder");
    copy_folder(&tiny(), copy.path());
    let file = copy.path().join(name);
    fs::write(&file, change(fs::read(&file).expect("the file is there"))).expect("it can be written");
    copy
}

fn copy_folder(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).expect("a folder").map(|entry| entry.expect("an entry")) {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            fs::create_dir(&target).expect("a new folder");
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("a copy");
        }
    }
}

fn assert_refuses_model(name: &str, change: impl Fn(Vec<u8>) -> Vec<u8>, needle: &str) {
    let model = broken_model(name, change);
    assert_refuses(&["a cat", "--model", model.path().to_str().expect("a path")], needle);
}

fn replaced(from: &'static str, to: &'static str) -> impl Fn(Vec<u8>) -> Vec<u8> {
    move |bytes| String::from_utf8(bytes).expect("JSON").replace(from, to).into_bytes()
}

#[test]
fn an_image_carries_its_request() {
    let folder = TempDir::new().expect("a folder");
    let model = tiny();
    let arguments = ["a café, at night", "--negative-prompt", "blur", "--model", model.to_str().expect("a path")];
    let options =
        ["--steps", "2", "--seed", "7", "--width", "24", "--height", "16", "--scheduler", "dpm-solver++", "--karras"];
    let output = txt2img(&folder, &[&arguments[..], &options, &["--output", "cat.png"]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let file = fs::File::open(folder.path().join("cat.png")).expect("an image");
    let reader = png::Decoder::new(std::io::BufReader::new(file)).read_info().expect("a PNG");
    assert_eq!((reader.info().width, reader.info().height), (24, 16));
    let text = &reader.info().uncompressed_latin1_text[0];
    assert_eq!(text.keyword, "parameters");
    let lines: Vec<&str> = text.text.lines().collect();
    assert_eq!(lines[..2], ["a café, at night", "Negative prompt: blur"]);
    let settings = "Steps: 2, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7.5, Seed: 7, Size: 24x16, Model: tiny-sd1, RNG: CPU";
    assert!(lines[2].starts_with(settings), "{}", lines[2]);
}

#[test]
fn saved_noise_and_a_batch_are_numbered_files() {
    let folder = TempDir::new().expect("a folder");
    let model = tiny();
    let common = ["x", "--model", model.to_str().expect("a path"), "--steps", "1", "--width", "16", "--height", "16"];
    let first = txt2img(&folder, &[&common[..], &["--batch-size", "2", "--save-latents", "l.safetensors"]].concat());
    assert!(first.status.success(), "{}", String::from_utf8_lossy(&first.stderr));
    assert!(folder.path().join("output-1.png").is_file() && folder.path().join("output-2.png").is_file());
    let again = txt2img(&folder, &[&common[..], &["--batch-size", "2", "--latents", "l.safetensors"]].concat());
    assert!(again.status.success(), "{}", String::from_utf8_lossy(&again.stderr));
    let wrong = txt2img(&folder, &[&common[..], &["--latents", "l.safetensors"]].concat());
    assert_eq!(wrong.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("--latents"));
}

/// The request in the text of a PNG.
fn infotext(file: &Path) -> String {
    let file = fs::File::open(file).expect("an image");
    let reader = png::Decoder::new(std::io::BufReader::new(file)).read_info().expect("a PNG");
    reader.info().uncompressed_latin1_text[0].text.clone()
}

/// Image k of a batch equals the single image of seed + k, also with a sampler that draws noise at each step, and its
/// text names this seed.
#[test]
fn an_image_of_a_batch_can_be_made_alone() {
    let folder = TempDir::new().expect("a folder");
    let model = tiny();
    let common = ["x", "--model", model.to_str().expect("a path"), "--steps", "3", "--width", "16", "--height", "16"];
    let make = |more: &[&str]| {
        let output = txt2img(&folder, &[&common[..], &["--scheduler", "euler-ancestral"], more].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    make(&["--seed", "40", "--batch-size", "3", "--output", "batch.png"]);
    make(&["--seed", "42", "--output", "alone.png"]);
    let [third, alone] = ["batch-3.png", "alone.png"].map(|name| folder.path().join(name));
    assert!(infotext(&third).contains("Seed: 42,"), "{}", infotext(&third));
    assert_eq!(infotext(&third), infotext(&alone));
    let [third, alone] = [third, alone].map(|file| image::open(file).expect("an image").into_rgb8());
    let off = third.as_raw().iter().zip(alone.as_raw()).map(|(a, b)| a.abs_diff(*b)).max();
    assert!(off <= Some(1), "the image of the batch is off by {off:?}");
    assert_ne!(third.as_raw(), image::open(folder.path().join("batch-1.png")).expect("an image").into_rgb8().as_raw());
}

/// As in other programs, a negative seed means a random one, and the text of the image names it.
#[test]
fn negative_seeds_are_random() {
    let (folder, model) = (TempDir::new().expect("a folder"), tiny());
    let model = model.to_str().expect("a path");
    let seed = |arguments: &[&str]| {
        let common = ["x", "--model", model, "--steps", "1", "--width", "16", "--height", "16"];
        let output = txt2img(&folder, &[&common[..], arguments].concat());
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{message}");
        let (_, seed) = message.rsplit_once("(seed ").expect("the seed is told");
        seed.trim_end().trim_end_matches(')').parse::<u64>().expect("a number")
    };
    let seeds = [seed(&["--seed", "-1"]), seed(&["--seed=-1"]), seed(&["--seed", "-77"]), seed(&[])];
    assert!(seeds.iter().any(|&other| other != seeds[0]), "{seeds:?}");
    assert_eq!(seed(&["--seed", "18446744073709551615"]), u64::MAX);
}

#[test]
fn wrong_options_are_named() {
    let model = tiny();
    let model = model.to_str().expect("a path");
    assert_refuses(&[], "PROMPT");
    assert_refuses(&["x", "--model", model, "--steps", "0"], "--steps");
    assert_refuses(&["x", "--model", model, "--steps", "many"], "--steps");
    assert_refuses(&["x", "--model", model, "--steps", "5000"], "steps");
    assert_says_once(&["x", "--model", model, "--steps", "1001"], "1 to 1000 are possible");
    assert_refuses(&["x", "--model", model, "--width", "20"], "--width: 20 is not a multiple of 8; use 16 or 24");
    assert_refuses(&["x", "--model", model, "--height", "0"], "--height");
    assert_refuses(&["x", "--model", model, "--width", "99999999999"], "--width");
    assert_refuses(&["x", "--model", model, "--batch-size", "0"], "--batch-size");
    assert_refuses(&["x", "--model", model, "--guidance-scale", "nan"], "--guidance-scale");
    assert_refuses(&["x", "--model", model, "--seed", "1.5"], "--seed");
    assert_refuses(&["x", "--model", model, "--scheduler", "magic"], "magic");
    assert_refuses(&["x", "--model", model, "--scheduler", "ddim", "--karras"], "--karras");
    assert_refuses(&["x", "--model", model, "--clip-skip", "9"], "--clip-skip");
    assert_refuses(&["x", "--model", model, "--latents", "missing.safetensors"], "missing.safetensors");
    assert_refuses(&["x", "--model", model, "--output", "no/such/folder.png"], "no/such");
    assert_refuses(&["x", "--model", model, "--output", "image.jpg"], "image.jpg");
    assert_refuses(&["x", "--model", model, "--device", "abacus"], "abacus");
}

#[test]
fn wrong_models_are_named() {
    assert_refuses(&["x", "--model", "missing"], "missing");
    assert_refuses_model("model_index.json", |_| Vec::new(), "model_index.json");
    assert_refuses_model("model_index.json", replaced("StableDiffusionPipeline", "FluxPipeline"), "FluxPipeline");
    assert_refuses_model("unet/config.json", |_| b"{".to_vec(), "config.json");
    assert_refuses_model("unet/config.json", replaced("\"in_channels\": 4", "\"in_channels\": \"four\""), "unet");
    assert_refuses_model("unet/config.json", replaced("\"in_channels\": 4", "\"in_channels\": 9"), "conv_in.weight");
    assert_refuses_model(
        "unet/config.json",
        replaced("\"norm_num_groups\": 32", "\"norm_num_groups\": 0"),
        "norm_num_groups",
    );
    assert_refuses_model("scheduler/scheduler_config.json", replaced("scaled_linear", "square"), "scheduler");
    let unet = "unet/diffusion_pytorch_model.safetensors";
    assert_refuses_model(unet, |_| Vec::new(), "empty");
    assert_refuses_model(unet, |bytes| bytes[..bytes.len() / 2].to_vec(), unet);
    assert_refuses_model(unet, |bytes| [&[0xff; 8], &bytes[8..]].concat(), unet);
    let not_a_number = |mut bytes: Vec<u8>| {
        let end = bytes.len();
        bytes[end - 2..].copy_from_slice(&[0x00, 0x7e]); // a float16 NaN
        bytes
    };
    assert_refuses_model(unet, not_a_number, "NaN");
}
