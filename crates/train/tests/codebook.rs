//! Training with a codebook.

#![expect(clippy::disallowed_methods, reason = "files of a test need not last")]

use image::{Rgb, RgbImage};
use pyrograph_checkpoint::{SafetensorsFile, Weights};
use pyrograph_train::{Run, RunConfig, TaskRun, VqTask};

/// The losses of three steps and the codebook after them, from batches of so many images.
fn train(batch_size: usize, gradient_accumulation: usize) -> (Vec<f64>, Vec<f32>) {
    let folder = tempfile::tempdir().expect("there is a place for temporary files");
    let mut list = String::new();
    for number in 0..12_u8 {
        let image = RgbImage::from_fn(8, 8, |x, y| Rgb([20 * number, 30 * x as u8, 255 - 30 * y as u8]));
        image.save(folder.path().join(format!("{number}.png"))).expect("the folder can be written");
        list += &format!("{{\"file_name\": \"{number}.png\", \"text\": \"\"}}\n");
    }
    std::fs::write(folder.path().join("captions.jsonl"), list).expect("the folder can be written");
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
    let config = RunConfig::new(table.parse().expect("TOML")).expect("a run");
    let device = pyrograph::device("cpu").expect("the CPU is always there");
    let mut run = TaskRun::<VqTask>::new(config, &device).expect("a run");
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
