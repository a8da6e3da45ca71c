use std::path::Path;
use std::sync::Arc;

use pyrograph_checkpoint::{Checkpoint, Component, Part, TokenizerSource, View, Weights, open_weights};
use serde_json::json;

use crate::{folder, message, reference, safetensors_of};

const CONFIG: (&str, &[u8]) = ("config.json", b"{}");

fn one(value: f32) -> Vec<u8> {
    safetensors_of(&[("weight", &[1], &[value])])
}

fn weight(component: &Component) -> f32 {
    component.weights.read("weight").unwrap().try_into_vec::<f32>().unwrap()[0]
}

#[test]
fn a_published_folder() {
    let checkpoint = Checkpoint::open(&reference("tiny-sd1")).unwrap();
    assert_eq!(checkpoint.scheduler_config["_class_name"], "PNDMScheduler");
    assert_eq!(checkpoint.unet.config["cross_attention_dim"], 6);
    assert_eq!(checkpoint.vae.config["_class_name"], "AutoencoderKL");
    assert!(checkpoint.unused.is_empty());
    assert_eq!(checkpoint.short_hash().unwrap(), None);
    let text = checkpoint.text_encoder.weights.names();
    assert!(text.contains(&"encoder.layers.1.self_attn.q_proj.weight"), "without `text_model.`");
    assert!(!text.iter().any(|name| name.contains("position_ids")));
    let vae = checkpoint.vae.weights.names();
    for (name, old) in [("to_q", "query"), ("to_k", "key"), ("to_v", "value"), ("to_out.0", "proj_attn")] {
        assert!(vae.contains(&format!("decoder.mid_block.attentions.0.{name}.weight").as_str()), "{old} is now {name}");
    }
    assert!(!vae.iter().any(|name| name.contains("query") || name.contains("proj_attn")));
}

/// The files of a folder with empty configurations.
fn smallest<'a>(scheduler: &'a [u8], text_encoder: &'a [u8], weights: &'a [u8]) -> Vec<(&'a str, &'a [u8])> {
    vec![
        ("model_index.json", br#"{"_class_name":"StableDiffusionPipeline"}"#),
        ("scheduler/scheduler_config.json", scheduler),
        ("text_encoder/config.json", text_encoder),
        ("text_encoder/model.safetensors", weights),
        ("unet/config.json", b"{}"),
        ("unet/model.safetensors", weights),
        ("vae/config.json", b"{}"),
        ("vae/model.safetensors", weights),
    ]
}

#[test]
fn configurations_as_python_writes_them() {
    let scheduler = br#"{"lambda_min_clipped": -Infinity, "note": "-Infinity \" NaN"}"#;
    let folder = folder(&smallest(scheduler, b"{}", &one(0.0)));
    let config = Checkpoint::open(folder.path()).unwrap().scheduler_config;
    assert_eq!(config, json!({ "lambda_min_clipped": null, "note": "-Infinity \" NaN" }));
}

#[test]
fn the_tokenizer_of_a_folder() {
    let tokenizer = |files: &[(&str, &[u8])], activation: &str| {
        let unet = one(0.0);
        let config = format!(r#"{{"hidden_act":"{activation}"}}"#);
        let mut all = smallest(b"{}", config.as_bytes(), &unet);
        all.extend(files);
        Checkpoint::open(folder(&all).path()).unwrap().tokenizer
    };
    let clip = |pad: &str| TokenizerSource::Clip { pad_token: pad.to_owned() };
    assert_eq!(tokenizer(&[], "quick_gelu"), clip("<|endoftext|>"));
    assert_eq!(tokenizer(&[], "gelu"), clip("!"));
    let files = tokenizer(
        &[
            ("tokenizer/vocab.json", b"{}"),
            ("tokenizer/merges.txt", b"a b"),
            ("tokenizer/special_tokens_map.json", b"{}"),
        ],
        "gelu",
    );
    let TokenizerSource::Files(files) = files else { panic!("the folder has a vocabulary") };
    assert_eq!(files.vocab_and_merges, Some(("{}".to_owned(), "a b".to_owned())));
    assert_eq!(files.special_tokens_map.as_deref(), Some("{}"));
    assert_eq!((files.tokenizer, files.config), (None, None));
}

/// The plain file is preferred, then variants, and safetensors before pickles.
#[test]
fn the_file_with_the_weights() {
    let [plain, half, brain, text] = [1.0, 2.0, 3.0, 4.0].map(one);
    let files: [(&str, &[u8]); 4] = [
        ("diffusion_pytorch_model.safetensors", &plain),
        ("diffusion_pytorch_model.fp16.safetensors", &half),
        ("diffusion_pytorch_model.bf16.safetensors", &brain),
        ("model.fp16.safetensors", &text),
    ];
    let opened =
        |files: &[(&str, &[u8])]| weight(&Component::open(folder(&[files, &[CONFIG]].concat()).path()).unwrap());
    assert_eq!(opened(&files), 1.0);
    assert_eq!(opened(&files[1..]), 2.0);
    assert_eq!(opened(&files[2..]), 4.0);
    assert_eq!(opened(&files[2..3]), 3.0);
    let pickle = std::fs::read(reference("checkpoint_zip.pt")).unwrap();
    let component = folder(&[CONFIG, ("diffusion_pytorch_model.bin", &pickle)]);
    assert!(Component::open(component.path()).unwrap().weights.info("half").is_some());
}

#[test]
fn weights_in_several_files() {
    let index = json!({"weight_map": {"a": "x-1.safetensors", "b": "x-2.safetensors"}}).to_string();
    let (first, second) =
        (safetensors_of(&[("a", &[1], &[1.0])]), safetensors_of(&[("b", &[1], &[2.0]), ("c", &[1], &[3.0])]));
    let folder = folder(&[
        CONFIG,
        ("diffusion_pytorch_model.safetensors.index.json", index.as_bytes()),
        ("x-1.safetensors", &first),
        ("x-2.safetensors", &second),
    ]);
    let weights = Component::open(folder.path()).unwrap().weights;
    assert_eq!(weights.names(), ["a", "b"]);
    assert_eq!(weights.read("b").unwrap().try_into_vec::<f32>().unwrap(), [2.0]);
}

#[test]
fn an_index_that_is_wrong() {
    let shard = safetensors_of(&[("a", &[1], &[1.0])]);
    let open = |index: &str| {
        let folder = folder(&[
            ("sub/x.index.json", index.as_bytes()),
            ("sub/a.safetensors", &shard),
            ("secret.safetensors", &shard),
        ]);
        open_weights(&folder.path().join("sub/x.index.json"))
    };
    let about = ["x.index.json", "outside of the index's folder"];
    let absolute = if cfg!(windows) { r"C:\\a.safetensors" } else { "/etc/passwd" };
    for outside in ["../secret.safetensors", "../../etc/passwd", absolute, ".", "..", "", "../sub/a.safetensors"] {
        message(open(&format!(r#"{{"weight_map":{{"a":"{outside}"}}}}"#)), &about);
    }
    message(open(r#"{"weight_map":{"a":"absent.safetensors"}}"#), &["absent.safetensors"]);
    message(open(r#"{"weight_map":{"a":"x.index.json"}}"#), &["x.index.json", "no tensors"]);
    message(open(r#"{"weight_map":{"b":"a.safetensors"}}"#), &["`b`", "a.safetensors"]);
    message(open(r#"{"weight_map":{"a":7}}"#), &["x.index.json", "weight_map"]);
    message(open("{}"), &["x.index.json", "weight_map"]);
    message(open("{"), &["x.index.json", "not JSON"]);
}

#[test]
fn folders_that_are_no_checkpoint() {
    let open = |files: &[(&str, &[u8])]| Checkpoint::open(folder(files).path());
    let index = |text: &'static [u8]| -> [(&str, &[u8]); 1] { [("model_index.json", text)] };
    message(open(&[]), &["folder", "model_index.json"]);
    message(open(&index(b"{")), &["model_index.json", "not JSON"]);
    message(open(&index(b"[]")), &["model_index.json", "object"]);
    message(open(&index(b"\xff\xfe")), &["model_index.json", "UTF-8"]);
    message(open(&index(br#"{"_class_name": 3}"#)), &["model_index.json", "_class_name"]);
    for class in ["StableDiffusionXLPipeline", "FluxPipeline", "StableDiffusion3Pipeline"] {
        let json = format!(r#"{{"_class_name": "{class}"}}"#);
        message(
            open(&[("model_index.json", json.as_bytes())]),
            &["model_index.json", class, "Stable Diffusion 1.x and 2.x"],
        );
    }
    message(open(&index(br#"{"_class_name": "StableDiffusionPipeline"}"#)), &["text_encoder", "config.json"]);
    message(Checkpoint::open(Path::new("no/such/model")), &["no/such/model"]);
}

#[test]
fn components_that_lack_a_part() {
    let weights = one(1.0);
    let open = |files: &[(&str, &[u8])]| Component::open(folder(files).path());
    message(open(&[("model.safetensors", &weights)]), &["config.json"]);
    message(open(&[CONFIG]), &["no weights", "model.safetensors"]);
    message(open(&[("config.json", b"{"), ("model.safetensors", &weights)]), &["config.json", "not JSON"]);
    message(open(&[("config.json", b"3"), ("model.safetensors", &weights)]), &["config.json", "object"]);
    message(open(&[("config.json", "[".repeat(1 << 20).as_bytes())]), &["config.json"]);
}

#[test]
fn a_view_renames_and_splits() {
    let values: Vec<f32> = (0..12).map(|value| value as f32).collect();
    let folder = folder(&[(
        "w",
        &safetensors_of(&[("fused", &[6, 2], &values), ("odd", &[4], &[0.0; 4]), ("other", &[1], &[0.0])]),
    )]);
    let weights: Arc<dyn Weights> = open_weights(&folder.path().join("w")).unwrap();
    let view = View::new(weights, |name| match name {
        "fused" => (0..3).map(|index| (format!("part{index}"), Part::Third(index))).collect(),
        "odd" => vec![("third".to_owned(), Part::Third(0))],
        _ => Vec::new(),
    });
    assert_eq!(view.names(), ["part0", "part1", "part2", "third"]);
    assert_eq!(view.info("part1").unwrap().shape, [2, 2]);
    assert_eq!(view.read("part1").unwrap().try_into_vec::<f32>().unwrap(), [4.0, 5.0, 6.0, 7.0]);
    message(view.read("third"), &["`odd`", "[4]"]);
    message(view.read("other"), &["`other`", "missing"]);
}
