//! The keys of a configuration that are read, skipped, noted and refused.

use pyrograph_checkpoint::{Checkpoint, CheckpointError, Defaults, Note, read_config, scheduler_config};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{folder, read_json, reference, safetensors_of};

/// A network that reads one key.
#[derive(Debug, Deserialize)]
struct Network {
    channels: Option<usize>,
}

fn unet(config: Value) -> Result<(Network, Vec<Note>), CheckpointError> {
    read_config("unet/config.json", "UNet2DConditionModel", &config)
}

/// The keys that have notes.
fn noted(notes: &[Note]) -> Vec<&str> {
    let keys = notes.iter().filter_map(|note| match note {
        Note::IgnoredKey { key, .. } => Some(key.as_str()),
        _ => None,
    });
    keys.collect()
}

#[test]
fn every_key_is_read_passed_over_or_noted() {
    let config = json!({
        "channels": 3, "_class_name": "UNet2DConditionModel", "dropout": 0.1, "conv_in_kernel": 3.0, "act_fn": "swish",
        "time_cond_proj_dim": null, "novelty": 1, "_private": 2, "nothing": null,
    });
    let (network, notes) = unet(config).unwrap();
    assert_eq!(network.channels, Some(3));
    assert_eq!(noted(&notes), ["novelty"]);
    assert!(unet(json!({"channels": "three"})).is_err());
}

/// diffusers lists keys there that nobody set.
#[test]
fn defaults_are_not_read() {
    let (network, _) = unet(json!({"channels": 3, "_use_default_values": ["channels"]})).unwrap();
    assert_eq!(network.channels, None);
}

/// One value per key that asks for another network.
#[test]
fn settings_that_are_not_implemented_are_refused() {
    let unets = json!({
        "act_fn": "mish", "addition_embed_type": "text_time", "attention_type": "gated", "center_input_sample": true,
        "class_embed_type": "timestep", "class_embeddings_concat": true, "conv_in_kernel": 1, "conv_out_kernel": 1,
        "cross_attention_norm": "layer_norm", "downsample_padding": 0, "dual_cross_attention": true, "encoder_hid_dim": 768,
        "encoder_hid_dim_type": "text_proj", "mid_block_scale_factor": 2, "num_attention_heads": 8, "num_class_embeds": 10,
        "resnet_out_scale_factor": 2.0, "resnet_skip_time_act": true, "resnet_time_scale_shift": "scale_shift",
        "reverse_transformer_layers_per_block": [1], "time_cond_proj_dim": 256, "time_embedding_act_fn": "silu",
        "time_embedding_dim": 512, "time_embedding_type": "fourier", "timestep_post_act": "silu",
    });
    let autoencoders =
        json!({"down_block_types": ["DownEncoderBlock2D", "AttnDownEncoderBlock2D"], "up_block_types": ["UpBlock2D"]});
    let tiny = json!({"shift_factor": 0.1, "upsample_fn": "bilinear", "upsampling_scaling_factor": 3});
    let towers = json!({"model_type": "t5"});
    let tokenizers = json!({"padding_side": "left", "truncation_side": "left", "split_special_tokens": true, "add_bos_token": false});
    let classes = [
        ("UNet2DConditionModel", unets),
        ("AutoencoderKL", autoencoders),
        ("AutoencoderTiny", tiny),
        ("CLIPTextModel", towers),
        ("CLIPTokenizer", tokenizers),
    ];
    for (class, keys) in classes {
        for (key, value) in keys.as_object().unwrap() {
            match read_config::<Network>("config.json", class, &json!({ key: value })) {
                Err(CheckpointError::Setting { key: found, .. }) => assert_eq!(found, *key),
                other => panic!("{class} {key}: {other:?}"),
            }
        }
    }
}

/// Files that diffusers and transformers wrote produce no notes.
#[test]
fn published_configurations_are_known() {
    let parts = [("unet", "UNet2DConditionModel"), ("vae", "AutoencoderKL"), ("text_encoder", "CLIPTextModel")];
    let own = [
        "attention_head_dim",
        "block_out_channels",
        "cross_attention_dim",
        "down_block_types",
        "flip_sin_to_cos",
        "freq_shift",
        "in_channels",
        "layers_per_block",
        "mid_block_type",
        "norm_eps",
        "norm_num_groups",
        "only_cross_attention",
        "out_channels",
        "sample_size",
        "transformer_layers_per_block",
        "up_block_types",
        "upcast_attention",
        "use_linear_projection",
        "act_fn",
        "latent_channels",
        "mid_block_add_attention",
        "scaling_factor",
        "use_post_quant_conv",
        "use_quant_conv",
        "eos_token_id",
        "hidden_act",
        "hidden_size",
        "intermediate_size",
        "layer_norm_eps",
        "max_position_embeddings",
        "num_attention_heads",
        "num_hidden_layers",
        "projection_dim",
        "vocab_size",
    ];
    for (part, class) in parts {
        let config = read_json(&reference("tiny-sd1").join(part).join("config.json"));
        let (_, notes) = read_config::<Network>(part, class, &config).unwrap();
        let unknown: Vec<_> = noted(&notes).into_iter().filter(|key| !own.contains(key)).collect();
        assert!(unknown.is_empty(), "{part}: {unknown:?}");
    }
}

/// The keys of each class are those of its constructor in diffusers, which `tests/reference/scheduler_keys.py` lists.
#[test]
fn schedulers_see_the_keys_of_their_class() {
    let classes = read_json(&reference("scheduler_keys.json"));
    for (class, keys) in classes.as_object().unwrap() {
        let defaults = keys.as_object().unwrap();
        let (seen, notes) = scheduler_config("file", class, keys).unwrap();
        assert_eq!(
            seen.as_object().unwrap().keys().collect::<Vec<_>>(),
            defaults.keys().collect::<Vec<_>>(),
            "{class}"
        );
        assert!(notes.is_empty(), "{class}: {notes:?}");
        for (other, keys) in classes.as_object().unwrap() {
            let (seen, notes) = scheduler_config("file", class, keys).unwrap();
            let foreign = seen.as_object().unwrap().keys().find(|key| !defaults.contains_key(*key));
            assert!(foreign.is_none() && notes.is_empty(), "{class} with the keys of {other}: {foreign:?} {notes:?}");
        }
    }
    let (seen, notes) =
        scheduler_config("file", "PNDMScheduler", &json!({"_class_name": "X", "use_beta_sigmas": true, "novelty": 1}))
            .unwrap();
    assert_eq!((seen, noted(&notes)), (json!({"_class_name": "X"}), vec!["novelty"]));
}

#[test]
fn settings_of_schedulers_that_are_not_implemented_are_refused() {
    let settings = [
        ("EulerDiscreteScheduler", "interpolation_type", json!("log_linear")),
        ("EulerDiscreteScheduler", "timestep_type", json!("continuous")),
        ("EulerDiscreteScheduler", "sigma_min", json!(0.1)),
        ("DPMSolverMultistepScheduler", "use_lu_lambdas", json!(true)),
        ("DPMSolverMultistepScheduler", "use_flow_sigmas", json!(true)),
        ("DPMSolverMultistepScheduler", "variance_type", json!("learned_range")),
        ("UniPCMultistepScheduler", "solver_p", json!({})),
    ];
    for (class, key, value) in settings {
        match scheduler_config("file", class, &json!({ key: value })) {
            Err(CheckpointError::Setting { key: found, .. }) => assert_eq!(found, key),
            other => panic!("{class} {key}: {other:?}"),
        }
    }
}

/// A folder with this index. All configurations are empty except that of the autoencoder.
fn open(index: &Value, vae: &Value) -> Result<Checkpoint, CheckpointError> {
    let weights = safetensors_of(&[("weight", &[1], &[0.0])]);
    let mut index = index.clone();
    index["_class_name"] = "StableDiffusionPipeline".into();
    let (index, vae) = (index.to_string(), vae.to_string());
    let folder = folder(&[
        ("model_index.json", index.as_bytes()),
        ("scheduler/scheduler_config.json", br#"{"_class_name": "PNDMScheduler"}"#),
        ("text_encoder/config.json", b"{}"),
        ("text_encoder/model.safetensors", &weights),
        ("unet/config.json", b"{}"),
        ("unet/model.safetensors", &weights),
        ("vae/config.json", vae.as_bytes()),
        ("vae/model.safetensors", &weights),
    ]);
    Checkpoint::open(folder.path())
}

#[test]
fn the_index_names_the_classes() {
    let named = |component: &str, class: &str| json!({ component: ["diffusers", class] });
    let vae =
        |index: &Value, own: &str| open(index, &json!({"_class_name": own})).map(|checkpoint| checkpoint.vae.class);
    assert_eq!(vae(&json!({}), "AutoencoderTiny").unwrap(), "AutoencoderTiny");
    assert_eq!(vae(&named("vae", "AutoencoderTiny"), "AutoencoderKL").unwrap(), "AutoencoderTiny");
    assert_eq!(vae(&json!({"vae": [null, null]}), "AutoencoderTiny").unwrap(), "AutoencoderTiny");
    assert_eq!(open(&json!({}), &json!({})).unwrap().vae.class, "AutoencoderKL");
    let scheduler = open(&named("scheduler", "DDIMScheduler"), &json!({})).unwrap().scheduler_config;
    assert_eq!(scheduler["_class_name"], "DDIMScheduler");
    let wrong = [
        ("vae", "ConsistencyDecoderVAE"),
        ("vae", "AsymmetricAutoencoderKL"),
        ("unet", "UNetFlatConditionModel"),
        ("text_encoder", "T5EncoderModel"),
        ("tokenizer", "T5Tokenizer"),
    ];
    for (component, class) in wrong {
        match open(&named(component, class), &json!({})) {
            Err(CheckpointError::Class { component: found, class: named, .. }) => {
                assert_eq!((found, named.as_str()), (component, class));
            }
            other => panic!("{component} {class}: {other:?}"),
        }
    }
    let own = open(&json!({}), &json!({"_class_name": "ConsistencyDecoderVAE"}));
    assert!(matches!(own, Err(CheckpointError::Class { .. })), "{own:?}");
}

#[test]
fn a_model_brings_its_defaults() {
    let defaults = |table: Value| open(&json!({"pyrograph": table}), &json!({})).map(|checkpoint| checkpoint.defaults);
    let found = defaults(json!({"steps": 20, "guidance_scale": 3.0})).unwrap();
    assert_eq!((found.steps, found.guidance_scale), (Some(20), Some(3.0)));
    assert_eq!(defaults(Value::Null).unwrap(), Defaults::default());
    assert!(defaults(json!({"steps": "many"})).is_err());
    let index = json!({"pyrograph": {"stepps": 20}, "controlnet": ["diffusers", "ControlNetModel"], "safety_checker": [null, null]});
    let notes = open(&index, &json!({})).unwrap().notes;
    assert_eq!(noted(&notes), ["stepps", "controlnet"]);
}

#[test]
fn half_a_vocabulary_is_no_vocabulary() {
    let folder = folder(&[("vocab.json", b"{}")]);
    let opened = pyrograph_checkpoint::TokenizerSource::open(folder.path(), &json!({}));
    assert!(matches!(opened, Err(CheckpointError::Missing { .. })), "{opened:?}");
}
