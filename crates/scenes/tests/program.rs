//! Runs the program on packages of drawings that are made here.

#![expect(clippy::disallowed_methods, reason = "files of a test need not last")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use image::{Rgba, RgbaImage};
use tempfile::TempDir;

const TABLE: &str = include_str!("../concepts.csv");

fn codes() -> impl Iterator<Item = &'static str> {
    TABLE.lines().skip(1).map(|line| line.split(',').nth(2).unwrap())
}

/// A red square for every concept in every style.
fn packages() -> TempDir {
    let folder = TempDir::new().unwrap();
    let assets = folder.path().join("fluent-emoji-3d/assets");
    fs::create_dir_all(&assets).unwrap();
    let square = RgbaImage::from_pixel(16, 16, Rgba([255, 0, 0, 255]));
    for code in codes() {
        square.save(assets.join(format!("{code}-fe0f.webp"))).unwrap();
    }
    let body = serde_json::json!({"body": "<path fill=\"#f00\" d=\"M8 8h16v16h-16z\"/>"});
    for name in ["fluent-emoji-flat", "noto"] {
        let package = folder.path().join(name);
        fs::create_dir_all(&package).unwrap();
        let names: BTreeMap<_, _> = codes().map(|code| (code, format!("icon-{code}"))).collect();
        let icons: BTreeMap<_, _> = names.values().map(|name| (name, &body)).collect();
        fs::write(package.join("chars.json"), serde_json::to_string(&names).unwrap()).unwrap();
        let icons = serde_json::json!({"width": 32, "height": 32, "icons": icons}).to_string();
        fs::write(package.join("icons.json"), icons).unwrap();
    }
    folder
}

fn scenes(icons: &Path, folder: &Path, more: &[&str]) -> Output {
    let program = env!("CARGO_BIN_EXE_scenes");
    Command::new(program).arg(folder).arg("--icons").arg(icons).args(more).output().unwrap()
}

/// The names and bytes of all files in a folder.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
    entries.map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())).collect()
}

fn assert_fails(output: &Output, words: &[&str]) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(words.iter().all(|word| text.contains(word)), "{text}");
}

#[test]
fn a_seed_makes_the_same_files_each_time() {
    let (icons, made) = (packages(), TempDir::new().unwrap());
    let run = |name: &str, seed: &str| {
        let folder = made.path().join(name);
        let output = scenes(icons.path(), &folder, &["--count", "40", "--size", "32", "--seed", seed]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(String::from_utf8_lossy(&output.stderr).contains("40 images"));
        files(&folder)
    };
    let (first, again, other) = (run("first", "5"), run("again", "5"), run("other", "6"));
    assert_eq!(first.len(), 41);
    assert!(first == again && first != other);

    let captions = String::from_utf8(first["captions.jsonl"].clone()).unwrap();
    for line in captions.lines() {
        let record: serde_json::Value = serde_json::from_str(line).unwrap();
        let image = image::load_from_memory(&first[record["file_name"].as_str().unwrap()]).unwrap().into_rgb8();
        assert_eq!(image.dimensions(), (32, 32));
        // Two objects leave the middle free; a single object covers it.
        let covered = image.get_pixel(16, 16).0 == [255, 0, 0];
        assert!(covered || record["count"] == 2, "{line}");
    }
}

#[test]
fn a_drawing_lies_in_the_middle_of_its_background() {
    let (icons, made) = (packages(), TempDir::new().unwrap());
    let folder = made.path().join("drawings");
    assert!(scenes(icons.path(), &folder, &["--drawings", "--size", "20"]).status.success());
    // The third image is the first concept on the third background, yellow.
    let image = image::open(folder.join("000003.png")).unwrap().into_rgb8();
    for (x, y, pixel) in image.enumerate_pixels() {
        let inside = (2..18).contains(&x) && (2..18).contains(&y);
        let distance = pixel.0.iter().zip(if inside { [255, 0, 0] } else { [252, 220, 60] });
        assert!(distance.map(|(&a, b)| a.abs_diff(b)).all(|distance| distance < 40), "{x} {y} {pixel:?}");
    }
}

#[test]
fn what_is_missing_is_named() {
    let (icons, made) = (packages(), TempDir::new().unwrap());
    let folder = made.path().join("new");
    assert_fails(&scenes(&made.path().join("nowhere"), &folder, &[]), &["nowhere", "chars.json"]);

    fs::remove_file(icons.path().join("fluent-emoji-3d/assets/1f431-fe0f.webp")).unwrap();
    assert_fails(&scenes(icons.path(), &folder, &[]), &["\"cat\"", "1f431.webp", "3d"]);

    let chars = icons.path().join("noto/chars.json");
    fs::write(&chars, fs::read_to_string(&chars).unwrap().replace("1f34e", "none")).unwrap();
    assert_fails(&scenes(icons.path(), &folder, &[]), &["drawing of"]);
    assert!(!folder.exists());
}

#[test]
fn a_folder_with_files_is_left_alone() {
    let (icons, made) = (packages(), TempDir::new().unwrap());
    fs::write(made.path().join("kept"), "").unwrap();
    assert_fails(&scenes(icons.path(), made.path(), &["--count", "1"]), &["not empty"]);
    assert_eq!(files(made.path()).len(), 1);
}
