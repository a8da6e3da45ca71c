//! Runs every file reader over the fuzzing corpus and over mutations of it, the same in each run: no panic, limited
//! memory and time. `fuzz` continues from here, guided by coverage.

#[path = "../../../fuzz/readers.rs"]
mod readers;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// Mutations of each file of the corpus.
const MUTATIONS: u64 = 1500;

#[test]
fn readers_stand_mutated_files() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../");
    let pickles = ["checkpoint_zip.pt", "checkpoint_stream.pt", "checkpoint_lightning.ckpt"];
    for (target, read) in readers::READERS {
        let mut corpus: Vec<Vec<u8>> = fs::read_dir(root.join("fuzz/corpus").join(target))
            .expect("the corpus is committed")
            .map(|entry| fs::read(entry.expect("a file").path()).expect("a file"))
            .collect();
        if target == "pickle" {
            corpus.extend(
                pickles.map(|file| fs::read(root.join("tests/reference").join(file)).expect("it is committed")),
            );
        }
        corpus.sort();
        assert!(!corpus.is_empty(), "{target}");
        for (number, file) in corpus.iter().enumerate() {
            stays_small(target, read, file);
            for seed in 0..MUTATIONS {
                let mut random = Random(1 + seed + MUTATIONS * number as u64);
                stays_small(target, read, &mutate(file, &corpus[random.below(corpus.len())], &mut random));
            }
        }
    }
}

#[track_caller]
fn stays_small(target: &str, read: readers::Reader, file: &[u8]) {
    let start = Instant::now();
    let used = allocation_counter::measure(|| read(file)).bytes_max;
    assert!(used <= 64 * file.len() as u64 + (1 << 20), "{target}: {used} bytes for {}", file.escape_ascii());
    assert!(start.elapsed() < Duration::from_secs(5), "{target}: {}", file.escape_ascii());
}

/// Up to four changes.
fn mutate(file: &[u8], other: &[u8], random: &mut Random) -> Vec<u8> {
    let mut file = file.to_vec();
    for _ in 0..=random.below(4) {
        let at = random.below(file.len() + 1);
        match random.below(6) {
            0 => file.truncate(at),
            1 => flip(&mut file, at, 1 << random.below(8)),
            2 => flip(&mut file, at, random.below(256) as u8),
            3 => overwrite(
                &mut file,
                at,
                &INTERESTING[random.below(INTERESTING.len())].to_le_bytes()[..1 << random.below(4)],
            ),
            4 => {
                let from = random.below(other.len() + 1);
                file.splice(at.., other[from..].iter().copied());
            }
            _ => {
                let end = (at + random.below(64)).min(file.len());
                let again = file[at..end].to_vec();
                file.splice(at..at, again);
            }
        }
    }
    file
}

/// Numbers for which lengths and offsets often go wrong.
const INTERESTING: [u64; 8] = [0, 1, 0x7f, 0x7fff_ffff, 0xffff_ffff, 1 << 40, i64::MAX as u64, u64::MAX];

fn flip(file: &mut [u8], at: usize, bits: u8) {
    if let Some(byte) = file.get_mut(at) {
        *byte ^= bits;
    }
}

fn overwrite(file: &mut [u8], at: usize, bytes: &[u8]) {
    file.iter_mut().skip(at).zip(bytes).for_each(|(old, new)| *old = *new);
}

/// Marsaglia's xorshift, <https://doi.org/10.18637/jss.v008.i14>.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        for _ in 0..3 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
        }
        (self.0 >> 16) as usize % end
    }
}
