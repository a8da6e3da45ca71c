//! Whole runs: latents and pictures from a prompt and a seed.

use pyrograph::{Algorithm, Device, LoadOptions, StableDiffusion, TextToImage, read_latents};
use serde_json::Value;

use crate::support::{Dump, assert_close, devices, json, reference, shipped_model};

fn request(case: &Value) -> TextToImage {
    let text = |key: &str| case[key].as_str().expect("a text").to_owned();
    let number = |key: &str| case[key].as_u64().expect("a number") as usize;
    TextToImage {
        negative_prompt: text("negative_prompt"),
        steps: number("steps"),
        guidance_scale: case["guidance_scale"].as_f64().expect("a number"),
        guidance_rescale: case["guidance_rescale"].as_f64().expect("a number"),
        seed: case["seed"].as_u64().expect("a seed"),
        width: Some(number("width")),
        height: Some(number("height")),
        batch_size: number("batch_size"),
        scheduler: case["scheduler"].as_str().map(|name| name.parse().expect("a scheduler")),
        karras: case["karras"].as_bool().filter(|karras| *karras),
        clip_skip: case["clip_skip"].as_u64().unwrap_or(0) as usize,
        ..TextToImage::new(text("prompt"))
    }
}

fn load(model: &str, device: &Device) -> StableDiffusion {
    StableDiffusion::from_path(reference(model), device).unwrap_or_else(|error| panic!("{error}"))
}

fn run(pipeline: &StableDiffusion, case: &Value, dump: &Dump, tolerance: f64) {
    let name = case["name"].as_str().expect("a name");
    let mut denoising = pipeline.denoise(&request(case)).unwrap_or_else(|error| panic!("{name}: {error}"));
    denoising.try_for_each(|step| step.map(drop)).expect("the device works");
    let latents = denoising.latents().into_data();
    assert_close(name, latents, dump.data(&format!("{name}/latents")), tolerance);
    if dump.has(&format!("{name}/decoded")) {
        let pictures = pipeline.decode(denoising.latents()).unwrap_or_else(|error| panic!("{name}: {error}"));
        let expected: Vec<f32> = dump.data(&format!("{name}/decoded")).try_to_vec().expect("floats");
        assert_pixels(name, &pictures, &expected);
    }
}

/// No pixel is off by more than one, which rounding of nearly equal values can be.
fn assert_pixels(name: &str, pictures: &[pyrograph::Picture], expected: &[f32]) {
    let plane = expected.len() / pictures.len() / 3;
    for (index, picture) in pictures.iter().enumerate() {
        for (pixel, rgb) in picture.image.pixels().enumerate() {
            for channel in 0..3 {
                let value = expected[(index * 3 + channel) * plane + pixel];
                let expected = ((value / 2.0 + 0.5).clamp(0.0, 1.0) * 255.0).round();
                let difference = (f32::from(rgb.0[channel]) - expected).abs();
                assert!(difference <= 1.0, "{name}: pixel {pixel} of picture {index} is off by {difference}");
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
    let dump = Dump::open("pipeline.safetensors");
    let pipeline = load("tiny-sd1", &devices()[0]);
    let cases = cases("tiny-sd1");
    assert!(cases.len() > Algorithm::ALL.len(), "every scheduler has a case");
    cases.iter().for_each(|case| run(&pipeline, case, &dump, 1e-3));
}

#[test]
fn version_2_agrees_with_diffusers() {
    let dump = Dump::open("pipeline.safetensors");
    let pipeline = load("tiny-sd2.safetensors", &devices()[0]);
    cases("tiny-sd2").iter().for_each(|case| run(&pipeline, case, &dump, 1e-3));
}

#[test]
fn wgpu_and_f16_agree_with_diffusers() {
    let dump = Dump::open("pipeline.safetensors");
    let cases = cases("tiny-sd1");
    let case = cases.iter().find(|case| case["name"] == "sd1-ddim").expect("the case");
    for device in devices() {
        run(&load("tiny-sd1", &device), case, &dump, 1e-3);
        let options = LoadOptions { f16: true, ..LoadOptions::default() };
        let half = StableDiffusion::from_path_with(reference("tiny-sd1"), &device, options).expect("f16 is supported");
        run(&half, case, &dump, 3e-2);
    }
}

#[test]
fn folder_and_single_files_give_the_same_picture() {
    let device = &devices()[0];
    let request = TextToImage::new("a lighthouse").with_steps(3).with_seed(1).with_size(16, 16);
    let picture = |model| load(model, device).generate(&request).expect("a picture")[0].image.clone();
    assert_eq!(picture("tiny-sd1"), picture("tiny-sd1.ckpt"));
}

#[test]
fn the_shipped_model_paints_what_diffusers_paints() {
    let cases = json("tiny-sd-emoji/cases.json");
    let device = &devices()[0];
    let pipeline = StableDiffusion::from_path(shipped_model(), device).expect("the shipped model loads");
    for case in cases.as_array().expect("a list") {
        let name = case["name"].as_str().expect("a name");
        let file = |suffix: &str| reference(&format!("tiny-sd-emoji/{name}{suffix}"));
        let class = case["scheduler"].as_str().expect("a class");
        let request = TextToImage {
            negative_prompt: case["negative_prompt"].as_str().expect("a text").to_owned(),
            guidance_scale: case["guidance_scale"].as_f64().expect("a number"),
            steps: case["steps"].as_u64().expect("a number") as usize,
            scheduler: Some(Algorithm::from_class_name(class, None).expect("a known class")),
            latents: Some(read_latents(&file("_init.safetensors")).expect("latents")),
            ..TextToImage::new(case["prompt"].as_str().expect("a text"))
        };
        let mut denoising = pipeline.denoise(&request).expect("a request that fits");
        denoising.try_for_each(|step| step.map(drop)).expect("the device works");
        let expected = Dump::open(&format!("tiny-sd-emoji/{name}_expected.safetensors"));
        assert_close(name, denoising.latents().into_data(), expected.data("final_latents"), 1e-3);
        let picture = pipeline.decode(denoising.latents()).expect("a picture");
        let expected = image::open(file(".png")).expect("a picture").into_rgb8();
        let off = picture[0].image.iter().zip(expected.iter()).map(|(a, b)| a.abs_diff(*b)).max();
        assert!(off <= Some(1), "{name}: off by {off:?}");
    }
}
