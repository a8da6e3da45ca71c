//! Whole runs: latents and images from a prompt and a seed.

use std::path::Path;

use pyrograph::{Algorithm, Device, LoadOptions, Request, StableDiffusion};
use pyrograph_checkpoint::{open_weights, save_tensors};
use serde_json::Value;

use crate::support::{Dump, assert_close, cpu, devices, json, reference, shipped_model};

fn request(case: &Value) -> Request {
    let text = |key: &str| case[key].as_str().expect("a text").to_owned();
    let number = |key: &str| case[key].as_u64().expect("a number") as usize;
    let fraction = |key: &str| case[key].as_f64().expect("a number");
    let scheduler = case["scheduler"].as_str().map(|name| name.parse::<Algorithm>().expect("a scheduler"));
    Request::text(text("prompt"))
        .with_negative_prompt(text("negative_prompt"))
        .with_size(number("width"), number("height"))
        .with_steps(number("steps"))
        .with_scheduler(scheduler)
        .with_karras(case["karras"].as_bool().filter(|karras| *karras))
        .with_guidance_scale(fraction("guidance_scale"))
        .with_guidance_rescale(fraction("guidance_rescale"))
        .with_seed(case["seed"].as_u64().expect("a seed"))
        .with_batch_size(number("batch_size"))
        .with_clip_skip(case["clip_skip"].as_u64().unwrap_or(0) as usize)
}

fn load(model: impl AsRef<Path>, device: &Device) -> StableDiffusion {
    eprintln!("{} on {}", model.as_ref().display(), device.name()); // a failing test shows it
    StableDiffusion::from_path(model, device).unwrap_or_else(|error| panic!("{error}"))
}

fn run(pipeline: &StableDiffusion, case: &Value, dump: &Dump, tolerance: f64) {
    let name = case["name"].as_str().expect("a name");
    let mut denoising = pipeline.denoise(&request(case)).unwrap_or_else(|error| panic!("{name}: {error}"));
    denoising.try_for_each(|step| step.map(drop)).expect("the device works");
    let latents = denoising.latents().into_data();
    assert_close(name, latents, dump.data(&format!("{name}/latents")), tolerance);
    if dump.has(&format!("{name}/decoded")) {
        let images = denoising.images().unwrap_or_else(|error| panic!("{name}: {error}"));
        let expected: Vec<f32> = dump.data(&format!("{name}/decoded")).try_to_vec().expect("floats");
        assert_pixels(name, &images, &expected);
    }
}

/// No pixel differs by more than one, which rounding of nearly equal values can cause.
fn assert_pixels(name: &str, images: &[pyrograph::GeneratedImage], expected: &[f32]) {
    let plane = expected.len() / images.len() / 3;
    for (index, image) in images.iter().enumerate() {
        for (pixel, rgb) in image.image.pixels().enumerate() {
            for channel in 0..3 {
                let value = expected[(index * 3 + channel) * plane + pixel];
                let expected = ((value / 2.0 + 0.5).clamp(0.0, 1.0) * 255.0).round();
                let difference = (f32::from(rgb.0[channel]) - expected).abs();
                assert!(difference <= 1.0, "{name}: pixel {pixel} of image {index} is off by {difference}");
            }
        }
    }
}

fn cases(model: &str) -> Vec<Value> {
    let cases = json("pipeline.json");
    let cases = cases.as_array().expect("a list").iter().filter(|case| case["model"] == model);
    cases.cloned().collect()
}

#[test]
fn version_1_agrees_with_diffusers() {
    agree("tiny-sd1", "tiny-sd1");
}

#[test]
fn version_2_agrees_with_diffusers() {
    agree("tiny-sd2", "tiny-sd2.safetensors");
}

/// Every case on the CPU; on wgpu only cases of the usual shape, because each new shape takes a software adapter many
/// seconds.
fn agree(model: &str, file: &str) {
    let (dump, cases) = (Dump::open("pipeline.safetensors"), cases(model));
    let usual = |case: &&Value| case["width"] == 16 && case["height"] == 16 && case["guidance_scale"] != 1.0;
    let everywhere = cases.iter().filter(usual).count();
    assert!(everywhere > Algorithm::ALL.len(), "every scheduler has a case");
    for device in devices() {
        let pipeline = load(reference(file), &device);
        let chosen = cases.iter().filter(|case| device.name() == "cpu" || usual(case));
        chosen.for_each(|case| run(&pipeline, case, &dump, 1e-3));
    }
}

#[test]
fn half_precision_stays_close_to_diffusers() {
    let (dump, cases) = (Dump::open("pipeline.safetensors"), cases("tiny-sd1"));
    let case = cases.iter().find(|case| case["name"] == "sd1-ddim").expect("the case");
    let options = LoadOptions::default().with_f16(true);
    for device in devices() {
        let half = StableDiffusion::open(&reference("tiny-sd1"), &device, options).expect("f16 is supported");
        run(&half, case, &dump, 3e-2);
    }
}

#[test]
fn folder_and_single_files_give_the_same_image() {
    let device = &cpu();
    let folder = tempfile::tempdir().expect("a folder");
    let safetensors = folder.path().join("tiny-sd1.safetensors");
    copy_as_safetensors(&reference("tiny-sd1.ckpt"), &safetensors);
    let request = Request::text("a lighthouse").with_steps(3).with_seed(1).with_size(16, 16);
    let image = |model| load(model, device).generate(&request).expect("an image")[0].image.clone();
    let expected = image(reference("tiny-sd1"));
    assert_eq!(image(reference("tiny-sd1.ckpt")), expected);
    assert_eq!(image(safetensors), expected);
}

fn copy_as_safetensors(from: &Path, to: &Path) {
    let weights = open_weights(from).expect("the reference is committed");
    let read = |name| (name, weights.read(name).expect("a tensor"));
    let tensors: Vec<_> = weights.names().into_iter().map(read).collect();
    save_tensors(to, &tensors).expect("the folder can be written to");
}

#[test]
fn the_shipped_model_paints_what_diffusers_paints() {
    let (dump, cases) = (Dump::open("spark.safetensors"), json("spark.json"));
    for device in devices() {
        let pipeline = load(shipped_model(), &device);
        cases.as_array().expect("a list").iter().for_each(|case| run(&pipeline, case, &dump, 1e-3));
    }
}
