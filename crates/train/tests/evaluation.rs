//! Measures of how close images are, against PyTorch.

use std::path::PathBuf;

use image::{Rgb, RgbImage};
use pyrograph_checkpoint::open_weights;
use pyrograph_train::{peak_signal_to_noise, structural_similarity};

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
