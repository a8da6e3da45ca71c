//! How files are read: each byte at most once, with one read per part. In a browser, each read is a call into
//! JavaScript.

use std::fmt;
use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::{Arc, Mutex};

use pyrograph_checkpoint::{Checkpoint, Location, Source, Storage};

use crate::{folder, read_json, reference};

/// A file that records its reads: position, bytes requested, bytes returned.
#[derive(Clone)]
struct Recorded {
    bytes: Arc<[u8]>,
    reads: Arc<Mutex<Vec<(u64, usize)>>>,
}

struct Reader {
    file: Recorded,
    cursor: Cursor<Arc<[u8]>>,
}

impl fmt::Debug for Recorded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Recorded")
    }
}

impl Storage for Recorded {
    fn open(&self, _path: &Path) -> io::Result<Box<dyn Source>> {
        Ok(Box::new(Reader { file: self.clone(), cursor: Cursor::new(self.bytes.clone()) }))
    }

    fn is_file(&self, _path: &Path) -> bool {
        true
    }

    fn is_dir(&self, _path: &Path) -> bool {
        false
    }
}

impl Read for Reader {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let position = self.cursor.position();
        let count = self.cursor.read(bytes)?;
        self.file.reads.lock().unwrap().push((position, count));
        Ok(count)
    }
}

impl Seek for Reader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.cursor.seek(to)
    }
}

impl Recorded {
    fn new(file: &str) -> Self {
        Self { bytes: std::fs::read(reference(file)).unwrap().into(), reads: Arc::default() }
    }

    fn open(&self, name: &str) -> Checkpoint {
        Checkpoint::open(Location::within(Arc::new(self.clone()), name)).unwrap()
    }

    fn take(&self) -> Vec<(u64, usize)> {
        std::mem::take(&mut self.reads.lock().unwrap())
    }
}

fn total(reads: &[(u64, usize)]) -> u64 {
    reads.iter().map(|&(_, count)| count as u64).sum()
}

/// Reads all tensors of the three networks once, and returns their number.
fn load(checkpoint: &Checkpoint) -> usize {
    let networks = [&checkpoint.text_encoder, &checkpoint.unet, &checkpoint.vae];
    let read = |network: &&pyrograph_checkpoint::Component| {
        let names = network.weights.names();
        names.iter().for_each(|name| drop(network.weights.read(name).unwrap()));
        names.len()
    };
    networks.iter().map(read).sum()
}

/// Opening reads the header; loading reads each tensor in one read.
#[test]
fn a_safetensors_file_is_read_once() {
    let file = Recorded::new("tiny-sd2.safetensors");
    let checkpoint = file.open("m.safetensors");
    let header = 8 + u64::from_le_bytes(file.bytes[..8].try_into().unwrap());
    let opening = file.take();
    assert!(opening.len() <= 4, "{opening:?}");
    assert!(total(&opening) <= header + 512, "{} bytes for a header of {header}", total(&opening));
    let tensors = load(&checkpoint);
    let loading = file.take();
    assert_eq!(loading.len(), tensors);
    // The text tower of Stable Diffusion 2 has query, key and value in one tensor, which is read once for each.
    let mut parts: Vec<(u64, usize)> = loading;
    parts.sort_unstable();
    parts.dedup();
    assert!(total(&parts) <= file.bytes.len() as u64 - header);
}

/// An archive: the end of the file, its directory and the pickle; then for each tensor its entry's header and its bytes.
#[test]
fn a_pickle_is_read_once() {
    let file = Recorded::new("tiny-sd1.ckpt");
    let checkpoint = file.open("m.ckpt");
    let opening = file.take();
    assert!(opening.len() <= 12, "{} reads", opening.len());
    let tensors = load(&checkpoint);
    let loading = file.take();
    assert_eq!(loading.len(), 2 * tensors, "the local header and the elements of each");
    assert!(total(&opening) + total(&loading) <= file.bytes.len() as u64 + (64 << 10) + 512);
}

/// The hash is not part of loading; it is read once and in large parts.
#[test]
fn the_hash_is_computed_when_it_is_asked_for() {
    let file = Recorded::new("tiny-sd2.safetensors");
    let checkpoint = file.open("m.safetensors");
    let hash = read_json(&reference("checkpoint_sd2.json"))["short_hash_of_tiny_sd2"].as_str().unwrap().to_owned();
    file.take();
    assert_eq!(checkpoint.short_hash().unwrap(), Some(hash.clone()));
    let reads = file.take();
    assert_eq!(total(&reads), file.bytes.len() as u64);
    assert_eq!(reads.len(), file.bytes.len().div_ceil(4 << 20) + 1, "the last read finds the end");
    assert_eq!(checkpoint.short_hash().unwrap(), Some(hash));
    assert!(file.take().is_empty(), "it is remembered");
}

/// On disk, the hash is remembered longer than the checkpoint, until the file changes.
#[test]
fn the_hash_of_a_file_that_changes() {
    let folder = folder(&[("m.safetensors", &std::fs::read(reference("tiny-sd2.safetensors")).unwrap())]);
    let path = folder.path().join("m.safetensors");
    let open = || Checkpoint::open(&path).unwrap();
    let before = open();
    let first = before.short_hash().unwrap();
    assert_eq!(open().short_hash().unwrap(), first);
    let late = open();
    let mut bytes = std::fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::thread::sleep(std::time::Duration::from_millis(20)); // file systems count time in steps
    std::fs::write(&path, &bytes).unwrap();
    assert_eq!(before.short_hash().unwrap(), first, "that of the contents it was opened with");
    assert_eq!(late.short_hash().unwrap(), first, "known");
    assert_ne!(open().short_hash().unwrap(), first);
}
