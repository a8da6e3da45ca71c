//! Images and numbers from users: broken files, unusual names, options and keys at their limits.

#![expect(clippy::disallowed_methods, reason = "files of a test need not last")]

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use image::{Rgb, RgbImage};
use tempfile::TempDir;

const DDPM: &str = r#"
data = { folder = "data", size = 16, batch_size = 2 }
output = { folder = "run", save_every = 1000 }
trainer = { steps = 1 }
[unet]
down_block_types = ["DownBlock2D"]
up_block_types = ["UpBlock2D"]
block_out_channels = [8]
layers_per_block = 1
norm_num_groups = 4
[scheduler]
num_train_timesteps = 4
"#;

/// A folder with eight images, their list, and a run.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(TempDir::new().expect("a folder"));
        fs::create_dir(place.path("data")).expect("a new folder");
        let mut list = String::new();
        for number in 0..8_u8 {
            let image = RgbImage::from_fn(16, 16, |x, _| Rgb([16 * x as u8, 30 * number, 0]));
            image.save(place.path("data").join(format!("{number}.png"))).expect("a file");
            list += &format!("{{\"file_name\": \"{number}.png\", \"text\": \"image {number}\"}}\n");
        }
        fs::write(place.path("data/metadata.jsonl"), list).expect("a file");
        fs::write(place.path("run.toml"), DDPM).expect("a file");
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pyrograph"));
        command.current_dir(&self.0).args(arguments).args(["--device", "cpu"]).output().expect("the program starts")
    }

    fn succeeds(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// The command exits with code 1 and prints one to three lines that contain all these words.
    fn refuses(&self, arguments: &[&str], words: &[&str]) {
        let output = self.run(arguments);
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {message}");
        let lines = message.lines().filter(|line| !line.contains("XDG_RUNTIME_DIR")).count();
        assert!((1..=3).contains(&lines), "{arguments:?}: {message}");
        for word in words {
            assert!(message.contains(word), "{arguments:?} should name {word}: {message}");
        }
    }
}

/// A truncated image is found before the first step, like a missing one, and both are named at once.
#[test]
fn broken_images_are_named_before_anything_is_trained() {
    let place = Place::new();
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
    place.refuses(&["classify", "data/3.png", "--labels", "a,b"], &["3.png", "cut short"]);
}

/// Folders keep the names that they were given: decomposed as on macOS, with spaces, quotes and a line break.
#[test]
fn folders_are_taken_as_they_are_named() {
    let place = Place::new();
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
    let place = Place::new();
    place.succeeds(&["train", "ddpm", "run.toml"]);
    let model = "run/model";
    let eval = |more: &[&'static str]| [&["eval", "--model", model, "--data", "data"], more].concat();
    for count in ["0", "-1", "nan", "99999999999999999999"] {
        place.refuses(&eval(&["--count", count]), &["--count"]);
    }
    assert!(place.succeeds(&eval(&["--count", "1000"])).contains("of 8 "), "there are eight images");
    assert!(place.succeeds(&eval(&["--count", "3"])).contains("of 3 "));
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
