//! Folders in which several files together determine the result, compared with diffusers; see
//! `tests/reference/configuration.py`.

use std::fs;
use std::path::Path;

use burn::tensor::{DType, TensorData};
use pyrograph::{Algorithm, CheckpointError, Error, LoadOptions, Note, PredictionType, Request, StableDiffusion};
use pyrograph_checkpoint::{open_weights, save_tensors};
use pyrograph_clip::Vocabulary;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Dump, assert_close, cpu, json, reference, shipped_model};

/// A copy of tiny-sd1 with the files of CLIP's tokenizer.
fn folder() -> TempDir {
    let folder = TempDir::new().expect("a folder");
    for part in ["scheduler", "text_encoder", "tokenizer", "unet", "vae"] {
        fs::create_dir(folder.path().join(part)).expect("a new folder");
        for file in fs::read_dir(reference("tiny-sd1").join(part)).into_iter().flatten() {
            let file = file.expect("a file");
            fs::copy(file.path(), folder.path().join(part).join(file.file_name())).expect("a copy");
        }
    }
    fs::copy(reference("tiny-sd1/model_index.json"), folder.path().join("model_index.json")).expect("a copy");
    let (vocab, merges) = Vocabulary::shipped().expect("it is in the program").to_files();
    fs::write(folder.path().join("tokenizer/vocab.json"), vocab).expect("a file");
    fs::write(folder.path().join("tokenizer/merges.txt"), merges).expect("a file");
    folder
}

/// A JSON merge patch (RFC 7396) of one level: null removes a key.
fn patch(file: &Path, changes: &Value) {
    let old = fs::read_to_string(file).unwrap_or_else(|_| "{}".to_owned());
    let mut json: Value = serde_json::from_str(&old).expect("JSON");
    for (key, value) in changes.as_object().expect("an object") {
        match value {
            Value::Null => drop(json.as_object_mut().expect("an object").remove(key)),
            value => json[key] = value.clone(),
        }
    }
    fs::write(file, json.to_string()).expect("the folder can be written to");
}

fn patched(file: &str, changes: Value) -> TempDir {
    let folder = folder();
    patch(&folder.path().join(file), &changes);
    folder
}

/// Gives the token table `count` more rows, `linspace(-0.3, 0.3)` times 1, 2, ...
fn add_rows(file: &Path, count: usize) {
    let weights = open_weights(file).expect("the reference is committed");
    let tensors = weights.names().into_iter().map(|name| {
        let data = weights.read(name).expect("a tensor");
        if !name.ends_with("token_embedding.weight") {
            return (name, data);
        }
        let (rows, width) = (data.shape()[0], data.shape()[1]);
        let row = |row: usize| (0..width).map(move |i| (-0.3 + 0.6 * i as f32 / (width - 1) as f32) * (row + 1) as f32);
        let new: Vec<f32> = (0..count).flat_map(row).collect();
        let new = TensorData::new(new, [count, width]).convert_dtype(DType::F16);
        let bytes = [data.as_bytes(), new.as_bytes()].concat();
        (name, TensorData::from_bytes_vec(bytes, [rows + count, width], DType::F16))
    });
    let tensors: Vec<(&str, TensorData)> = tensors.collect();
    save_tensors(file, &tensors).expect("the folder can be written to");
}

fn load(folder: &TempDir) -> Result<StableDiffusion, Error> {
    StableDiffusion::from_path(folder, &cpu())
}

#[test]
fn folders_are_read_as_diffusers_reads_them() {
    let (dump, cases) = (Dump::open("configuration.safetensors"), json("configuration.json"));
    for case in cases.as_array().expect("a list") {
        let name = case["name"].as_str().expect("a name");
        let folder = folder();
        for (file, changes) in case["files"].as_object().expect("an object") {
            patch(&folder.path().join(file), changes);
        }
        let rows = case["embeddings"].as_u64().expect("a number") as usize;
        if rows > 0 {
            add_rows(&folder.path().join("text_encoder/model.safetensors"), rows);
        }
        let pipeline = load(&folder).unwrap_or_else(|error| panic!("{name}: {error}"));
        let mut request =
            Request::text(case["prompt"].as_str().expect("a text")).with_steps(4).with_guidance_scale(7.5).with_seed(1);
        if case["size"].is_array() {
            request = request.with_size(16, 16);
        }
        let mut denoising = pipeline.denoise(&request).unwrap_or_else(|error| panic!("{name}: {error}"));
        denoising.try_for_each(|step| step.map(drop)).expect("the device works");
        assert_close(name, denoising.latents().into_data(), dump.data(&format!("{name}/latents")), 1e-3);
        assert!(pipeline.notes().is_empty(), "{name}: {:?}", pipeline.notes());
    }
}

#[test]
fn a_class_that_is_not_implemented_needs_another_scheduler() {
    let class = json!({"scheduler": ["diffusers", "DPMSolverSinglestepScheduler"]});
    let pipeline = load(&patched("model_index.json", class)).expect("the scheduler may be another");
    let request = Request::text("a cat").with_steps(1).with_size(16, 16);
    let error = pipeline.generate(&request).expect_err("the model's own scheduler is unknown").to_string();
    assert!(error.contains("DPMSolverSinglestepScheduler") && error.contains("euler-ancestral"), "{error}");
    pipeline.generate(&request.with_scheduler(Algorithm::Euler)).expect("the request names one");
}

/// A key of a class that asks for something else is refused where this class is used, and only there.
#[test]
fn settings_of_a_scheduler_count_for_those_that_know_them() {
    let pipeline =
        load(&patched("scheduler/scheduler_config.json", json!({"timestep_type": "continuous"}))).expect("PNDM");
    let request = Request::text("a cat").with_steps(1).with_size(16, 16);
    pipeline.generate(&request.clone().with_scheduler(Algorithm::Ddim)).expect("DDIM knows no such key");
    let is_refused = |pipeline: &StableDiffusion, request: &Request| {
        let error = pipeline.generate(request).expect_err("Euler knows it");
        let named = matches!(&error, Error::Checkpoint(CheckpointError::Setting { key, .. }) if key == "timestep_type");
        assert!(named, "{error}");
    };
    is_refused(&pipeline, &request.clone().with_scheduler(Algorithm::Euler));
    let folder = patched("scheduler/scheduler_config.json", json!({"timestep_type": "continuous"}));
    patch(&folder.path().join("model_index.json"), &json!({"scheduler": ["diffusers", "EulerDiscreteScheduler"]}));
    let euler = load(&folder).expect("the scheduler may be another");
    is_refused(&euler, &request);
    euler.generate(&request.with_scheduler(Algorithm::Ddim)).expect("the request names another");
}

#[test]
fn unknown_keys_are_said() {
    let files = [
        "model_index.json",
        "scheduler/scheduler_config.json",
        "text_encoder/config.json",
        "tokenizer/tokenizer_config.json",
        "unet/config.json",
        "vae/config.json",
    ];
    for file in files {
        let pipeline = load(&patched(file, json!({"novelty": {"strength": 3}, "nothing": null}))).expect(file);
        let expected = Note::IgnoredKey {
            file: file.to_owned(),
            key: "novelty".to_owned(),
            value: r#"{"strength":3}"#.to_owned(),
        };
        assert_eq!(pipeline.notes(), [expected], "{file}");
    }
}

#[test]
fn a_missing_tokenizer_is_said() {
    let folder = folder();
    fs::remove_dir_all(folder.path().join("tokenizer")).expect("a folder");
    let notes = load(&folder).expect("CLIP's own vocabulary").notes().to_vec();
    assert_eq!(notes, [Note::ClipVocabulary { pad_token: "<|endoftext|>".to_owned() }]);
}

#[test]
fn a_guess_at_the_prediction_is_said_unless_the_user_knows() {
    let device = cpu();
    let notes = |prediction_type| {
        let options = LoadOptions::default().with_prediction_type(prediction_type);
        let pipeline = StableDiffusion::open(&reference("tiny-sd2.safetensors"), &device, options);
        pipeline.expect("a checkpoint").notes().to_vec()
    };
    assert_eq!(notes(None), [Note::AssumedPrediction { prediction_type: "v_prediction" }]);
    assert_eq!(notes(Some(PredictionType::VPrediction)), []);
}

/// The model's index determines missing settings of a request, also in the text of the image.
#[test]
fn a_model_brings_its_own_defaults() {
    let table = json!({"pyrograph": {"steps": 3, "guidance_scale": 1.0}});
    let pipeline = load(&patched("model_index.json", table)).expect("a model");
    let request = Request::text("a cat").with_seed(1).with_size(16, 16);
    let explicit = request.clone().with_steps(3).with_guidance_scale(1.0);
    let image =
        |pipeline: &StableDiffusion, request: &Request| pipeline.generate(request).expect("an image")[0].clone();
    let own = image(&pipeline, &request);
    assert_eq!(own.image, image(&pipeline, &explicit).image);
    assert!(own.parameters.contains("Steps: 3, Sampler: PLMS, CFG scale: 1.0,"), "{}", own.parameters);
    assert_ne!(own.image, image(&pipeline, &explicit.with_guidance_scale(7.5)).image);
    let plain = image(&load(&folder()).expect("a model"), &request);
    assert!(plain.parameters.contains("Steps: 50, Sampler: PLMS, CFG scale: 7.5,"), "{}", plain.parameters);
}

#[test]
fn the_shipped_model_brings_its_defaults() {
    let pipeline = StableDiffusion::from_path(shipped_model(), &cpu());
    let defaults = pipeline.expect("the shipped model").defaults();
    assert_eq!((defaults.steps, defaults.guidance_scale), (Some(20), Some(3.0)));
}
