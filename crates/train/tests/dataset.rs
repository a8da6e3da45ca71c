//! Folders of pictures, whole and broken.

#![expect(clippy::disallowed_methods, reason = "files of a test need not last")]

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::Path;

use burn::tensor::Device;
use image::{Rgba, RgbaImage};
use pyrograph_train::Dataset;

/// Pictures of one grey each, 10, 20, 30 ..., and their list.
fn folder(count: u8, list: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("there is a place for temporary files");
    let line = |i: u8| {
        let grey = 10 * (i + 1);
        let picture = RgbaImage::from_pixel(6, 4, Rgba([grey, grey, grey, 255]));
        picture.save(folder.path().join(format!("{i}.png"))).expect("the folder can be written");
        format!("{{\"file_name\": \"{i}.png\", \"text\": \"grey {grey}\"}}\n")
    };
    fs::write(folder.path().join(list), (0..count).map(line).collect::<String>()).expect("the folder can be written");
    folder
}

fn pixels(dataset: &Dataset, index: usize, batch: usize, seed: u64) -> (Vec<f32>, Vec<String>) {
    let batch = dataset.batch(index, batch, seed, &Device::flex()).expect("the pictures are whole");
    (batch.images.into_data().try_to_vec().expect("float32"), batch.captions)
}

#[test]
fn an_epoch_has_every_picture_once() {
    for list in ["captions.jsonl", "metadata.jsonl"] {
        let folder = folder(6, list);
        let dataset = Dataset::open(folder.path(), 2).expect("the folder is whole");
        let mut seen: HashMap<String, usize> = HashMap::new();
        for index in 0..9 {
            let (pixels, captions) = pixels(&dataset, index, 4, 1); // six epochs of six pictures
            for (picture, caption) in pixels.chunks(12).zip(captions) {
                let grey: f32 = caption.trim_start_matches("grey ").parse().expect("a number");
                assert!(
                    picture.iter().all(|pixel| (pixel - (grey / 127.5 - 1.0)).abs() < 1e-6),
                    "{caption}: {picture:?}"
                );
                *seen.entry(caption).or_default() += 1;
            }
        }
        assert_eq!(seen.len(), 6);
        assert!(seen.values().all(|&count| count == 6), "{seen:?}");
    }
}

#[test]
fn the_order_follows_from_the_seed() {
    let folder = folder(20, "captions.jsonl");
    let dataset = Dataset::open(folder.path(), 2).expect("the folder is whole");
    let captions = |index, seed| pixels(&dataset, index, 20, seed).1;
    assert_eq!(captions(3, 5), captions(3, 5));
    assert_ne!(captions(3, 5), captions(4, 5));
    assert_ne!(captions(3, 5), captions(3, 6));
}

/// What is transparent is white, the middle is what is left of a wide picture, and mirroring is sometimes done.
#[test]
fn pictures_are_cut_blended_and_mirrored() {
    let folder = tempfile::tempdir().expect("there is a place for temporary files");
    let picture = RgbaImage::from_fn(8, 2, |x, _| match x {
        3 => Rgba([0, 0, 0, 255]),
        4 => Rgba([255, 0, 0, 0]),
        _ => Rgba([0, 255, 0, 255]),
    });
    picture.save(folder.path().join("a.png")).expect("the folder can be written");
    let line = "{\"file_name\": \"a.png\", \"caption\": \"a\"}\n\n";
    fs::write(folder.path().join("captions.jsonl"), line).expect("the folder can be written");
    let dataset = Dataset::open(folder.path(), 2).expect("the folder is whole");
    let plain = [-1.0, 1.0, -1.0, 1.0].repeat(3);
    assert_eq!(pixels(&dataset, 0, 1, 0).0, plain);
    let cut = dataset.clone().with_random_crops();
    let places: HashSet<String> = (0..40).map(|index| format!("{:?}", pixels(&cut, index, 1, 0).0)).collect();
    assert_eq!(places.len(), 4, "left of black, black on the right, in the middle, and what is white or green");
    let mirrored = dataset.with_mirroring();
    let flipped = (0..40).filter(|&index| pixels(&mirrored, index, 1, 0).0 != plain).count();
    assert!((10..30).contains(&flipped), "{flipped} of 40 are mirrored");
}

#[test]
fn broken_folders_are_named() {
    let problem = |folder: &Path| Dataset::open(folder, 2).expect_err("it is broken").to_string();
    let whole = folder(2, "captions.jsonl");
    let list = whole.path().join("captions.jsonl");
    let text = fs::read_to_string(&list).expect("it was written");

    fs::write(&list, text.clone() + "{\"file_name\": \"gone.png\", \"text\": \"nothing\"}\n").expect("writable");
    assert!(
        problem(whole.path()).contains("line 3") && problem(whole.path()).contains("gone.png"),
        "{}",
        problem(whole.path())
    );
    fs::write(&list, text.clone() + "{\"file_name\": \"0.png\"}\n").expect("writable");
    assert!(problem(whole.path()).contains("line 3: missing field `text`"), "{}", problem(whole.path()));
    fs::write(&list, &text).expect("writable");
    fs::write(whole.path().join("1.png"), "no picture").expect("writable");
    assert!(problem(whole.path()).contains("1.png"), "{}", problem(whole.path()));
    fs::write(&list, "").expect("writable");
    assert!(problem(whole.path()).contains("lists no picture"), "{}", problem(whole.path()));
    fs::remove_file(&list).expect("writable");
    assert!(problem(whole.path()).contains("neither captions.jsonl nor metadata.jsonl"), "{}", problem(whole.path()));
}
