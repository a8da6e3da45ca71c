//! Files in the format of `torch.save`, built byte by byte.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::io::Cursor;
use std::path::Path;
use std::sync::Arc;

use pyrograph_checkpoint::{CheckpointError, Location, PickleFile, Source, Storage};

/// One file in memory.
#[derive(Debug)]
struct Memory(Arc<[u8]>);

impl Storage for Memory {
    fn open(&self, _path: &Path) -> std::io::Result<Box<dyn Source>> {
        Ok(Box::new(Cursor::new(self.0.clone())))
    }

    fn is_file(&self, _path: &Path) -> bool {
        true
    }

    fn is_dir(&self, _path: &Path) -> bool {
        false
    }
}

/// The location of the bytes as a file `hostile.ckpt`.
pub(crate) fn location(bytes: &[u8]) -> Location {
    Location::within(Arc::new(Memory(bytes.into())), "hostile.ckpt")
}

pub(crate) fn open(bytes: &[u8]) -> Result<PickleFile, CheckpointError> {
    PickleFile::open(location(bytes))
}

/// An entry in an archive's directory. Its bytes may also be those of another entry.
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) method: u16,
    pub(crate) length: u32,
    pub(crate) local_header: u32,
}

/// A zip archive of stored entries; `more` changes the entries of its directory.
pub(crate) fn zip_with(entries: &[(&str, &[u8])], more: impl FnOnce(Vec<Entry>) -> Vec<Entry>) -> Vec<u8> {
    let (mut file, mut directory) = (Vec::new(), Vec::new());
    let mut listed = Vec::new();
    for (name, bytes) in entries {
        let entry =
            Entry { name: (*name).into(), method: 0, length: bytes.len() as u32, local_header: file.len() as u32 };
        file.extend(b"PK\x03\x04");
        file.extend([0; 22]);
        file.extend((name.len() as u16).to_le_bytes());
        file.extend([0; 2]);
        file.extend([name.as_bytes(), bytes].concat());
        listed.push(entry);
    }
    let start = file.len() as u32;
    let listed = more(listed);
    for Entry { name, method, length, local_header } in &listed {
        directory.extend(b"PK\x01\x02\0\0\0\0\0\0");
        directory.extend(method.to_le_bytes());
        directory.extend([0; 8]);
        directory.extend([length.to_le_bytes(), length.to_le_bytes()].concat());
        directory.extend((name.len() as u16).to_le_bytes());
        directory.extend([0; 12]);
        directory.extend(local_header.to_le_bytes());
        directory.extend(name.as_bytes());
    }
    file.extend(&directory);
    file.extend(b"PK\x05\x06\0\0\0\0\0\0\0\0");
    file.extend([(directory.len() as u32).to_le_bytes(), start.to_le_bytes()].concat());
    file.extend([0; 2]);
    file
}

pub(crate) fn zip(pickle: &[u8], storage: &[u8]) -> Vec<u8> {
    zip_with(&[("x/data.pkl", pickle), ("x/data/0", storage)], |entries| entries)
}

/// The format before PyTorch 1.6.
pub(crate) fn stream(pickle: &[u8], keys: &[u8], storages: &[u8]) -> Vec<u8> {
    let magic = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03.";
    let system = b"\x80\x02}X\x0d\0\0\0little_endian\x88s.";
    [magic, &system[..], pickle, keys, storages].concat()
}

pub(crate) fn text(text: &str) -> Vec<u8> {
    [b"X", &(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat()
}

pub(crate) fn number(number: i32) -> Vec<u8> {
    [b"J", &number.to_le_bytes()[..]].concat()
}

pub(crate) fn tuple(numbers: &[i32]) -> Vec<u8> {
    [b"(", &numbers.iter().flat_map(|&n| number(n)).collect::<Vec<_>>()[..], b"t"].concat()
}

/// A float32 storage `0` of this many elements.
pub(crate) fn storage(length: i32) -> Vec<u8> {
    [b"(", &text("storage")[..], b"ctorch\nFloatStorage\n", &text("0"), &text("cpu"), &number(length), b"tQ"].concat()
}

/// A tensor over such a storage.
pub(crate) fn bare_tensor(length: i32, offset: i32, shape: &[i32], strides: &[i32]) -> Vec<u8> {
    let arguments = [&storage(length)[..], &number(offset), &tuple(shape), &tuple(strides), b"\x89}"].concat();
    [b"ctorch._utils\n_rebuild_tensor_v2\n(", &arguments[..], b"tR"].concat()
}

/// `{"w": tensor}`.
pub(crate) fn tensor(length: i32, offset: i32, shape: &[i32], strides: &[i32]) -> Vec<u8> {
    [b"\x80\x02}", &text("w")[..], &bare_tensor(length, offset, shape, strides), b"s."].concat()
}

/// A whole pickle of these operations.
pub(crate) fn pickle(operations: &[&[u8]]) -> Vec<u8> {
    [b"\x80\x02", &operations.concat()[..], b"."].concat()
}
