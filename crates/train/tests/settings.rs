//! Every number of a run's file at its limits: an error that names the key, or training that goes well.

#![expect(clippy::disallowed_methods, reason = "files of a test need not last")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use image::{Rgb, RgbImage};
use pyrograph_train::{
    AutoencoderTask, ClipTask, DdpmTask, LatentTask, Run, RunConfig, Task, TaskRun, TrainError, VqTask,
};
use toml::{Table, Value};

const COMMON: &str = r#"
data = { folder = "DATA", size = 16, batch_size = 2, caption_tag_dropout = 0.5 }
output = { folder = "OUTPUT", save_every = 1, sample_every = 1 }
[trainer]
steps = 1
learning_rate = 1e-3
warmup_steps = 5
weight_decay = 0.01
max_grad_norm = 1.0
gradient_accumulation = 1
ema_decay = 0.9
seed = 3
"#;

const AUTOENCODER: &str = r#"
loss = { absolute = 1.0, square = 0.5, edge = 0.5, kl = 1e-3 }
[adversarial]
factor = 0.1
start = 0
channels = 8
halvings = 2
[model]
in_channels = 3
out_channels = 3
block_out_channels = [8, 8]
layers_per_block = 1
latent_channels = 4
norm_num_groups = 4
scaling_factor = 0.5
"#;

const VQ: &str = r#"
codebook_decay = 0.9
[model]
block_out_channels = [8, 8]
norm_num_groups = 4
latent_channels = 3
num_vq_embeddings = 8
vq_embed_dim = 4
"#;

const CLIP: &str = r#"
start = { vocabulary_of_captions = true }
[model]
projection_dim = 8
logit_scale_init_value = 2.6
[model.text_config]
hidden_size = 8
intermediate_size = 16
num_hidden_layers = 1
num_attention_heads = 2
max_position_embeddings = 12
layer_norm_eps = 1e-5
[model.vision_config]
image_size = 16
patch_size = 8
hidden_size = 8
intermediate_size = 16
num_hidden_layers = 1
num_attention_heads = 2
layer_norm_eps = 1e-5
"#;

const DDPM: &str = r#"
denoising = { min_snr_gamma = 5.0, caption_dropout = 0.1 }
[unet]
down_block_types = ["DownBlock2D"]
up_block_types = ["UpBlock2D"]
block_out_channels = [8]
layers_per_block = 1
norm_num_groups = 4
norm_eps = 1e-5
freq_shift = 0
[scheduler]
num_train_timesteps = 20
beta_start = 0.001
beta_end = 0.02
"#;

const LATENT: &str = r#"
denoising = { min_snr_gamma = 5.0, caption_dropout = 0.1 }
samples = { steps = 1, guidance_scale = 4.0, prompts = ["a"] }
[start]
autoencoder = "AUTOENCODER"
vocabulary_of_captions = true
[text_encoder]
hidden_size = 8
intermediate_size = 16
num_hidden_layers = 1
num_attention_heads = 2
max_position_embeddings = 12
layer_norm_eps = 1e-5
[unet]
down_block_types = ["CrossAttnDownBlock2D"]
up_block_types = ["CrossAttnUpBlock2D"]
block_out_channels = [8]
layers_per_block = 1
transformer_layers_per_block = 1
cross_attention_dim = 8
attention_head_dim = 2
norm_num_groups = 4
in_channels = 4
out_channels = 4
[scheduler]
_class_name = "DDIMScheduler"
num_train_timesteps = 20
beta_start = 0.001
beta_end = 0.02
steps_offset = 1
clip_sample = false
"#;

/// Nothing, less than nothing, far too much, and no number.
fn limits() -> [Value; 7] {
    [0.into(), (-1).into(), i64::MAX.into(), (-0.5).into(), 1e300.into(), f64::NAN.into(), f64::INFINITY.into()]
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("there is a place for temporary files");
    let data = folder.path().join("data");
    std::fs::create_dir(&data).expect("the folder can be written");
    let mut list = String::new();
    for number in 0..4_u8 {
        let image = RgbImage::from_fn(16, 16, |x, y| Rgb([16 * x as u8, 16 * y as u8, 60 * number]));
        image.save(data.join(format!("{number}.png"))).expect("the folder can be written");
        list += &format!("{{\"file_name\": \"{number}.png\", \"text\": \"square {number}, red\"}}\n");
    }
    std::fs::write(data.join("captions.jsonl"), list).expect("the folder can be written");
    folder
}

fn table(text: &str, folder: &Path) -> Table {
    let mut table: Table = COMMON.parse().expect("TOML");
    table.extend(text.parse::<Table>().expect("TOML"));
    let text = toml::to_string(&table).expect("a table can be written");
    let path = |name: &str| folder.join(name).display().to_string();
    let text = text.replace("DATA", &path("data")).replace("OUTPUT", &path("run"));
    text.replace("AUTOENCODER", &path("autoencoder")).parse().expect("TOML")
}

/// Paths of all numbers of a table; of a list it is the first.
fn numbers(table: &Table) -> Vec<Vec<String>> {
    let below = |(key, value): (&String, &Value)| {
        let longer = |path: Vec<String>| std::iter::once(key.clone()).chain(path).collect();
        match value {
            Value::Table(table) => numbers(table).into_iter().map(longer).collect(),
            Value::Array(list) if !list[0].is_str() => vec![vec![key.clone()]],
            Value::Integer(_) | Value::Float(_) => vec![vec![key.clone()]],
            _ => Vec::new(),
        }
    };
    table.iter().flat_map(below).collect()
}

fn replace(table: &mut Table, path: &[String], value: Value) {
    match (path, table.get_mut(&path[0])) {
        ([_], Some(Value::Array(list))) => list[0] = value,
        ([_], Some(place)) => *place = value,
        ([_, rest @ ..], Some(Value::Table(table))) => replace(table, rest, value),
        _ => panic!("there is no {path:?}"),
    }
}

/// Opens the run, takes a step, and shows and writes the model.
fn train<T: Task>(table: Table, folder: &Path) -> Result<f64, TrainError> {
    let device = pyrograph::device("cpu").expect("the CPU is always there");
    let mut run = TaskRun::<T>::new(RunConfig::new(table)?, &device)?;
    let loss = run.step()?;
    run.samples()?;
    run.export(&folder.join("model"))?;
    Ok(loss)
}

/// Numbers that are no mistake in themselves, however large, and with which the weights or the images grow beyond all bounds.
fn may_diverge(path: &[String]) -> bool {
    let keys = ["guidance_scale", "learning_rate", "logit_scale_init_value", "weight_decay"];
    path.last().is_some_and(|key| keys.contains(&key.as_str()))
}

/// The message speaks of NaN, infinity, or of weights that are too large.
fn says_that_it_diverged(error: &TrainError) -> bool {
    let message = error.to_string();
    matches!(error, TrainError::NotFinite { .. }) || message.contains("NaN") || message.contains("too large for F16")
}

fn check<T: Task>(text: &str, folder: &Path) {
    let table = table(text, folder);
    train::<T>(table.clone(), folder).unwrap_or_else(|error| panic!("the run as it is: {error}"));
    let mut wrong = Vec::new();
    for path in numbers(&table) {
        for limit in limits() {
            let mut table = table.clone();
            replace(&mut table, &path, limit.clone());
            let problem = match catch_unwind(AssertUnwindSafe(|| train::<T>(table, folder))) {
                Ok(Ok(loss)) if loss.is_finite() => continue,
                Ok(Ok(loss)) => format!("loss {loss}"),
                Ok(Err(error)) if error.to_string().contains(path.last().expect("a key")) => continue,
                Ok(Err(error)) if may_diverge(&path) && says_that_it_diverged(&error) => continue,
                Ok(Err(error)) => format!("does not name the key: {error}"),
                Err(_) => "panics".to_owned(),
            };
            wrong.push(format!("{} = {limit}: {problem}", path.join(".")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn autoencoder() {
    let folder = folder();
    check::<AutoencoderTask>(AUTOENCODER, folder.path());
}

#[test]
fn autoencoder_with_a_codebook() {
    let folder = folder();
    check::<VqTask>(VQ, folder.path());
}

#[test]
fn clip() {
    let folder = folder();
    check::<ClipTask>(CLIP, folder.path());
}

#[test]
fn ddpm() {
    let folder = folder();
    check::<DdpmTask>(DDPM, folder.path());
}

#[test]
fn latent() {
    let folder = folder();
    let device = pyrograph::device("cpu").expect("the CPU is always there");
    let config = RunConfig::new(table(AUTOENCODER, folder.path())).expect("a run");
    let run = TaskRun::<AutoencoderTask>::new(config, &device).expect("a run");
    run.export(&folder.path().join("autoencoder")).expect("the folder can be written");
    check::<LatentTask>(LATENT, folder.path());
}

/// Sizes that the model cannot halve so often are refused with those that it can.
#[test]
fn sizes_that_the_model_cannot_halve_are_refused() {
    let folder = folder();
    let mut table = table(AUTOENCODER, folder.path());
    replace(&mut table, &["data".to_owned(), "size".to_owned()], 17.into());
    let error = train::<AutoencoderTask>(table, folder.path()).expect_err("17 is odd").to_string();
    assert!(error.contains("data.size") && error.contains("16 or 18"), "{error}");
}
