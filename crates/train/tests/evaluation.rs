//! The judges, judged.

mod support;

use std::path::PathBuf;

use image::{Rgb, RgbImage};
use pyrograph_checkpoint::open_weights;
use pyrograph_train::{Dataset, SceneJudge, Verdict, peak_signal_to_noise, structural_similarity};
use serde_json::json;
use tempfile::TempDir;

use support::image_folder;

#[test]
fn distances_of_images_are_those_of_pytorch() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/reference/train.safetensors");
    let dump = open_weights(&path).expect("the reference is committed");
    let values = |name: &str| dump.read(name).expect("a tensor").try_to_vec::<f32>().expect("float32");
    let image = |name| {
        let values = values(name);
        RgbImage::from_fn(24, 20, |x, y| {
            Rgb([0, 1, 2].map(|channel| values[(channel * 20 + y as usize) * 24 + x as usize] as u8))
        })
    };
    let (a, b) = (image("metrics/a"), image("metrics/b"));
    let close = |found: f64, name| assert!((found / f64::from(values(name)[0]) - 1.0).abs() < 1e-5, "{name}: {found}");
    close(peak_signal_to_noise(&a, &b), "metrics/psnr");
    close(structural_similarity(&a, &b), "metrics/ssim");
    assert!((structural_similarity(&a, &a) - 1.0).abs() < 1e-12);
}

const GROUNDS: [(&str, [u8; 3]); 2] = [("blue", [30, 60, 220]), ("gray", [128, 128, 128])];

/// A disc or a tall bar, once or twice, on a ground.
fn scene(object: &str, count: u32, ground: [u8; 3], shift: u32) -> RgbImage {
    let inside = |x: u32, y: u32| match object {
        "disc" => x.abs_diff(32 / count).pow(2) + y.abs_diff(32).pow(2) < (22 / count).pow(2),
        _ => x.abs_diff(32 / count) < 8 / count && (6..58).contains(&y),
    };
    RgbImage::from_fn(64, 64, |x, y| {
        Rgb(if inside((x + 64 - shift) % (64 / count), y) { [250, 200, 20] } else { ground })
    })
}

/// A folder of images with their labels.
fn dataset(scenes: &[(&str, u32, usize)]) -> (TempDir, Dataset) {
    let labelled = |&(object, count, ground): &(&str, u32, usize)| {
        let (name, colour) = GROUNDS[ground];
        let labels = json!({ "text": "", "object": object, "background": name, "count": count });
        (scene(object, count, colour, 0), labels)
    };
    let folder = image_folder("captions.jsonl", scenes.iter().map(labelled));
    let dataset = Dataset::open(folder.path(), 64).expect("the folder is whole");
    (folder, dataset)
}

#[test]
fn right_and_wrong_images_are_told_apart() {
    let (_drawings, drawings) = dataset(&[("disc", 1, 0), ("bar", 1, 0), ("disc", 1, 1), ("bar", 1, 1)]);
    let (_requests, requests) = dataset(&[("disc", 1, 0), ("bar", 2, 1)]);
    let judge = SceneJudge::new(&drawings).expect("all labels are there");
    let verdict = |image: &RgbImage, number| judge.judge(image, &requests, number).expect("all labels are there");
    let of = |background, object, count| Verdict { background, object, count };
    let [(_, blue), (_, gray)] = GROUNDS;
    assert_eq!(verdict(&scene("disc", 1, blue, 3), 0), of(true, Some(true), true));
    assert_eq!(verdict(&scene("disc", 1, blue, 9), 0), of(true, Some(true), true));
    assert_eq!(verdict(&scene("disc", 1, [50, 50, 200], 0), 0), of(true, Some(true), true));
    assert_eq!(verdict(&scene("bar", 1, blue, 0), 0), of(true, Some(false), true));
    assert_eq!(verdict(&scene("disc", 1, gray, 0), 0), of(false, Some(true), true));
    assert!(!verdict(&scene("disc", 2, blue, 0), 0).count);
    assert_eq!(verdict(&scene("bar", 2, gray, 0), 1), of(true, None, true));
    assert_eq!(verdict(&scene("bar", 1, gray, 0), 1), of(true, None, false));
}
