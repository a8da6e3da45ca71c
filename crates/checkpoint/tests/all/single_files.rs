use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use burn::tensor::TensorData;
use pyrograph_checkpoint::{
    Checkpoint, CheckpointError, Component, ElementType, Kind, Note, TensorInfo, TokenizerSource, Weights,
};
use serde_json::{Value, json};

use crate::{assert_same_weights, folder, message, read_json, reference};

/// A file of which only names, shapes and notes are known.
#[derive(Clone, Debug, Default)]
struct Listing {
    shapes: BTreeMap<String, Vec<usize>>,
    notes: BTreeMap<String, String>,
}

impl Listing {
    /// The published file of a version, as listed by `tests/reference/checkpoint.py`.
    fn published(version: &str) -> (Self, Value) {
        let json = read_json(&reference(&format!("checkpoint_{version}.json")));
        let shapes = serde_json::from_value(json["shapes"].clone()).unwrap();
        (Self { shapes, notes: BTreeMap::new() }, json)
    }

    fn with(mut self, name: &str, shape: &[usize]) -> Self {
        self.shapes.insert(name.to_owned(), shape.to_vec());
        self
    }

    fn without(mut self, prefix: &str) -> Self {
        self.shapes.retain(|name, _| !name.starts_with(prefix));
        self
    }

    fn noted(mut self, key: &str, text: &str) -> Self {
        self.notes.insert(key.to_owned(), text.to_owned());
        self
    }

    fn open(self) -> Result<Checkpoint, CheckpointError> {
        Checkpoint::from_weights(Arc::new(self))
    }
}

impl Weights for Listing {
    fn file(&self) -> &str {
        "listing"
    }

    fn names(&self) -> Vec<&str> {
        self.shapes.keys().map(String::as_str).collect()
    }

    fn info(&self, name: &str) -> Option<TensorInfo> {
        self.shapes.get(name).map(|shape| TensorInfo { dtype: ElementType::F16, shape: shape.clone() })
    }

    fn read(&self, name: &str) -> Result<TensorData, CheckpointError> {
        panic!("opening a checkpoint reads {name}")
    }

    fn note(&self, key: &str) -> Option<&str> {
        self.notes.get(key).map(String::as_str)
    }
}

fn parts(checkpoint: &Checkpoint) -> [(&'static str, &Component); 3] {
    [("te_text_model", &checkpoint.text_encoder), ("unet", &checkpoint.unet), ("vae", &checkpoint.vae)]
}

/// All names of the keymaps become names of diffusers; there are no others, and none is left over.
fn names_agree_with_the_keymap(version: &str, count: usize) {
    let (listing, _) = Listing::published(version);
    assert_eq!(listing.shapes.len(), count);
    let keymap = read_json(&reference(&format!("sd-keymaps/stable_diffusion_{version}.json")));
    let names =
        keymap["ldm_diffusers_keymap"].as_object().unwrap().values().map(|name| name.as_str().unwrap().to_owned());
    let fused = keymap["diffusers_ldm_operator_map"].as_object().unwrap().keys().cloned();
    let expected: BTreeSet<String> = names.chain(fused).collect();
    let checkpoint = listing.open().unwrap();
    let named = |(prefix, component): (&str, &Component)| {
        let separator = if prefix.starts_with("te") { "." } else { "_" };
        component.weights.names().into_iter().map(|name| format!("{prefix}{separator}{name}")).collect::<Vec<_>>()
    };
    let found: BTreeSet<String> = parts(&checkpoint).into_iter().flat_map(named).collect();
    assert_eq!(found, expected);
    assert!(checkpoint.unused.is_empty(), "{:?}", checkpoint.unused);
}

#[test]
fn all_names_of_stable_diffusion_1() {
    names_agree_with_the_keymap("sd1", 1130);
}

#[test]
fn all_names_of_stable_diffusion_2() {
    names_agree_with_the_keymap("sd2", 1168 + 46); // 46 more are fused projections, which the table has on its own
}

/// The same set of names is not enough: each tensor must have the right one. Different shapes for all tensors show
/// this.
#[test]
fn every_name_belongs_to_its_own_tensor() {
    for version in ["sd1", "sd2"] {
        let keymap = read_json(&reference(&format!("sd-keymaps/stable_diffusion_{version}.json")));
        let keymap = keymap["ldm_diffusers_keymap"].as_object().unwrap();
        let (mut listing, _) = Listing::published(version);
        for (index, shape) in listing.shapes.values_mut().enumerate() {
            shape.push(1_000_000 + index);
        }
        let marks: BTreeMap<String, usize> =
            listing.shapes.iter().map(|(name, shape)| (name.clone(), shape[shape.len() - 1])).collect();
        let checkpoint = listing.open().unwrap();
        for (ldm, diffusers) in keymap {
            let diffusers = diffusers.as_str().unwrap();
            let find = |(prefix, component): (&str, &Component)| {
                component.weights.info(diffusers.strip_prefix(prefix)?.get(1..)?)
            };
            let info = parts(&checkpoint).into_iter().find_map(find).unwrap();
            assert_eq!(info.shape.last(), Some(&marks[ldm]), "{ldm} should be {diffusers}");
        }
    }
}

#[test]
fn configurations_are_those_of_the_published_folders() {
    for version in ["sd1", "sd2"] {
        let (listing, expected) = Listing::published(version);
        let checkpoint = listing.open().unwrap();
        let found = [("text_encoder", &checkpoint.text_encoder), ("unet", &checkpoint.unet), ("vae", &checkpoint.vae)];
        for (part, component) in found {
            for (key, value) in expected[part].as_object().unwrap() {
                assert_eq!(&component.config[key], value, "{version} {part} {key}");
            }
        }
        assert_eq!(checkpoint.unet.config["upcast_attention"], false, "attention is always computed in float32");
    }
}

#[test]
fn schedules_and_tokenizers_of_both_versions() {
    let versions =
        [("sd1", "PNDMScheduler", "epsilon", "<|endoftext|>"), ("sd2", "DDIMScheduler", "v_prediction", "!")];
    for (version, class, prediction, pad) in versions {
        let checkpoint = Listing::published(version).0.open().unwrap();
        let expected = json!({
            "_class_name": class, "prediction_type": prediction, "num_train_timesteps": 1000,
            "beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "trained_betas": null,
            "steps_offset": 1, "set_alpha_to_one": false, "skip_prk_steps": true, "clip_sample": false,
        });
        assert_eq!(checkpoint.scheduler_config, expected, "no timestep_spacing: each scheduler takes its own");
        assert_eq!(checkpoint.tokenizer, TokenizerSource::Clip { pad_token: pad.to_owned() });
    }
}

#[test]
fn what_the_unet_predicts() {
    let prediction = |listing: Listing| {
        let checkpoint = listing.open().unwrap();
        let config = checkpoint.scheduler_config;
        let zero_snr = config["rescale_betas_zero_snr"] == true;
        (
            config["prediction_type"].as_str().unwrap().to_owned(),
            zero_snr,
            checkpoint.unet.config["sample_size"].as_u64().unwrap(),
        )
    };
    let [epsilon, velocity] = ["epsilon", "v_prediction"].map(str::to_owned);
    let [sd1, sd2] = ["sd1", "sd2"].map(|version| Listing::published(version).0);
    assert_eq!(prediction(sd1.clone()), (epsilon.clone(), false, 64));
    assert_eq!(prediction(sd1.clone().with("v_pred", &[])), (velocity.clone(), false, 64));
    assert_eq!(prediction(sd1.clone().with("v_pred", &[]).with("ztsnr", &[])), (velocity.clone(), true, 64));
    assert_eq!(prediction(sd1.noted("modelspec.prediction_type", "v")), (velocity.clone(), false, 64));
    assert_eq!(prediction(sd2.clone()), (velocity.clone(), false, 96));
    assert_eq!(prediction(sd2.clone().noted("global_step", "110000")), (velocity, false, 96));
    assert_eq!(prediction(sd2.clone().noted("global_step", "875000")), (epsilon.clone(), false, 64));
    assert_eq!(prediction(sd2.clone().noted("modelspec.prediction_type", "epsilon")), (epsilon.clone(), false, 64));
    let inpainting = sd2.with("model.diffusion_model.input_blocks.0.0.weight", &[320, 9, 3, 3]);
    assert_eq!(inpainting.clone().open().unwrap().unet.config["in_channels"], 9);
    assert_eq!(prediction(inpainting), (epsilon, false, 64));
}

/// There are two kinds of Stable Diffusion 2, and a file without a marker may be either.
#[test]
fn a_guess_at_the_prediction_is_said() {
    let notes = |listing: Listing| listing.open().unwrap().notes;
    let [sd1, sd2] = ["sd1", "sd2"].map(|version| Listing::published(version).0);
    assert_eq!(notes(sd1), []);
    assert_eq!(notes(sd2.clone()), [Note::AssumedPrediction { prediction_type: "v_prediction" }]);
    assert_eq!(notes(sd2.clone().noted("global_step", "110000")), []);
    assert_eq!(notes(sd2.clone().noted("modelspec.prediction_type", "epsilon")), []);
    assert_eq!(notes(sd2.clone().with("v_pred", &[])), []);
    assert_eq!(notes(sd2.with("model.diffusion_model.input_blocks.0.0.weight", &[320, 9, 3, 3])), []);
}

/// A folder, a pickle and a safetensors file that the Python scripts made of the same model.
#[test]
fn the_same_model_in_every_form() {
    let from_folder = Checkpoint::open(&reference("tiny-sd1")).unwrap();
    let from_pickle = Checkpoint::open(&reference("tiny-sd1.ckpt")).unwrap();
    let pickled = pyrograph_checkpoint::open_weights(&reference("tiny-sd1.ckpt")).unwrap();
    let tensors: Vec<_> = pickled.names().into_iter().map(|name| (name, pickled.read(name).unwrap())).collect();
    let tensors: Vec<_> = tensors.into_iter().filter(|(_, data)| data.dtype() == burn::tensor::DType::F16).collect();
    let folder = folder(&[]);
    pyrograph_checkpoint::save_tensors(&folder.path().join("m.safetensors"), &tensors).unwrap();
    let from_safetensors = Checkpoint::open(&folder.path().join("m.safetensors")).unwrap();

    let unused: Vec<_> = from_pickle.unused.iter().map(String::as_str).collect();
    assert_eq!(unused, ["model_ema.decay", "model_ema.diffusion_modelout2bias", "model_ema.num_updates"]);
    for single in [&from_pickle, &from_safetensors] {
        for ((part, found), (_, expected)) in parts(single).into_iter().zip(parts(&from_folder)) {
            assert_same_elements(found, expected);
            for (key, value) in found.config.as_object().unwrap() {
                let not_in_shapes = ["sample_size", "projection_dim"].contains(&key.as_str());
                assert!(
                    not_in_shapes || &expected.config[key] == value,
                    "{part}: {key} is {value}, not {}",
                    expected.config[key]
                );
            }
        }
    }
    assert_same_weights(from_pickle.unet.weights.as_ref(), from_safetensors.unet.weights.as_ref());
}

/// Names, types and elements are equal; the autoencoder's attention has 1x1 convolutions in single files.
fn assert_same_elements(found: &Component, expected: &Component) {
    assert_eq!(found.weights.names(), expected.weights.names());
    for name in expected.weights.names() {
        let (found, expected) = (found.weights.read(name).unwrap(), expected.weights.read(name).unwrap());
        assert_eq!(found.dtype(), expected.dtype(), "{name}");
        assert_eq!(found.as_bytes(), expected.as_bytes(), "{name}");
    }
}

#[test]
fn a_tiny_stable_diffusion_2() {
    let checkpoint = Checkpoint::open(&reference("tiny-sd2.safetensors")).unwrap();
    assert_eq!(checkpoint.unet.config["attention_head_dim"], json!([1, 1]));
    assert_eq!(checkpoint.unet.config["use_linear_projection"], true);
    assert_eq!(checkpoint.text_encoder.config["num_hidden_layers"], 2, "the last of three blocks is not used");
    assert_eq!(checkpoint.text_encoder.config["hidden_act"], "gelu");
    assert!(checkpoint.unet.weights.info("up_blocks.0.upsamplers.0.conv.weight").is_some(), "behind an attention");
    let fused = pyrograph_checkpoint::open_weights(&reference("tiny-sd2.safetensors")).unwrap();
    let fused = fused.read("cond_stage_model.model.transformer.resblocks.1.attn.in_proj_weight").unwrap();
    let parts = ["q", "k", "v"].map(|part| format!("encoder.layers.1.self_attn.{part}_proj.weight"));
    let parts = parts.map(|part| checkpoint.text_encoder.weights.read(&part).unwrap().as_bytes().to_vec());
    assert_eq!(parts.concat(), fused.as_bytes());
    let unused: Vec<_> = checkpoint.unused.iter().filter(|name| !name.starts_with("model_ema.")).collect();
    assert!(unused.is_empty(), "{unused:?}");
}

/// Files written by diffusers' converter have only the blocks that are used; those of the original code have one more.
#[test]
fn the_last_block_of_open_clip() {
    let layers = |listing: Listing| listing.open().unwrap().text_encoder.config["num_hidden_layers"].as_u64().unwrap();
    let (listing, _) = Listing::published("sd2");
    assert_eq!(layers(listing.clone()), 23);
    let block = "cond_stage_model.model.transformer.resblocks.23.ln_1.weight";
    let whole = listing.with(block, &[1024]).with("cond_stage_model.model.text_projection", &[1024, 1024]);
    assert_eq!(layers(whole.clone()), 23);
    assert!(whole.open().unwrap().unused.is_empty(), "nobody misses it");
}

#[test]
fn what_is_left_over_is_listed() {
    let extra =
        ["model_ema.diffusion_modeltime_embed0weight", "first_stage.typo", "model.diffusion_model.new_layer.weight"];
    let constants = [
        "betas",
        "alphas_cumprod_prev",
        "sqrt_one_minus_alphas_cumprod",
        "posterior_variance",
        "cond_stage_model.logit_scale",
    ];
    let (mut listing, _) = Listing::published("sd1");
    for name in extra.iter().chain(&constants) {
        listing = listing.with(name, &[1]);
    }
    let position_ids = "cond_stage_model.transformer.text_model.embeddings.position_ids";
    let checkpoint = listing.with(position_ids, &[1, 77]).open().unwrap();
    assert_eq!(checkpoint.unused, ["first_stage.typo", "model.diffusion_model.new_layer.weight", extra[0]]);
}

#[test]
fn single_files_that_lack_networks() {
    let (sd1, _) = Listing::published("sd1");
    let (unet, vae, text) = ("model.diffusion_model.", "first_stage_model.", "cond_stage_model.");
    message(sd1.clone().without(unet).open(), &["listing", "no UNet", unet]);
    message(sd1.clone().without(vae).open(), &["listing", "no autoencoder", vae]);
    message(sd1.clone().without(text).open(), &["listing", "no text encoder", text]);
    message(Listing::default().open(), &["no UNet", "no autoencoder", "no text encoder"]);
    let alone = |listing: Listing| match listing.open() {
        Err(CheckpointError::Kind { kind, .. }) => kind,
        other => panic!("{other:?}"),
    };
    assert_eq!(alone(sd1.clone().without(unet).without(text)), Kind::Vae);
    assert_eq!(alone(sd1.clone().without(vae).without(text)), Kind::UNet);
    assert_eq!(alone(sd1.clone().with("model.diffusion_model.label_emb.0.0.weight", &[1])), Kind::OtherStableDiffusion);
    assert_eq!(alone(sd1.with("scaled_fp8", &[0])), Kind::ScaledFloat8, "an image without the scales would be wrong");
}

#[test]
fn single_files_with_strange_shapes() {
    let (sd1, _) = Listing::published("sd1");
    let flat = sd1.clone().with("model.diffusion_model.input_blocks.0.0.weight", &[320]);
    message(flat.open(), &["listing", "conv_in.weight", "[320]", "2 dimensions"]);
    let scalar = sd1.clone().with("cond_stage_model.transformer.text_model.embeddings.token_embedding.weight", &[]);
    message(scalar.open(), &["token_embedding.weight", "[]"]);
    let cut = sd1.clone().without("model.diffusion_model.middle_block");
    message(cut.open(), &["mid_block.attentions.0", "missing"]);
    let endless =
        sd1.without("model.diffusion_model.input_blocks.3.0.op").without("model.diffusion_model.input_blocks.6.0.op");
    let far = endless.with("model.diffusion_model.input_blocks.999999999.0.op.weight", &[1]);
    assert!(far.open().is_ok(), "loading will name what is missing");
}
