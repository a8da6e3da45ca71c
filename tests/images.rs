//! Image files, compared with Pillow's pixels, and files that are not images.

use std::fs;

use image::{ImageFormat, Rgba, RgbaImage};
use pyrograph::{CENTER, Disproportionate, ImageFileError, crop_square, decode_image, read_image};

use crate::support::{Dump, reference};

/// The files of `tests/reference/images`.
fn files() -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(reference("images")).expect("the reference is committed");
    let file = |entry: fs::DirEntry| {
        let name = entry.file_name().into_string().expect("the names are ASCII");
        (name, fs::read(entry.path()).expect("the reference is committed"))
    };
    entries.map(|entry| file(entry.expect("it can be listed"))).collect()
}

/// The largest difference of a decoded byte from Pillow's. Decoders round differently where the format is lossy, where
/// 16 bits become 8 (Pillow drops the lower ones), and where transparency is blended.
fn tolerance(name: &str) -> u8 {
    match name {
        "subsampled.jpg" => 6, // chroma between its samples
        _ if name.ends_with(".jpg") || name.contains("lossy") => 3,
        _ if name.contains("16") || name.contains("transparent") => 1,
        _ => 0,
    }
}

fn worst(actual: &[u8], expected: &[u8]) -> u8 {
    actual.iter().zip(expected).map(|(a, e)| a.abs_diff(*e)).max().unwrap_or(0)
}

#[test]
fn files_are_read_as_pillow_reads_them() {
    let (dump, files) = (Dump::open("images.safetensors"), files());
    assert!(files.len() > 25, "only {} files", files.len());
    for (name, _) in files {
        let image = read_image(reference("images").join(&name)).unwrap_or_else(|error| panic!("{error}"));
        let expected = dump.data(&name);
        let (width, height) = image.dimensions();
        assert_eq!(expected.shape().to_vec(), [height as usize, width as usize, 3], "{name}");
        let worst = worst(image.as_raw(), &expected.try_to_vec::<u8>().expect("bytes"));
        assert!(worst <= tolerance(&name), "{name}: a byte differs by {worst}");
    }
}

#[test]
fn images_are_scaled_and_cropped_as_pillow_does_it() {
    let dump = Dump::open("images.safetensors");
    for name in ["noise-wide.png", "noise-high.png", "transparent.png"] {
        let image = read_image(reference("images").join(name)).expect("the reference is committed");
        for (edge, size) in [(16, 16), (18, 16), (40, 32)] {
            let square = crop_square(&image, edge, size, CENTER).expect("usual proportions");
            let expected = dump.data(&format!("{name}/square-{edge}-{size}")).try_to_vec::<u8>().expect("bytes");
            let worst = worst(square.as_raw(), &expected);
            assert!(worst <= 1, "{name} to {edge}, cropped to {size}: a byte differs by {worst}");
        }
    }
}

/// A file that is truncated anywhere is refused, unless no part of the image was lost.
#[test]
fn no_part_of_an_image_is_made_up() {
    for (name, bytes) in files() {
        let whole = decode_image(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        for length in 0..bytes.len() {
            if let Ok(image) = decode_image(&bytes[..length]) {
                assert_eq!(image, whole, "{name}: {length} of {} bytes", bytes.len());
            }
        }
        let cut = decode_image(&bytes[..bytes.len() * 2 / 3]);
        assert!(matches!(cut, Err(ImageFileError::Truncated)), "{name}: {cut:?}");
    }
}

/// A white disc on transparent black has no dark ring, at any size and place.
#[test]
fn transparency_is_laid_on_white_before_scaling() {
    let inside = |x: u32, y: u32| (x.abs_diff(40)).pow(2) + (y.abs_diff(32)).pow(2) < 20 * 20;
    let disc = RgbaImage::from_fn(80, 64, |x, y| if inside(x, y) { Rgba([255; 4]) } else { Rgba([0; 4]) });
    for format in [ImageFormat::Png, ImageFormat::WebP] {
        let mut file = std::io::Cursor::new(Vec::new());
        disc.write_to(&mut file, format).expect("it can be encoded");
        let image = decode_image(file.get_ref()).expect("it was just encoded");
        for (size, place) in [(16, CENTER), (50, 0.0), (64, 1.0), (100, 0.3)] {
            let square = crop_square(&image, size, size, place).expect("usual proportions");
            assert!(square.as_raw().iter().all(|&byte| byte >= 254), "{format:?} at {size} pixels");
        }
    }
}

#[test]
fn files_of_other_kinds_are_named() {
    let kinds: [(&[u8], &str); 5] = [
        (b"", "empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "git lfs pull"),
        (b"\n<!DOCTYPE html><html>", "download"),
        (b"GIF89a\x01\x00\x01\x00\x00\x00\x00;", "image/gif"),
        (b"no image at all", "no image"),
    ];
    for (bytes, word) in kinds {
        let error = decode_image(bytes).expect_err(word);
        assert!(matches!(error, ImageFileError::Format { .. }), "{error:?}");
        assert!(error.to_string().contains(word), "{error}");
    }
    assert!(read_image(reference("images")).expect_err("a folder").to_string().contains("images"));
    assert!(read_image("nowhere.png").expect_err("no file").to_string().contains("nowhere.png"));
}

/// A header may state a size that no memory can hold.
#[test]
fn decompression_bombs_are_refused_by_their_headers() {
    let png = fs::read(reference("images/grey.png")).expect("the reference is committed");
    let jpeg = fs::read(reference("images/grey.jpg")).expect("the reference is committed");
    let large = |file: &[u8], place: usize, side: &[u8]| {
        let mut file = file.to_vec();
        file[place..place + side.len()].copy_from_slice(side);
        decode_image(&file)
    };
    // Changing the bytes alone would make the checksum of the header wrong; a hostile file has a correct one.
    let header = [100_000_u32.to_be_bytes(), 100_000_u32.to_be_bytes()].concat();
    let mut png = png[..29].to_vec();
    png[16..24].copy_from_slice(&header);
    png.extend(crc(&png[12..29]).to_be_bytes());
    png.extend(b"\0\0\0\0IDAT\0\0\0\0\0\0\0\0IEND");
    let error = decode_image(&png).expect_err("it would take 10 GB");
    assert!(matches!(error, ImageFileError::TooLarge { .. }), "{error}");
    let start = jpeg.windows(2).position(|bytes| bytes == [0xFF, 0xC0]).expect("it is a baseline JPEG");
    let error = large(&jpeg, start + 5, &[0xFF; 4]).expect_err("it would take 4 GB");
    assert!(matches!(error, ImageFileError::TooLarge { .. }), "{error}");
}

/// The checksum of PNG chunks.
fn crc(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| if crc & 1 == 1 { 0xEDB8_8320 ^ (crc >> 1) } else { crc >> 1 };
    !bytes.iter().fold(u32::MAX, |crc, &byte| (0..8).fold(crc ^ u32::from(byte), step))
}

#[test]
fn threads_are_no_images() {
    for (width, height) in [(0, 0), (1, 101), (60_000, 1), (5000, 3)] {
        let error = crop_square(&image::RgbImage::new(width, height), 16, 16, CENTER).expect_err("too narrow");
        assert_eq!(error, Disproportionate { width, height });
    }
    // The remaining pixels are not computed: all of them would take 5 GB in floating point.
    let image = image::RgbImage::from_fn(64, 6400, |_, y| image::Rgb([(y / 64) as u8; 3]));
    let square = crop_square(&image, 2048, 2048, 1.0).expect("just narrow enough");
    assert!(square.pixels().all(|pixel| pixel.0[0] >= 98), "the lower end");
}
