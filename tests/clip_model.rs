//! A CLIP model with both towers on every device, compared with transformers; see `tests/reference/clip_model.py`.

use burn::tensor::{DType, Tensor};
use pyrograph::{Clip, read_image};
use pyrograph_checkpoint::{ClipCheckpoint, load};
use pyrograph_clip::ClipConfig;

use crate::support::{Dump, assert_close, devices, json, reference};

const PICTURES: [&str; 2] = ["wide", "small"];

#[test]
fn features_and_similarities_are_those_of_transformers() {
    let (dump, results) = (Dump::open("clip_model.safetensors"), json("clip_model.json"));
    let checkpoint = ClipCheckpoint::open(&reference("tiny-clip")).expect("the reference is committed");
    let config = ClipConfig::from_json(&checkpoint.model.config.to_string()).expect("a configuration");
    let ids: Vec<Vec<u32>> = serde_json::from_value(results["ids"].clone()).expect("token ids");
    for device in devices() {
        let mut model = config.init(device.tensors());
        let report = load(&mut model, checkpoint.model.weights.as_ref(), DType::F32).expect("the weights fit");
        assert!(report.unused.is_empty(), "{:?}", report.unused);
        let pixels = PICTURES.map(|name| dump.tensor::<4>(&format!("{name}/pixels"), &device));
        let images = model.image_features(Tensor::cat(pixels.to_vec(), 0));
        let texts = model.text_features(&ids);
        let similarity = model.similarity(images.clone(), texts.clone());
        for (name, actual) in [("image_features", images), ("text_features", texts), ("logits_per_image", similarity)] {
            assert_close(&format!("{name} on {}", device.name()), actual.into_data(), dump.data(name), 1e-4);
        }
    }
}

/// From the files of image, tokenizer and model to the numbers that a user sees. One value of the wide image is rounded
/// to the next byte; the tolerances include its effect through the random weights.
#[test]
fn probabilities_and_scores_are_those_of_transformers() {
    let results = json("clip_model.json");
    let texts: Vec<String> = serde_json::from_value(results["texts"].clone()).expect("texts");
    for device in devices() {
        let clip = Clip::from_path(reference("tiny-clip"), &device).expect("the reference is committed");
        for name in PICTURES {
            let image = read_image(reference(&format!("tiny-clip/{name}.png"))).expect("an image");
            let probabilities = clip.classify(&image, &texts).expect("probabilities");
            assert!((probabilities.iter().sum::<f64>() - 1.0).abs() < 1e-9);
            for (i, text) in texts.iter().enumerate() {
                let close = |actual: f64, of: &str, tolerance: f64| {
                    let expected = results[of][name][i].as_f64().expect("a number");
                    assert!((actual - expected).abs() < tolerance, "{of} of {name} and {text:?}: {actual}, {expected}");
                };
                close(probabilities[i], "probabilities", 2e-3);
                close(clip.score(&image, text).expect("a cosine"), "cosines", 3e-4);
            }
        }
        assert_eq!(clip.dropped(&texts[0]).expect("tokens"), None);
        assert!(texts[3].ends_with(&clip.dropped(&texts[3]).expect("tokens").expect("it is too long")));
    }
}
