//! `pyrograph classify` and `pyrograph score`: their output, and their errors for wrong input.

#![expect(clippy::disallowed_methods, reason = "files of a test need not last")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

/// The small CLIP model with random weights, and images beside it.
fn tiny(file: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/reference/tiny-clip");
    folder.join(file).to_str().expect("a path").to_owned()
}

fn pyrograph(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pyrograph"));
    command.args(arguments).args(["--device", "cpu"]);
    command.output().expect("the program starts")
}

/// The output of a successful command.
fn printed(arguments: &[&str]) -> String {
    let output = pyrograph(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// The lines with two decimal places, because further digits depend on the rounding of the image.
fn rounded(lines: &str) -> String {
    let line = |line: &str| {
        let (number, label) = line.split_once("  ").expect("two columns");
        format!("{:.2}  {label}\n", number.parse::<f64>().expect("a number"))
    };
    lines.lines().map(line).collect()
}

/// The command fails with exit code 1 and one to three lines that contain `needle`, and prints no result.
fn assert_refuses(arguments: &[&str], needle: &str) {
    let output = pyrograph(arguments);
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {message}");
    assert!((1..=3).contains(&message.lines().count()), "{arguments:?}: {message}");
    assert!(message.contains(needle), "{arguments:?} should name {needle}: {message}");
    assert!(output.stdout.is_empty(), "{arguments:?}");
}

fn written(folder: &TempDir, name: &str, contents: &str) -> PathBuf {
    let file = folder.path().join(name);
    fs::write(&file, contents).expect("it can be written");
    file
}

/// The numbers are those of `tests/reference/clip_model.json`.
#[test]
fn the_best_label_comes_first() {
    let (image, model) = (tiny("wide.png"), tiny(""));
    let long = "a picture of something that is longer than the model can read in one go";
    let labels = format!("a cat, the red car,,<|endoftext|>,{long}");
    let expected = format!("0.74  {long}\n0.24  <|endoftext|>\n0.02  a cat\n0.00  the red car\n");
    let common = ["classify", &image, "--model", &model, "--template", "{}"];
    let first = printed(&[&common[..], &["--labels", &labels]].concat());
    assert_eq!(rounded(&first), expected);
    let folder = TempDir::new().expect("a folder");
    let file = written(&folder, "labels.txt", &labels.replace(',', "\r\n"));
    assert_eq!(printed(&[&common[..], &["--labels-file", file.to_str().expect("a path")]].concat()), first);
    let wrapped = printed(&["classify", &image, "--model", &model, "--labels", "cat, car"]);
    let plain = ["--labels", "a picture of cat,a picture of car"];
    assert_eq!(wrapped, printed(&[&common[..], &plain].concat()).replace("a picture of ", ""));
}

#[test]
fn a_score_is_a_cosine() {
    let score = |image, text| printed(&["score", &tiny(image), text, "--model", &tiny("")]);
    assert!(score("wide.png", "the red car").starts_with("-0.70"));
    assert_eq!(score("small.png", "a cat"), "-0.2932\n");
}

#[test]
fn wrong_options_are_named() {
    let (image, model) = (tiny("wide.png"), tiny(""));
    let classify = ["classify", &image, "--model", &model];
    let refuses = |rest: &[&str], needle| assert_refuses(&[&classify[..], rest].concat(), needle);
    refuses(&[], "--labels");
    refuses(&["--labels", " , "], "--labels: there is no label");
    refuses(&["--labels", "a", "--labels-file", "b"], "--labels-file");
    refuses(&["--labels-file", "missing.txt"], "missing.txt");
    refuses(&["--labels", "a", "--template", "a picture"], "--template");
    assert_refuses(&["classify", "missing.png", "--labels", "a", "--model", &model], "missing.png");
    assert_refuses(&["classify", &tiny("config.json"), "--labels", "a", "--model", &model], "config.json");
    assert_refuses(&["score", "missing.png", "a", "--model", &model], "missing.png");
    assert_refuses(&["score", &image], "TEXT");
}

#[test]
fn wrong_models_are_named() {
    let image = tiny("wide.png");
    let folder = TempDir::new().expect("a folder");
    let model = folder.path().to_str().expect("a path");
    let refuses = |needle| assert_refuses(&["score", &image, "a cat", "--model", model], needle);
    assert_refuses(&["score", &image, "a cat", "--model", "missing"], "missing");
    refuses("has no config.json");
    written(&folder, "config.json", "{}");
    refuses("has no weights");
    fs::copy(tiny("model.safetensors"), folder.path().join("model.safetensors")).expect("a copy");
    refuses("`text_config`");
    let config = fs::read_to_string(tiny("config.json")).expect("a configuration");
    let change = |from: &str, to: &str| written(&folder, "config.json", &config.replace(from, to));
    change("\"patch_size\": 5", "\"patch_size\": 0");
    refuses("config.json, vision_config: patch_size is 0");
    change("\"num_channels\": 3", "\"num_channels\": 1");
    refuses("num_channels is 1");
    change("\"projection_dim\": 12", "\"projection_dim\": 13");
    refuses("tokenizer: has 49408 tokens"); // CLIP's own, because there are no files
    for file in ["vocab.json", "merges.txt"] {
        fs::copy(tiny(file), folder.path().join(file)).expect("a copy");
    }
    refuses("text_projection.weight");
}
