//! Every number of a run's file at its limits: an error that names the key, or training that goes well.

mod support;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use pyrograph_train::{AutoencoderTask, ClipTask, DdpmTask, LatentTask, Recipe, Run, Task, TrainError, VqTask};
use toml::{Table, Value};

use support::images;
use support::recipes::{AUTOENCODER, CLIP, DDPM, LATENT, VQ, table};

/// Nothing, less than nothing, far too much, and no number.
fn limits() -> [Value; 7] {
    [0.into(), (-1).into(), i64::MAX.into(), (-0.5).into(), 1e300.into(), f64::NAN.into(), f64::INFINITY.into()]
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
    let mut run = Run::<T>::new(Recipe::new(table)?, &device)?;
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
    let folder = images();
    check::<AutoencoderTask>(AUTOENCODER, folder.path());
}

#[test]
fn autoencoder_with_a_codebook() {
    let folder = images();
    check::<VqTask>(VQ, folder.path());
}

#[test]
fn clip() {
    let folder = images();
    check::<ClipTask>(CLIP, folder.path());
}

#[test]
fn ddpm() {
    let folder = images();
    check::<DdpmTask>(DDPM, folder.path());
}

#[test]
fn latent() {
    let folder = images();
    let device = pyrograph::device("cpu").expect("the CPU is always there");
    let recipe = Recipe::new(table(AUTOENCODER, folder.path())).expect("a run");
    let run = Run::<AutoencoderTask>::new(recipe, &device).expect("a run");
    run.export(&folder.path().join("autoencoder")).expect("the folder can be written");
    check::<LatentTask>(LATENT, folder.path());
}

/// Sizes that the model cannot halve so often are refused with those that it can.
#[test]
fn sizes_that_the_model_cannot_halve_are_refused() {
    let folder = images();
    let mut table = table(AUTOENCODER, folder.path());
    replace(&mut table, &["data".to_owned(), "size".to_owned()], 17.into());
    let error = train::<AutoencoderTask>(table, folder.path()).expect_err("17 is odd").to_string();
    assert!(error.contains("data.size") && error.contains("16 or 18"), "{error}");
}
