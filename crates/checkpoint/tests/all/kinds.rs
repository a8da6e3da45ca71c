//! Files and folders of other kinds: every reader's error names the kind.

use std::fs;
use std::path::Path;

use pyrograph_checkpoint::{Checkpoint, CheckpointError, ClipCheckpoint, Component, Kind, open_weights};

use crate::torch::{bare_tensor, pickle, text, zip, zip_with};
use crate::{folder, reference, safetensors, safetensors_of};

const POINTER: &[u8] = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a4d7a\nsize 4265146304\n";
const PAGE: &[u8] = b"<!DOCTYPE html>\n<html><head><title>Sign in</title></head></html>";

/// The kind in an error whose message is one short line.
#[track_caller]
fn kind<T: std::fmt::Debug>(result: Result<T, CheckpointError>) -> Kind {
    let error = result.expect_err("another kind");
    let message = error.to_string();
    assert!(!message.contains('\n') && message.len() < 300 && message.contains("; "), "{message}");
    match error {
        CheckpointError::Kind { kind, .. } => kind,
        other => panic!("{other:?}"),
    }
}

/// Opens the file under these names, as weights and as a checkpoint.
#[track_caller]
fn is(bytes: &[u8], expected: &Kind) {
    for name in ["x.safetensors", "x.ckpt", "x.bin", "x.onnx", "x"] {
        let folder = folder(&[(name, bytes)]);
        assert_eq!(&kind(open_weights(&folder.path().join(name))), expected, "{name}");
        assert_eq!(&kind(Checkpoint::open(&folder.path().join(name))), expected, "{name}");
    }
}

#[test]
fn files_without_weights() {
    is(b"", &Kind::Empty);
    is(POINTER, &Kind::LfsPointer);
    is(PAGE, &Kind::WebPage);
    is(br#"{"error":"Unauthorized"}"#, &Kind::Json(r#"{"error":"Unauthorized"}"#.to_owned()));
    is(b"Entry not found\nx", &Kind::Text("Entry not found".to_owned()));
    is("Zugriff verweigert: ü".as_bytes().split_last().unwrap().1, &Kind::Text("Zugriff verweigert: ".to_owned()));
    is(b"\n <html lang=en>", &Kind::WebPage);
    is(b"\xef\xbb\xbf<!doctype HTML>", &Kind::WebPage);
    is(b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", &Kind::WebPage);
    is(b"GGUF\x03\0\0\0\x02\0\0\0\0\0\0\0", &Kind::Gguf);
    is(b"\x08\x07\x12\x07pytorch\x1a\x052.0.1", &Kind::Onnx);
    is(b"\x89HDF\r\n\x1a\n\0\0\0\0", &Kind::Hdf5);
    is(b"\x82\xa6params\x81\xa7decoder", &Kind::Flax);
    is(b"7z\xbc\xaf\x27\x1c\0\x04", &Kind::Archive("7z"));
    is(b"Rar!\x1a\x07\x01\0", &Kind::Archive("RAR"));
    is(b"\x1f\x8b\x08\0\0\0\0\0", &Kind::Archive("gzip"));
    is(&[&[b'x'; 257][..], b"ustar\x0000", &[0; 300]].concat(), &Kind::Archive("tar"));
    is(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", &Kind::Document("PNG image"));
}

#[test]
fn bytes_of_no_known_format() {
    for name in ["x.ckpt", "x.bin", "x"] {
        let folder = folder(&[(name, b"\x00\x01\x02\x03\x04")]);
        assert_eq!(kind(open_weights(&folder.path().join(name))), Kind::Unknown, "{name}");
    }
}

#[test]
fn zip_archives_of_other_things() {
    let holding = |names: &[&str]| {
        let entries: Vec<(&str, &[u8])> = names.iter().map(|name| (*name, &b"x"[..])).collect();
        zip_with(&entries, |entries| entries)
    };
    is(&holding(&["model/readme.txt"]), &Kind::Zip);
    is(&holding(&["latents.npy"]), &Kind::NumPy);
    is(&holding(&["m/data.pkl", "m/constants.pkl", "m/code/__torch__.py"]), &Kind::TorchScript);
    is(&holding(&[]), &Kind::Zip);
}

/// The name suggests an unfinished download, and the contents confirm it.
#[test]
fn downloads_that_have_not_finished() {
    let whole = safetensors_of(&[("w", &[2], &[1.0, 2.0])]);
    let cut = &whole[..whole.len() - 4];
    for extension in ["part", "incomplete", "crdownload", "partial"] {
        let name = format!("m.safetensors.{extension}");
        let folder = folder(&[(&name, cut)]);
        assert_eq!(kind(open_weights(&folder.path().join(&name))), Kind::UnfinishedDownload);
        assert_eq!(kind(open_weights(&folder.path().join("m.safetensors"))), Kind::UnfinishedDownload, "beside it");
        fs::write(folder.path().join(&name), &whole).unwrap();
        assert!(open_weights(&folder.path().join(&name)).is_ok(), "the contents decide");
    }
    let network = folder(&[("config.json", b"{}"), ("diffusion_pytorch_model.safetensors.part", cut)]);
    assert_eq!(kind(Component::open(network.path())), Kind::UnfinishedDownload);
}

#[test]
fn files_with_other_tensors() {
    for (name, expected) in [
        ("lora_unet_down_blocks_0_attentions_0_proj_in.lora_down.weight", Kind::LoRa),
        ("unet.down_blocks.0.attentions.0.to_q.lora_A.weight", Kind::LoRa),
        ("unet:0:up", Kind::LoRa),
        ("lycoris_unet.hada_w1_a", Kind::LoRa),
        ("string_to_param.*", Kind::Embedding),
        ("controlnet_cond_embedding.conv_in.weight", Kind::ControlNet),
        ("control_model.zero_convs.0.0.weight", Kind::ControlNet),
        ("decoder.up.0.block.0.conv1.weight", Kind::Vae),
        ("first_stage_model.encoder.conv_in.weight", Kind::Vae),
        ("encoder.down_blocks.0.resnets.0.conv1.weight", Kind::Vae),
        ("down_blocks.0.resnets.0.conv1.weight", Kind::UNet),
        ("model.diffusion_model.input_blocks.0.0.weight", Kind::UNet),
        ("text_model.encoder.layers.0.layer_norm1.weight", Kind::TextEncoder),
        ("conditioner.embedders.0.transformer.text_model.final_layer_norm.bias", Kind::StableDiffusionXl),
        ("model.diffusion_model.joint_blocks.0.context_block.attn.proj.bias", Kind::StableDiffusion3),
        ("model.diffusion_model.double_blocks.0.img_attn.proj.bias", Kind::Flux),
        ("single_transformer_blocks.0.attn.to_q.weight", Kind::Flux),
        ("down_blocks.0.motion_modules.0.norm.bias", Kind::Adapter("motion modules of AnimateDiff")),
        ("ip_adapter.1.to_k_ip.weight", Kind::Adapter("an IP adapter")),
        ("model.layers.0.self_attn.q_proj.weight", Kind::LanguageModel),
        ("state.0.exp_avg", Kind::Optimizer),
        ("body.0.rdb1.conv1.weight", Kind::Upscaler),
        ("model.diffusion_model.x.scale_weight", Kind::ScaledFloat8),
    ] {
        let weights = safetensors_of(&[(name, &[1], &[0.0])]);
        let folder = folder(&[("m.safetensors", &weights)]);
        assert_eq!(kind(Checkpoint::open(&folder.path().join("m.safetensors"))), expected, "{name}");
        assert!(open_weights(&folder.path().join("m.safetensors")).is_ok(), "{name}: the tensors can be read");
    }
    let birb = reference("textual-inversion/learned_embeds.bin");
    assert_eq!(kind(Checkpoint::open(&birb)), Kind::Embedding);
    let vae = zip(&pickle(&[b"}", &text("decoder.layers.0.weight"), &bare_tensor(1, 0, &[1], &[1]), b"s"]), &[0; 4]);
    assert_eq!(kind(Checkpoint::open(&folder(&[("t.pth", &vae)]).path().join("t.pth"))), Kind::Vae);
}

/// Every file of a folder may be a Git LFS pointer or a web page.
#[test]
fn files_of_folders() {
    let files = ["model_index.json", "unet/config.json", "tokenizer/vocab.json", "tokenizer/merges.txt"];
    for name in files.into_iter().chain(["scheduler/scheduler_config.json", "vae/diffusion_pytorch_model.safetensors"])
    {
        for (bytes, expected) in
            [(POINTER, Kind::LfsPointer), (PAGE, Kind::WebPage), (b"\x1f\x8b\x08\0", Kind::Archive("gzip"))]
        {
            let copy = copy(&reference("tiny-sd1"));
            let path = copy.path().join(name);
            if path.exists() {
                fs::remove_file(&path).unwrap();
            }
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            if name.ends_with("merges.txt") {
                fs::write(path.with_file_name("vocab.json"), "{}").unwrap();
            }
            fs::write(&path, bytes).unwrap();
            let error = Checkpoint::open(copy.path()).unwrap_err();
            assert!(error.to_string().starts_with(path.to_str().unwrap()), "{error}");
            assert_eq!(kind::<()>(Err(error)), expected, "{name}");
        }
    }
}

/// A folder with the same files.
fn copy(from: &Path) -> tempfile::TempDir {
    let to = tempfile::tempdir().unwrap();
    copy_into(from, to.path());
    to
}

fn copy_into(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_into(&entry.path(), &target)
        } else {
            fs::copy(entry.path(), target).map(|_| ()).unwrap()
        }
    }
}

const COMMIT: &str = "133a221b8aa7292a167afc5127cb63fb5005638b";

#[test]
fn a_cache_of_the_hugging_face_hub() {
    let hub = tempfile::tempdir().unwrap();
    let model = hub.path().join("models--someone--tiny-sd");
    copy_into(&reference("tiny-sd1"), &model.join("snapshots").join(COMMIT));
    assert!(Checkpoint::open(&model).is_ok(), "its one snapshot");
    fs::create_dir_all(model.join("snapshots/another")).unwrap();
    assert_eq!(kind(Checkpoint::open(&model)), Kind::HubCache(vec![COMMIT.to_owned(), "another".to_owned()]));
    fs::create_dir_all(model.join("refs")).unwrap();
    for wrong in ["../../..", "missing", "", "/", "snapshots"] {
        fs::write(model.join("refs/main"), wrong).unwrap();
        assert!(matches!(kind(Checkpoint::open(&model)), Kind::HubCache(_)), "{wrong}");
    }
    fs::write(model.join("refs/main"), format!("{COMMIT}\n")).unwrap();
    assert!(Checkpoint::open(&model).is_ok(), "the snapshot that refs/main names");
    assert_eq!(kind(Checkpoint::open(hub.path())), Kind::HubCacheRoot("models--someone--tiny-sd".to_owned()));
    copy_into(&reference("tiny-clip"), &hub.path().join("models--openai--clip/snapshots/x"));
    assert!(ClipCheckpoint::open(&hub.path().join("models--openai--clip")).is_ok());
    assert!(Component::open(&hub.path().join("models--openai--clip")).is_ok());
}

/// The snapshots of the cache are links to its blobs.
#[cfg(unix)]
#[test]
fn a_snapshot_of_links() {
    let hub = tempfile::tempdir().unwrap();
    let model = hub.path().join("models--someone--m");
    let (blobs, snapshot) = (model.join("blobs"), model.join("snapshots").join(COMMIT));
    fs::create_dir_all(&blobs).unwrap();
    copy_into(&reference("tiny-sd1"), &snapshot);
    for name in ["model_index.json", "unet/config.json", "unet/diffusion_pytorch_model.safetensors"] {
        let (file, blob) = (snapshot.join(name), blobs.join(name.replace('/', "-")));
        fs::rename(&file, &blob).unwrap();
        std::os::unix::fs::symlink(&blob, &file).unwrap();
    }
    assert!(Checkpoint::open(&model).is_ok());
}

#[test]
fn folders_that_are_no_model() {
    let open = |files: &[(&str, &[u8])]| kind(Checkpoint::open(folder(files).path()));
    assert_eq!(open(&[]), Kind::Folder);
    assert_eq!(open(&[("readme.txt", b"x")]), Kind::Folder);
    assert_eq!(open(&[("inner/model_index.json", b"{}")]), Kind::OuterFolder("inner".to_owned()));
    assert_eq!(open(&[("config.json", b"{}"), ("model.safetensors", b"")]), Kind::NetworkFolder);
    assert_eq!(open(&[("v1-5.safetensors", b""), ("readme", b"")]), Kind::FolderOfFile("v1-5.safetensors".to_owned()));
    assert_eq!(open(&[("flax_model.msgpack", b"")]), Kind::Flax);
    assert_eq!(open(&[("model.onnx", b"")]), Kind::Onnx);
    assert_eq!(open(&[("v1-5.safetensors.part", b"")]), Kind::UnfinishedDownload);
    let network = |file: &str| {
        let files: [(&str, &[u8]); 2] = [("config.json", b"{}"), (file, b"")];
        kind(Component::open(folder(&files).path()))
    };
    assert_eq!(network("diffusion_flax_model.msgpack"), Kind::Flax);
    assert_eq!(network("tf_model.h5"), Kind::Hdf5);
    assert_eq!(network("model.onnx"), Kind::Onnx);
    let index = folder(&[("model_index.json", b"{}")]);
    assert_eq!(kind(Checkpoint::open(&index.path().join("model_index.json"))), Kind::PipelineIndex);
    assert_eq!(kind(open_weights(index.path())), Kind::Folder, "a folder for a file");
}

/// Metadata that training programs write does not prevent reading.
#[test]
fn metadata_of_any_json() {
    for (metadata, note) in [
        (r#"{"epoch":3}"#, Some("3")),
        (r#"{"epoch":"3"}"#, Some("3")),
        (r#"{"epoch":true}"#, Some("true")),
        (r#"{"epoch":1.5}"#, Some("1.5")),
        (r#"{"epoch":-1}"#, Some("-1")),
        (r#"{"epoch":null}"#, None),
        (r#"{"epoch":[1,{"a":[]}]}"#, None),
        (r#"{"epoch":{"a":{"b":"c"}}}"#, None),
        ("null", None),
        ("[1]", None),
        ("7", None),
        (r#""text""#, None),
    ] {
        let header = format!(r#"{{"__metadata__":{metadata},"w":{{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}}}"#);
        let folder = folder(&[("w.safetensors", &safetensors(&header, &[0; 4]))]);
        let weights = open_weights(&folder.path().join("w.safetensors")).unwrap();
        assert_eq!((weights.note("epoch"), weights.names()), (note, vec!["w"]), "{metadata}");
    }
}
