//! Folders of images, and recipes for them.

#![allow(dead_code, reason = "each test uses a part of it")]
#![expect(clippy::disallowed_methods, reason = "files of a test need not last")]

pub(crate) mod recipes;

use image::{DynamicImage, Rgb, RgbImage};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A folder with images `0.png`, `1.png`, ... and a list of this name; each line has its image's labels.
pub(crate) fn image_folder<I: Into<DynamicImage>>(list: &str, images: impl IntoIterator<Item = (I, Value)>) -> TempDir {
    let folder = TempDir::new().expect("there is a place for temporary files");
    let mut lines = String::new();
    for (number, (image, mut labels)) in images.into_iter().enumerate() {
        let name = format!("{number}.png");
        image.into().save(folder.path().join(&name)).expect("the folder can be written");
        labels["file_name"] = name.into();
        lines += &format!("{labels}\n");
    }
    std::fs::write(folder.path().join(list), lines).expect("the folder can be written");
    folder
}

/// Four images of 16x16 pixels with captions.
pub(crate) fn images() -> TempDir {
    let image = |number: u8| RgbImage::from_fn(16, 16, |x, y| Rgb([16 * x as u8, 16 * y as u8, 60 * number]));
    let labelled = |number| (image(number), json!({ "text": format!("square {number}, red") }));
    image_folder("captions.jsonl", (0..4).map(labelled))
}
