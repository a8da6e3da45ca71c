//! Images and numbers from users: broken files, unusual names, options and keys at their limits.

#![expect(clippy::disallowed_methods, reason = "files of a test need not last")]

mod support;

use std::fs;

use image::RgbImage;

use support::Place;
use support::recipes::{DDPM, recipe};

/// A run of a DDPM that takes one step.
fn place() -> Place {
    let run = recipe("batch_size = 2", "folder = \"run\", save_every = 1000", "steps = 1", DDPM);
    Place::new().with("run.toml", run)
}

/// A truncated image is found before the first step, like a missing one, and both are named at once.
#[test]
fn broken_images_are_named_before_anything_is_trained() {
    let place = place();
    let whole = fs::read(place.path("data/3.png")).expect("it was written");
    fs::write(place.path("data/3.png"), &whole[..whole.len() - 20]).expect("a file");
    fs::remove_file(place.path("data/5.png")).expect("it was written");
    RgbImage::new(1, 60_000).save(place.path("data/6.png")).expect("a file");
    place.refuses(
        &["train", "ddpm", "run.toml"],
        &["line 4", "3.png", "line 6", "5.png", "6.png", "1x60000", "3 of 8", "delete"],
    );
    assert!(!place.path("run/losses.csv").exists(), "no step was taken");
    place.refuses(&["classify", "data/6.png", "--labels", "a,b"], &["1x60000"]);
    place.refuses(&["classify", "data/3.png", "--labels", "a,b"], &["3.png", "truncated"]);
}

/// Folders keep the names that they were given: decomposed as on macOS, with spaces, quotes and a line break.
#[test]
fn folders_are_taken_as_they_are_named() {
    let place = place();
    for name in ["cafe\u{301}", "caf\u{e9}", "a \"b\" 'c'", "line\nbreak", "back\\slash"] {
        fs::rename(place.path("data"), place.path(name)).expect("it can be renamed");
        let output = format!("run of {name}");
        place.succeeds(&["train", "ddpm", "run.toml", "--data", name, "--output", &output]);
        assert!(place.path(&output).join("model/model_index.json").is_file(), "{name:?}");
        fs::rename(place.path(name), place.path("data")).expect("it can be renamed");
    }
}

#[test]
fn numbers_are_refused_at_their_limits() {
    let place = place();
    place.succeeds(&["train", "ddpm", "run.toml"]);
    let model = "run/model";
    let eval = |more: &[&'static str]| [&["eval", "--model", model, "--data", "data"], more].concat();
    for count in ["0", "-1", "nan", "99999999999999999999"] {
        place.refuses(&eval(&["--count", count]), &["--count"]);
    }
    assert!(place.succeeds(&eval(&["--count", "1000"])).out.contains("of 8 "), "there are eight images");
    assert!(place.succeeds(&eval(&["--count", "3"])).out.contains("of 3 "));
    let options = [("--steps", "trainer.steps"), ("--batch-size", "data.batch_size")];
    for (option, key) in options {
        let train = |value: &'static str| ["train", "ddpm", "run.toml", "--output", "other", option, value];
        place.refuses(&train("nan"), &[option]);
        place.refuses(&train("0"), &[key]);
    }
    for set in [
        "data.size=0",
        "data.size=100000",
        "output.save_every=0",
        "trainer.learning_rate=nan",
        "trainer.ema_decay=2",
        "denoising.caption_dropout=-1",
    ] {
        let key = set.split('=').next().expect("a key");
        place.refuses(&["train", "ddpm", "run.toml", "--output", "other", "--set", set], &[key]);
    }
    let rate = "trainer.learning_rate";
    place.refuses(&["train", "ddpm", "run.toml", "--output", "other", "--learning-rate", "nan"], &[rate]);
    place.refuses(&["train", "ddpm", "run.toml", "--output", "other", "--learning-rate=-1"], &[rate]);
}
