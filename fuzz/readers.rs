//! The fuzzed functions: each file reader as a function of bytes. `crates/checkpoint/tests/mutations.rs` runs the same
//! functions over mutations of the corpus, on a stable compiler.

use std::collections::BTreeMap;
use std::io::{self, Cursor};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pyrograph_checkpoint::{
    Checkpoint, ClipCheckpoint, Location, PickleFile, SafetensorsFile, Source, Storage, Weights, open_weights,
};

/// A reader by the name of its target and of its folder in `corpus`.
pub(crate) type Reader = fn(&[u8]);

/// All readers.
pub(crate) const READERS: [(&str, Reader); 4] =
    [("safetensors", safetensors), ("pickle", pickle), ("index", index), ("folder", folder)];

/// Files in memory.
#[derive(Debug)]
struct Memory(BTreeMap<PathBuf, Vec<u8>>);

impl Storage for Memory {
    fn open(&self, path: &Path) -> io::Result<Box<dyn Source>> {
        let bytes = self.0.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(Cursor::new(bytes.clone())))
    }

    fn is_file(&self, path: &Path) -> bool {
        self.0.contains_key(path)
    }

    fn is_dir(&self, path: &Path) -> bool {
        !self.is_file(path) && self.0.keys().any(|file| file.starts_with(path))
    }
}

fn within<const N: usize>(files: [(&str, &[u8]); N], path: &str) -> Location {
    let files = files.into_iter().map(|(name, bytes)| (PathBuf::from(name), bytes.to_vec()));
    Location::within(Arc::new(Memory(files.collect())), path)
}

fn read_all(weights: &dyn Weights) {
    for name in weights.names() {
        let (info, data) = (weights.info(name).expect("a listed tensor"), weights.read(name));
        assert!(data.is_err() || data.is_ok_and(|data| data.shape().as_slice() == info.shape));
    }
}

/// A safetensors file.
pub(crate) fn safetensors(bytes: &[u8]) {
    if let Ok(file) = SafetensorsFile::from_bytes("x.safetensors", bytes.to_vec()) {
        read_all(&file);
    }
}

/// A file of `torch.save`.
pub(crate) fn pickle(bytes: &[u8]) {
    if let Ok(file) = PickleFile::open(within([("x.ckpt", bytes)], "x.ckpt")) {
        read_all(&file);
    }
}

/// An index over the files `a.safetensors` and `b.safetensors`. The three parts follow each other, separated as in
/// [`folder`].
pub(crate) fn index(bytes: &[u8]) {
    let [index, a, b] = parts(bytes);
    let files = [("x.index.json", index), ("a.safetensors", a), ("b.safetensors", b)];
    if let Ok(weights) = open_weights(within(files, "x.index.json")) {
        read_all(weights.as_ref());
    }
}

/// A diffusers folder: its files in this order, separated by lines `--`. The same bytes are also read as a CLIP folder
/// and as a single file.
pub(crate) fn folder(bytes: &[u8]) {
    let [index, scheduler, config, weights, vocab, merges, tokenizer, special] = parts(bytes);
    let files = [
        ("model_index.json", index),
        ("scheduler/scheduler_config.json", scheduler),
        ("config.json", config),
        ("model.safetensors", weights),
        ("text_encoder/config.json", config),
        ("text_encoder/model.safetensors", weights),
        ("unet/config.json", config),
        ("unet/diffusion_pytorch_model.safetensors", weights),
        ("vae/config.json", config),
        ("vae/diffusion_pytorch_model.safetensors", weights),
        ("tokenizer/vocab.json", vocab),
        ("tokenizer/merges.txt", merges),
        ("tokenizer/tokenizer_config.json", tokenizer),
        ("tokenizer/special_tokens_map.json", special),
    ];
    if let Ok(checkpoint) = Checkpoint::open(within(files, "")) {
        read_all(checkpoint.unet.weights.as_ref());
    }
    drop(ClipCheckpoint::open(within(files, "")));
    drop(Checkpoint::open(within([("x", bytes)], "x")));
}

/// The parts of a test case; missing parts are empty.
fn parts<const N: usize>(bytes: &[u8]) -> [&[u8]; N] {
    const SEPARATOR: &[u8] = b"\n--\n";
    let mut rest = bytes;
    [(); N].map(|()| {
        let end = rest.windows(SEPARATOR.len()).position(|window| window == SEPARATOR);
        let (part, after) = match end {
            Some(end) => (&rest[..end], &rest[end + SEPARATOR.len()..]),
            None => (rest, &[][..]),
        };
        rest = after;
        part
    })
}
