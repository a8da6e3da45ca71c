//! Folders of images, whole and broken.

#![expect(clippy::disallowed_methods, reason = "files of a test need not last")]

mod support;

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::Path;

use burn::tensor::Device;
use image::{Rgb, RgbImage, Rgba, RgbaImage};
use pyrograph::{Error, ImageFileError};
use pyrograph_train::{BadImage, Dataset, ListError, TrainError};
use serde_json::json;

use support::image_folder;

/// Images of one grey each, 10, 20, 30 ..., and their list.
fn folder(count: u8, list: &str) -> tempfile::TempDir {
    let greys = (1..=count).map(|number| 10 * number);
    let image = |grey| RgbaImage::from_pixel(6, 4, Rgba([grey, grey, grey, 255]));
    image_folder(list, greys.map(|grey| (image(grey), json!({ "text": format!("grey {grey}") }))))
}

fn pixels(dataset: &Dataset, index: usize, batch: usize, seed: u64) -> (Vec<f32>, Vec<String>) {
    let batch = dataset.batch(index, batch, seed, &Device::flex()).expect("the images are whole");
    (batch.images.into_data().try_to_vec().expect("float32"), batch.captions)
}

#[test]
fn an_epoch_has_every_image_once() {
    for list in ["captions.jsonl", "metadata.jsonl"] {
        let folder = folder(6, list);
        let dataset = Dataset::open(folder.path(), 2).expect("the folder is whole");
        let mut seen: HashMap<String, usize> = HashMap::new();
        for index in 0..9 {
            let (pixels, captions) = pixels(&dataset, index, 4, 1); // six epochs of six images
            for (image, caption) in pixels.chunks(12).zip(captions) {
                let grey: f32 = caption.trim_start_matches("grey ").parse().expect("a number");
                assert!(image.iter().all(|pixel| (pixel - (grey / 127.5 - 1.0)).abs() < 1e-6), "{caption}: {image:?}");
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

/// What is transparent is white, the middle is what is left of a wide image, and mirroring is sometimes done.
#[test]
fn images_are_cut_blended_and_mirrored() {
    let image = RgbaImage::from_fn(8, 2, |x, _| match x {
        3 => Rgba([0, 0, 0, 255]),
        4 => Rgba([255, 0, 0, 0]),
        _ => Rgba([0, 255, 0, 255]),
    });
    let folder = image_folder("captions.jsonl", [(image, json!({ "caption": "a" }))]);
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

/// A folder with the image `0.png` and a list of this content.
fn listed(list: &str, content: impl AsRef<[u8]>) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("there is a place for temporary files");
    RgbImage::new(4, 4).save(folder.path().join("0.png")).expect("the folder can be written");
    fs::write(folder.path().join(list), content).expect("the folder can be written");
    folder
}

fn caption(list: &str, content: impl AsRef<[u8]>) -> String {
    let folder = listed(list, content);
    Dataset::open(folder.path(), 2).unwrap_or_else(|error| panic!("{error}")).caption(0).to_owned()
}

/// Line and cause of the error about a list.
fn refusal(list: &str, content: impl AsRef<[u8]>) -> (usize, ListError) {
    let folder = listed(list, content);
    match Dataset::open(folder.path(), 2).expect_err("the list is wrong") {
        TrainError::List { line, cause, list: path } if path == folder.path().join(list) => (line, cause),
        other => panic!("{other}"),
    }
}

#[test]
fn the_first_caption_of_a_line_counts() {
    let list = "metadata.jsonl";
    assert_eq!(caption(list, r#"{"file_name": "0.png", "caption": "b", "text": "a"}"#), "a");
    assert_eq!(caption(list, r#"{"file_name": "0.png", "caption": "b"}"#), "b");
    assert_eq!(caption(list, r#"{"file_name": "0.png", "caption": "b", "text": null}"#), "b");
    assert_eq!(caption(list, r#"{"file_name": "0.png", "text": "", "caption": "b"}"#), "");
    let folder = listed(list, r#"{"file_name": "0.png", "caption": "b", "text": "a", "count": 2}"#);
    let dataset = Dataset::open(folder.path(), 2).expect("the folder is whole");
    assert_eq!(dataset.label(0, "caption"), Some(&"b".into()));
    assert_eq!(dataset.label(0, "count"), Some(&2.into()));
}

#[test]
fn lists_are_read_as_editors_on_windows_write_them() {
    let line = "{\"file_name\": \"0.png\", \"text\": \"a\"}\r\n";
    assert_eq!(caption("metadata.jsonl", format!("\u{feff}\r\n{line}\r\n{line}")), "a");
    assert_eq!(caption("metadata.csv", "\u{feff}file_name,text\r\n0.png,a\r\n"), "a");
    let utf_16: Vec<u8> = format!("\u{feff}{line}").encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert!(matches!(refusal("metadata.jsonl", utf_16), (1, ListError::Encoding)));
    assert!(matches!(refusal("metadata.jsonl", [line.as_bytes(), b"\xe9"].concat()), (2, ListError::Encoding)));
}

/// Hugging Face's `imagefolder` has tables too.
#[test]
fn tables_list_images() {
    let table = "text,file_name,count,caption\n\"a, and \"\"b\"\"\nc\",0.png,2,7\n12,0.png,,\n,0.png,,z\n";
    let folder = listed("metadata.csv", table);
    let dataset = Dataset::open(folder.path(), 2).expect("the folder is whole");
    assert_eq!(dataset.captions().collect::<Vec<_>>(), ["a, and \"b\"\nc", "12", "z"]);
    assert_eq!(dataset.label(0, "count").and_then(|count| count.as_u64()), Some(2));
    assert_eq!(dataset.label(0, "caption"), Some(&"7".into()));
    assert!(dataset.label(1, "count").is_some_and(|count| count.is_null()));
    assert!(matches!(refusal("metadata.csv", "a;b\n1;2\n"), (1, ListError::Missing { key: "file_name" })));
    assert!(matches!(refusal("metadata.csv", "file_name,text\n0.png,a\n0.png\n"), (3, ListError::Csv(_))));
    assert!(matches!(refusal("metadata.csv", "file_name\n0.png\n"), (2, ListError::Missing { key: "text" })));
}

#[test]
fn lines_that_cannot_be_used_are_named() {
    let refused = |line: &str| refusal("metadata.jsonl", format!("\n{line}\n"));
    assert!(matches!(refused("{"), (2, ListError::Json(_))));
    assert!(matches!(refused("[1]"), (2, ListError::Json(_))));
    assert!(matches!(refused(r#"{"text": "a"}"#), (2, ListError::Missing { key: "file_name" })));
    assert!(matches!(refused(r#"{"file_name": "0.png"}"#), (2, ListError::Missing { key: "text" })));
    assert!(matches!(refused(r#"{"file_name": 0, "text": "a"}"#), (2, ListError::NoText { key: "file_name", .. })));
    assert!(matches!(refused(r#"{"file_name": "0.png", "text": []}"#), (2, ListError::NoText { key: "text", .. })));
}

/// Composed and decomposed letters, slashes of both kinds, absolute paths and paths that lead out of the folder.
#[test]
fn files_are_found_as_their_lists_spell_them() {
    let (composed, decomposed) = ("caf\u{e9}", "cafe\u{301}");
    for (on_disk, in_list) in [(composed, decomposed), (decomposed, composed), (composed, composed)] {
        let parent = tempfile::tempdir().expect("there is a place for temporary files");
        let folder = parent.path().join(on_disk);
        fs::create_dir_all(folder.join(on_disk)).expect("the folder can be written");
        RgbImage::new(4, 4).save(folder.join(on_disk).join("0.png")).expect("the folder can be written");
        let absolute = folder.join(on_disk).join("0.png").display().to_string();
        let leaving = format!("../{on_disk}/{on_disk}/./0.png");
        for name in [format!("{in_list}/0.png"), format!("{in_list}\\0.png"), absolute, leaving] {
            let line = serde_json::json!({ "file_name": name, "text": "a" });
            fs::write(folder.join("metadata.jsonl"), line.to_string()).expect("the folder can be written");
            let dataset = Dataset::open(&folder, 2).unwrap_or_else(|error| panic!("{name:?}: {error}"));
            assert_eq!(dataset.len(), 1);
        }
    }
}

/// A red image above blue stays so, whatever its pixels' order in the file.
#[test]
fn images_are_turned_upright() {
    let folder = tempfile::tempdir().expect("there is a place for temporary files");
    let images = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/reference/images");
    let names = (1..=8).map(|orientation| format!("orientation-{orientation}.jpg"));
    let mut list = String::new();
    for name in names {
        fs::copy(images.join(&name), folder.path().join(&name)).expect("the reference is committed");
        list += &format!("{{\"file_name\": \"{name}\", \"text\": \"\"}}\n");
    }
    fs::write(folder.path().join("metadata.jsonl"), list).expect("the folder can be written");
    let dataset = Dataset::open(folder.path(), 8).expect("the folder is whole");
    for number in 0..8 {
        let expected = pyrograph::read_image(images.join(format!("orientation-{}.jpg", number + 1))).expect("an image");
        let expected = pyrograph::crop_square(&expected, 8, 8, pyrograph::CENTER).expect("usual proportions");
        assert_eq!(dataset.image(number).expect("an image"), expected);
    }
}

/// Of all images that cannot be used the first five are named, before anything is trained.
#[test]
fn unusable_images_are_found_when_a_folder_is_opened() {
    let folder = folder(12, "metadata.jsonl");
    let path = |number: u8| folder.path().join(format!("{number}.png"));
    let whole = fs::read(path(0)).expect("it was written");
    fs::write(path(1), &whole[..whole.len() - 20]).expect("writable"); // its header is whole
    fs::remove_file(path(2)).expect("it was written");
    fs::write(path(3), "no image").expect("writable");
    RgbImage::new(1, 60_000).save(path(4)).expect("writable");
    for number in [6, 7, 9] {
        fs::write(path(number), "").expect("writable");
    }
    let error = Dataset::open(folder.path(), 2).expect_err("seven images are unusable");
    let message = error.to_string();
    let TrainError::Images { list, bad, count: 7, of: 12 } = error else { panic!("{message}") };
    assert_eq!(list, folder.path().join("metadata.jsonl"));
    assert_eq!(bad.iter().map(|bad| bad.line).collect::<Vec<_>>(), [2, 3, 4, 5, 7]);
    let cause = |number: usize| match &bad[number] {
        BadImage { cause: Error::Read { cause, .. }, .. } => cause,
        other => panic!("{other}"),
    };
    assert!(matches!(cause(0), ImageFileError::Truncated));
    assert!(matches!(cause(1), ImageFileError::Io(_)));
    assert!(matches!(cause(2), ImageFileError::Format { .. }));
    assert!(matches!(cause(3), ImageFileError::Disproportionate(_)));
    assert!(message.contains("1.png") && message.contains("and 2 more") && !message.contains('\n'), "{message}");
    let dataset = Dataset::open_unchecked(folder.path(), 2).expect("only the list is read");
    assert!(matches!(dataset.image(1), Err(TrainError::Images { count: 1, .. })));
    assert!(dataset.image(0).is_ok());
}

/// Scaling such an image to 256 pixels as a whole would take 11.8 GB.
#[test]
fn long_images_are_cropped_before_they_are_scaled() {
    let folder = listed("metadata.jsonl", r#"{"file_name": "long.png", "text": "a"}"#);
    RgbImage::from_fn(40, 4000, |_, y| Rgb([(y / 16) as u8; 3]))
        .save(folder.path().join("long.png"))
        .expect("writable");
    let dataset = Dataset::open(folder.path(), 4096).expect("one side is a hundred times the other");
    let middle = dataset.image(0).expect("an image").get_pixel(2048, 2048).0;
    assert!(middle[0].abs_diff(125) <= 1, "{middle:?}");
}

#[test]
fn sizes_out_of_bounds_are_refused() {
    let folder = folder(1, "captions.jsonl");
    for size in [0, 8193, u32::MAX] {
        let error = Dataset::open(folder.path(), size).expect_err("it is no size");
        assert!(matches!(error, TrainError::OutOfBounds { key: "size", .. }), "{error}");
    }
}

#[test]
fn folders_without_a_list_are_named() {
    let problem = |folder: &Path| Dataset::open(folder, 2).expect_err("it is broken").to_string();
    let whole = folder(2, "captions.jsonl");
    let list = whole.path().join("captions.jsonl");
    fs::write(&list, "").expect("writable");
    assert!(problem(whole.path()).contains("lists no image"), "{}", problem(whole.path()));
    fs::remove_file(&list).expect("writable");
    assert!(problem(whole.path()).contains("captions.jsonl nor metadata.jsonl nor"), "{}", problem(whole.path()));
}
