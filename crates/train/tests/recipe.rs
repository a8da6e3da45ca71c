//! Recipes: what they refuse, and when a run may go on with another one.

#![expect(clippy::disallowed_methods, reason = "files of a test need not last")]

mod support;

use std::path::Path;

use pyrograph_train::{
    AutoencoderTask, AutoencoderTaskConfig, ClipTask, DdpmTask, LatentTask, LatentTaskConfig, Recipe, Run, Task,
    TrainError, VqTask, VqTaskConfig, read_table,
};
use serde_json::{Value, json};
use toml::Table;

use support::images;
use support::recipes::{AUTOENCODER, CLIP, DDPM, LATENT, VQ, table};

/// The key that a recipe is refused for.
fn refused<T: Task>(table: Table) -> &'static str {
    let device = pyrograph::device("cpu").expect("the CPU is always there");
    let opened = Recipe::new(table).and_then(|recipe| Run::<T>::new(recipe, &device).map(drop));
    match opened.expect_err("it cannot be") {
        TrainError::OutOfBounds { key, .. } => key,
        other => panic!("{other}"),
    }
}

#[test]
fn what_a_recipe_needs_is_named() {
    let folder = images();
    let without = |text: &str, key: &str| {
        let mut table = table(text, folder.path());
        table.remove(key).expect("it was there");
        table
    };
    assert_eq!(refused::<AutoencoderTask>(without(AUTOENCODER, "model")), "model");
    assert_eq!(refused::<ClipTask>(table("", folder.path())), "model");
    assert_eq!(refused::<LatentTask>(without(LATENT, "unet")), "unet");
    assert_eq!(refused::<LatentTask>(without(LATENT, "scheduler")), "scheduler");
    assert_eq!(refused::<LatentTask>(without(LATENT, "start")), "start.autoencoder");
    let narrower = LATENT.replace("cross_attention_dim = 8", "cross_attention_dim = 4");
    assert_eq!(refused::<LatentTask>(table(&narrower, folder.path())), "unet.cross_attention_dim");
    let data = Recipe::<AutoencoderTaskConfig>::new(without(AUTOENCODER, "data"));
    assert!(matches!(data, Err(TrainError::NoTable { table: "data" })));
}

/// Of tables within tables too, and by the name that the file has for it.
#[test]
fn keys_that_cannot_be_are_named() {
    let folder = images();
    let cases = [
        ("[model]\nnum_vq_embeddings = \"many\"", "num_vq_embeddings"),
        ("[model]\nblock_out_channels = [8, \"8\"]", "block_out_channels[1]"),
        ("codebok_decay = 1\n[model]", "codebok_decay"),
        ("loss = { kl = \"no\" }\n[model]", "kl"),
    ];
    for (text, key) in cases {
        let error = Recipe::<VqTaskConfig>::new(table(text, folder.path())).expect_err("it is wrong");
        assert!(matches!(error, TrainError::Table { .. }) && error.to_string().contains(key), "{error}");
    }
}

/// A typing error in a network's table would otherwise train another network without a word.
#[test]
fn unknown_keys_of_networks_are_named() {
    fn error<T: Task>(text: &str, folder: &Path) -> String {
        Recipe::<T::Config>::new(table(text, folder)).err().expect("a key is unknown").to_string()
    }
    let folder = images();
    let folder = folder.path();
    let typing_error = |text: &str, header: &str| text.replace(header, &format!("{header}\nblock_layers = 3"));
    for error in [
        error::<AutoencoderTask>(&typing_error(AUTOENCODER, "[model]"), folder),
        error::<VqTask>(&typing_error(VQ, "[model]"), folder),
        error::<DdpmTask>(&typing_error(DDPM, "[unet]"), folder),
        error::<LatentTask>(&typing_error(LATENT, "[unet]"), folder),
        error::<LatentTask>(&typing_error(LATENT, "[text_encoder]"), folder),
        error::<LatentTask>(&typing_error(LATENT, "[scheduler]"), folder),
        error::<ClipTask>(&typing_error(CLIP, "[model]"), folder),
        error::<ClipTask>(&typing_error(CLIP, "[model.vision_config]"), folder),
    ] {
        assert!(error.contains("block_layers` = 3 is unknown"), "{error}");
    }
    // The keys that diffusers writes are known, although not all of them are read.
    let pasted = LATENT.replace("[unet]", "[unet]\n_class_name = \"UNet2DConditionModel\"\ndropout = 0.0");
    Recipe::<LatentTaskConfig>::new(table(&pasted, folder)).expect("known keys");
}

/// Such tables would have no effect, because the checkpoint has its own.
#[test]
fn tables_beside_a_checkpoint_are_refused() {
    let folder = images();
    let beside = |text: &str, start: &str| {
        let mut table = table(text, folder.path());
        table.insert("start".to_owned(), start.parse::<Table>().expect("TOML").into());
        table
    };
    let checkpoint = "checkpoint = \"model\"";
    assert_eq!(refused::<AutoencoderTask>(beside(AUTOENCODER, checkpoint)), "model");
    assert_eq!(refused::<ClipTask>(beside(CLIP, checkpoint)), "model");
    let words = "checkpoint = \"model\"\nvocabulary_of_captions = true";
    assert_eq!(refused::<ClipTask>(beside("", words)), "start.vocabulary_of_captions");
    assert_eq!(refused::<LatentTask>(beside(LATENT, checkpoint)), "unet");
    assert_eq!(refused::<LatentTask>(beside("[scheduler]", checkpoint)), "scheduler");
    assert_eq!(refused::<LatentTask>(beside("[text_encoder]", checkpoint)), "text_encoder");
    assert_eq!(refused::<LatentTask>(beside("", words)), "start.vocabulary_of_captions");
    assert_eq!(refused::<LatentTask>(beside("[text_encoder]", "text_encoder = \"clip\"")), "text_encoder");
}

#[test]
fn a_key_below_a_value_is_refused() {
    let folder = images();
    let file = folder.path().join("recipe.toml");
    std::fs::write(&file, "data = 3").expect("the folder can be written");
    let read = read_table(&file, &[("data.size".to_owned(), "16".to_owned())]);
    assert!(matches!(read, Err(TrainError::NotATable { part, .. }) if part == "data"));
}

/// Checkpoints of earlier versions list the keys that their files had, and null for tables that they did not have.
#[test]
fn a_default_is_no_change() {
    let folder = images();
    let before = r#"{
        "data": { "folder": "FOLDER", "size": 16, "batch_size": 2, "mirror": false, "random_crop": false, "caption_tag_dropout": 0.0 },
        "output": { "folder": "elsewhere", "save_every": 1, "sample_every": 1 },
        "trainer": { "steps": 9, "weight_decay": 0.01 },
        "denoising": { "min_snr_gamma": 5.0, "timesteps": "stratified", "caption_dropout": 0.1 },
        "start": { "checkpoint": null, "autoencoder": "a" },
        "samples": { "prompts": [], "steps": 20, "guidance_scale": 4.0 },
        "unet": { "cross_attention_dim": 8 },
        "text_encoder": null,
        "scheduler": { "beta_start": 0.001 }
    }"#;
    let path = folder.path().display().to_string();
    std::fs::write(folder.path().join("configuration.json"), before.replace("FOLDER", &path)).expect("writable");
    let check = |more: &str| {
        let text = format!(
            "data = {{ folder = {path:?}, size = 16, batch_size = 2 }}\noutput = {{ folder = \"here\" }}\n\
             start = {{ autoencoder = \"a\" }}\n[scheduler]\nbeta_start = 0.001\n[unet]\ncross_attention_dim = 8\n{more}"
        );
        let recipe = Recipe::<LatentTaskConfig>::new(text.parse().expect("TOML")).expect("a recipe");
        recipe.check_unchanged(folder.path())
    };
    check("").expect("nothing has changed");
    check("layers_per_block = 2\nin_channels = 4").expect("these are the defaults");
    match check("layers_per_block = 3").expect_err("it has changed") {
        TrainError::Changed { key, before, now } => {
            assert_eq!([key.as_str(), &before, &now], ["unet.layers_per_block", "2", "3"]);
        }
        other => panic!("{other}"),
    }
}

#[test]
fn defaults_of_a_codebook_are_those_of_diffusers() {
    let folder = images();
    let recipe = Recipe::<VqTaskConfig>::new(table("[model]", folder.path())).expect("a recipe");
    let model = recipe.task.model.config;
    assert_eq!((model.latent_channels, model.num_vq_embeddings, model.vq_embed_dim), (3, 256, None));
    let recipe = Recipe::<VqTaskConfig>::new(table(VQ, folder.path())).expect("a recipe");
    assert_eq!(recipe.task.model.config.vq_embed_dim, Some(4));
}

/// `config.json` in a folder that a run without steps exports.
fn exported<T: Task>(text: &str, file: &str) -> Value {
    let folder = images();
    let device = pyrograph::device("cpu").expect("the CPU is always there");
    let run = Recipe::new(table(text, folder.path())).and_then(|recipe| Run::<T>::new(recipe, &device)).expect("a run");
    run.export(&folder.path().join("model")).expect("the folder can be written");
    let text = std::fs::read_to_string(folder.path().join("model").join(file)).expect("it was written");
    serde_json::from_str(&text).expect("JSON")
}

/// diffusers has other defaults: one block for an autoencoder, 224 channels and a middle block for a `UNet2DModel`.
#[test]
fn exported_configurations_leave_nothing_to_defaults() {
    let two = |block: &str| json!([block, block]);
    for config in [exported::<AutoencoderTask>(AUTOENCODER, "config.json"), exported::<VqTask>(VQ, "config.json")] {
        assert_eq!(config["down_block_types"], two("DownEncoderBlock2D"), "{config}");
        assert_eq!(config["up_block_types"], two("UpDecoderBlock2D"), "{config}");
        assert_eq!((&config["act_fn"], &config["sample_size"]), (&json!("silu"), &json!(16)), "{config}");
    }
    let config = exported::<DdpmTask>(DDPM, "unet/config.json");
    let expected = [
        ("block_out_channels", json!([8])),
        ("in_channels", json!(3)),
        ("freq_shift", json!(0.0)),
        ("mid_block_type", json!(null)),
    ];
    for (key, value) in expected {
        assert_eq!(config.get(key), Some(&value), "{key} in {config}");
    }
    assert!(config.get("cross_attention_dim").is_none(), "a `UNet2DModel` has no text: {config}");
}
