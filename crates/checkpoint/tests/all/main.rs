//! Correct files are compared with the contents that torch and diffusers read; wrong files are refused.

#![expect(clippy::disallowed_methods, reason = "files of a test need not last")]

mod configurations;
mod element_types;
mod folders;
mod kinds;
mod latents;
mod loading;
mod on_demand;
mod outputs;
mod pickles;
mod reads;
mod safetensors_files;
mod single_files;
#[path = "../torch/mod.rs"]
mod torch;

use std::path::{Path, PathBuf};

use burn::tensor::TensorData;
use pyrograph_checkpoint::{CheckpointError, Weights};
use serde_json::{Value, json};

/// A committed file of `tests/reference`.
fn reference(name: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/reference")).join(name)
}

fn read_json(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).expect("a committed file")).expect("JSON")
}

/// The message of an error, which must be short and contain the words in `about`.
#[track_caller]
fn message<T: std::fmt::Debug>(result: Result<T, CheckpointError>, about: &[&str]) -> String {
    let message = result.expect_err("the file is broken").to_string();
    assert!(message.lines().count() <= 3 && message.len() < 700, "too long: {message}");
    for part in about {
        assert!(message.contains(part), "`{part}` is not in: {message}");
    }
    message
}

/// The bytes of a safetensors file with this header and these bytes of tensors.
fn safetensors(header: &str, data: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat()
}

/// A safetensors file of float32 tensors with these names, shapes and values.
fn safetensors_of(tensors: &[(&str, &[usize], &[f32])]) -> Vec<u8> {
    let mut header = serde_json::Map::new();
    let mut data = Vec::new();
    for (name, shape, values) in tensors {
        let start = data.len();
        data.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        header.insert((*name).to_owned(), json!({"dtype": "F32", "shape": shape, "data_offsets": [start, data.len()]}));
    }
    safetensors(&Value::Object(header).to_string(), &data)
}

/// A folder with these files, which is removed after the test.
fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (name, bytes) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, bytes).expect("a file");
    }
    folder
}

/// Both contain the same tensors under the same names, bit for bit.
#[track_caller]
fn assert_same_weights(found: &dyn Weights, expected: &dyn Weights) {
    assert_eq!(found.names(), expected.names());
    for name in expected.names() {
        assert_eq!(found.info(name).map(|info| info.dtype), expected.info(name).map(|info| info.dtype), "{name}");
        let (found, expected): (TensorData, _) = (found.read(name).expect(name), expected.read(name).expect(name));
        assert_eq!(found.shape(), expected.shape(), "{name}");
        assert_eq!(found.as_bytes(), expected.as_bytes(), "{name}");
    }
}
