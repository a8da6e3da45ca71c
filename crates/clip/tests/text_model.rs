//! The text tower against `CLIPTextModel` of transformers, see `tests/reference/clip.py`.

#[path = "../../../tests/support/distance.rs"]
mod distance;

use std::collections::HashMap;

use burn::store::{FloatCastAdapter, ModuleSnapshot, SafetensorsStore};
use burn::tensor::{DType, Device, Tensor, TensorData};
use pyrograph_clip::{ClipTextConfig, ClipTextModel};
use safetensors::SafeTensors;
use serde::Deserialize;

use distance::Distance;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/reference");

#[derive(Deserialize)]
struct Case {
    config: serde_json::Value,
    ids: Vec<Vec<u32>>,
}

fn cases() -> HashMap<String, Case> {
    serde_json::from_str(&std::fs::read_to_string(format!("{FOLDER}/clip.json")).unwrap()).unwrap()
}

fn load(name: &str, case: &Case, dtype: DType) -> ClipTextModel {
    let mut store = SafetensorsStore::from_file(format!("{FOLDER}/clip.safetensors"))
        .with_key_remapping(format!("^{name}/weights/"), "")
        .with_from_adapter(FloatCastAdapter::to(dtype));
    let mut model = ClipTextConfig::from_json(&case.config.to_string()).unwrap().init(&Device::flex());
    let result = model.load_from(&mut store).unwrap();
    assert!(result.missing.is_empty() && result.errors.is_empty(), "{result}");
    model
}

/// The distance of `actual` to the reference of this name.
fn distance<const D: usize>(actual: Tensor<D>, reference: &SafeTensors, name: &str) -> Distance {
    let expected = reference.tensor(name).unwrap();
    assert_eq!(actual.dims().as_slice(), expected.shape(), "{name}");
    let expected = TensorData::from_bytes_vec(expected.data().to_vec(), actual.dims(), DType::F32);
    Distance::between(actual.into_data(), expected)
}

/// Every case and `clip_skip`, with weights of this type.
fn assert_reproduced(dtype: DType, tolerance: f64) {
    let bytes = std::fs::read(format!("{FOLDER}/clip.safetensors")).unwrap();
    let reference = SafeTensors::deserialize(&bytes).unwrap();
    let mut compared = 0;
    for (name, case) in cases() {
        let model = load(&name, &case, dtype);
        for clip_skip in 0..=2 {
            let hidden = format!("{name}/last_hidden_state/{clip_skip}");
            if reference.tensor(&hidden).is_err() {
                continue;
            }
            let output = model.forward(&case.ids, clip_skip);
            assert_eq!(output.last_hidden_state.dtype(), dtype);
            let distances = [
                distance(output.last_hidden_state, &reference, &hidden),
                distance(output.pooled_output, &reference, &format!("{name}/pooled_output")),
            ];
            assert!(distances.iter().all(|distance| distance.within(tolerance)), "{hidden}, {dtype:?}: {distances:?}");
            compared += distances.len();
        }
    }
    assert_eq!(compared, 24);
}

#[test]
fn hidden_states_and_pooled_outputs_are_those_of_transformers() {
    assert_reproduced(DType::F32, 1e-5);
}

#[test]
fn half_precision_weights_stay_close() {
    assert_reproduced(DType::F16, 1e-2);
}

#[test]
fn a_token_depends_on_those_before_it_only() {
    let cases = cases();
    let model = load("sd2", &cases["sd2"], DType::F32);
    let mut ids = cases["sd2"].ids.clone();
    let before = model.forward(&ids, 0).last_hidden_state;
    ids[1][40] = 3;
    let after = model.forward(&ids, 0).last_hidden_state;
    let changed = (after - before).abs().max_dim(2).narrow(0, 1, 1).into_data().try_to_vec::<f32>().unwrap();
    assert!(changed[..40].iter().all(|&difference| difference == 0.0));
    assert!(changed[40..].iter().all(|&difference| difference > 0.0));
}

#[test]
fn absent_fields_have_the_defaults_of_transformers() {
    let config = ClipTextConfig::from_json("{}").unwrap();
    assert_eq!(config, ClipTextConfig::default());
    assert_eq!(config.vocab_size * config.hidden_size, 49408 * 512);
}

#[test]
fn impossible_sizes_are_named() {
    let refusal = |json: &str| ClipTextConfig::from_json(json).unwrap_err().to_string();
    assert!(refusal(r#"{"hidden_size": 0}"#).ends_with("hidden_size is 0, 1 to 65536 is possible"));
    assert!(refusal(r#"{"vocab_size": 99999999999}"#).contains("vocab_size is 99999999999"));
    assert!(refusal(r#"{"num_hidden_layers": 100000}"#).contains("num_hidden_layers is 100000"));
    assert!(refusal(r#"{"max_position_embeddings": 1}"#).contains("max_position_embeddings is 1"));
    assert!(refusal(r#"{"num_attention_heads": 0}"#).contains("num_attention_heads is 0"));
    let heads = refusal(r#"{"hidden_size": 64, "num_attention_heads": 5}"#);
    assert!(heads.ends_with("num_attention_heads is 5, a divisor of hidden_size 64 is expected"));
    assert!(refusal(r#"{"layer_norm_eps": -1e-5}"#).contains("layer_norm_eps is -0.00001"));
    assert!(refusal(r#"{"hidden_act": "relu"}"#).contains("unknown variant `relu`, expected `quick_gelu` or `gelu`"));
    assert!(refusal(r#"{"hidden_size": -5}"#).starts_with("text_encoder/config.json: hidden_size: invalid value"));
    assert!(refusal("{").starts_with("text_encoder/config.json: EOF"));
}
