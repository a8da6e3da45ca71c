//! Training with a codebook.

mod support;

use image::{Rgb, RgbImage};
use pyrograph_checkpoint::{SafetensorsFile, Weights};
use pyrograph_train::{Recipe, Run, VqTask};
use serde_json::json;

use support::image_folder;

/// The losses of three steps and the codebook after them, from batches of so many images.
fn train(batch_size: usize, gradient_accumulation: usize) -> (Vec<f64>, Vec<f32>) {
    let image = |number: u8| RgbImage::from_fn(8, 8, |x, y| Rgb([20 * number, 30 * x as u8, 255 - 30 * y as u8]));
    let folder = image_folder("captions.jsonl", (0..12).map(|number| (image(number), json!({ "text": "" }))));
    let path = folder.path().display();
    let table = format!(
        r#"
        data = {{ folder = '{path}', size = 8, batch_size = {batch_size} }}
        output = {{ folder = '{path}/run' }}
        trainer = {{ steps = 3, learning_rate = 1e-3, gradient_accumulation = {gradient_accumulation} }}
        codebook_decay = 0.5
        model = {{ block_out_channels = [8, 8], norm_num_groups = 4, latent_channels = 4, num_vq_embeddings = 6 }}
        "#
    );
    let recipe = Recipe::new(table.parse().expect("TOML")).expect("a recipe");
    let device = pyrograph::device("cpu").expect("the CPU is always there");
    let mut run = Run::<VqTask>::new(recipe, &device).expect("a run");
    let losses = (0..3).map(|_| run.step().expect("finite losses")).collect();
    run.export(&folder.path().join("model")).expect("the folder can be written");
    let weights = folder.path().join("model/diffusion_pytorch_model.safetensors");
    let weights = SafetensorsFile::open(weights.as_path()).expect("it was written");
    let codes = weights.read("quantize.embedding.weight").expect("there is a codebook");
    (losses, codes.convert::<f32>().try_to_vec().expect("floats"))
}

/// The codebook learns from all batches of a step: two of four images are one of eight.
#[test]
fn accumulated_batches_are_one_large_batch() {
    let ((expected, whole), (losses, codes)) = (train(8, 1), train(4, 2));
    for (loss, expected) in losses.iter().zip(&expected) {
        assert!((loss - expected).abs() < 1e-4 * expected, "{losses:?} instead of {expected}");
    }
    let worst = codes.iter().zip(&whole).map(|(code, expected)| (code - expected).abs()).fold(0.0, f32::max);
    assert!(worst < 2e-3, "codes differ by {worst}: {codes:?} instead of {whole:?}");
}
