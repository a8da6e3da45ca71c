//! Where a pickle's storages lie: entries of a zip archive, or one behind the other after the pickle.

use std::collections::HashMap;
use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use zip::{ZipArchive, ZipReadOptions};

use super::machine::{Pickle, Value};
use crate::Source;

type File = Box<dyn Source>;

/// The storages of an open file.
pub(crate) enum Container {
    /// PyTorch 1.6 and later: `<folder>/data.pkl` and `<folder>/data/<key>`.
    Zip { archive: Mutex<ZipArchive<BufReader<File>>>, folder: String, lengths: HashMap<String, u64>, file_length: u64 },
    /// Before: a magic number, a version, the writer's byte order, the pickle, the storages' keys and their elements.
    Stream { file: Mutex<File>, storages: HashMap<String, Range<u64>> },
}

impl Container {
    /// Reads a file's pickle, and where its storages lie.
    pub(crate) fn new(mut file: File) -> Result<(Self, Pickle), String> {
        let file_length = file.seek(SeekFrom::End(0)).map_err(cannot_read)?;
        let mut magic = [0; 2];
        file.rewind().and_then(|()| file.read_exact(&mut magic)).and_then(|()| file.rewind()).map_err(cannot_read)?;
        if magic == *b"PK" { open_zip(file, file_length) } else { open_stream(file, file_length) }
    }

    /// Bytes of a storage.
    pub(crate) fn storage_length(&self, key: &str) -> Option<u64> {
        match self {
            Self::Zip { lengths, .. } => lengths.get(key).copied(),
            Self::Stream { storages, .. } => storages.get(key).map(|range| range.end - range.start),
        }
    }

    /// Bytes `window` of a storage, which must lie inside it.
    pub(crate) fn read(&self, key: &str, window: Range<u64>) -> io::Result<Vec<u8>> {
        let length = window.end - window.start;
        let bytes = match self {
            Self::Zip { archive, folder, file_length, .. } => {
                let mut archive = archive.lock().unwrap_or_else(PoisonError::into_inner);
                read_entry(&mut archive, &format!("{folder}data/{key}"), &window, *file_length)?
            }
            Self::Stream { file, storages } => {
                let start = storages.get(key).ok_or(io::ErrorKind::NotFound)?.start + window.start;
                let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
                file.seek(SeekFrom::Start(start))?;
                read_up_to(&mut *file, length, length)?
            }
        };
        if bytes.len() as u64 == length { Ok(bytes) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }
}

impl fmt::Debug for Container {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Zip { .. } => "Zip",
            Self::Stream { .. } => "Stream",
        })
    }
}

/// No `data.pkl` of names and shapes is larger.
const LARGEST_PICKLE: u64 = 64 << 20;

fn open_zip(file: File, file_length: u64) -> Result<(Container, Pickle), String> {
    let broken = |error| format!("broken or truncated zip archive: {error}");
    let mut archive = ZipArchive::new(BufReader::new(file)).map_err(broken)?;
    let names: Vec<String> = archive.file_names().filter_map(Result::ok).map(|name| name.to_string()).collect();
    let folder = names.iter().filter_map(|name| name.strip_suffix("data.pkl")).min_by_key(|folder| folder.len());
    let folder = folder.ok_or("a zip archive without `data.pkl`, so not written by torch.save")?.to_owned();
    if let Ok(order) = read_entry(&mut archive, &format!("{folder}byteorder"), &(0..6), file_length)
        && order.starts_with(b"big")
    {
        return Err(BIG_ENDIAN.to_owned());
    }
    let bytes = read_entry(&mut archive, &format!("{folder}data.pkl"), &(0..LARGEST_PICKLE), file_length)
        .map_err(cannot_read)?;
    let pickle = Pickle::read(&mut bytes.as_slice())?;
    let mut lengths = HashMap::new();
    for name in &names {
        let Some(key) = name.strip_prefix(&folder).and_then(|name| name.strip_prefix("data/")) else { continue };
        lengths.insert(key.to_owned(), archive.by_name(name).map_err(broken)?.size());
    }
    Ok((Container::Zip { archive: Mutex::new(archive), folder, lengths, file_length }, pickle))
}

/// Bytes `window` of an entry, fewer where it ends before. Whoever reads to the end has the checksum compared.
fn read_entry(
    archive: &mut ZipArchive<BufReader<File>>,
    name: &str,
    window: &Range<u64>,
    file_length: u64,
) -> io::Result<Vec<u8>> {
    let index = archive.index_for_name(name).ok_or(io::ErrorKind::NotFound)?;
    let unchecked = archive.by_index_raw(index)?.crc32() == 0; // torch writes no checksum if told so
    let mut entry = archive.by_index_with_options(index, ZipReadOptions::new().ignore_crc32(unchecked))?;
    io::copy(&mut entry.by_ref().take(window.start), &mut io::sink())?;
    let bytes = read_up_to(&mut entry, window.end - window.start, file_length)?;
    io::copy(&mut entry.take(1), &mut io::sink())?;
    Ok(bytes)
}

/// At most `length` bytes. No more than `plausible` are reserved ahead, whatever the length claims.
fn read_up_to(reader: &mut impl Read, length: u64, plausible: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(length.min(plausible) as usize);
    reader.take(length).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn open_stream(file: File, file_length: u64) -> Result<(Container, Pickle), String> {
    let mut reader = BufReader::new(file);
    check_preamble(&mut reader)?;
    let pickle = Pickle::read(&mut reader)?;
    let keys = Pickle::read(&mut reader)?;
    let sizes = element_sizes(&pickle);
    let mut storages = HashMap::new();
    for (_, key) in keys.entries(keys.root) {
        let Value::Str(key) = &keys.values[key] else { return Err("broken file: storages without names".to_owned()) };
        let mut length = [0; 8];
        reader.read_exact(&mut length).map_err(cannot_read)?;
        let bytes = u64::from_le_bytes(length).checked_mul(*sizes.get(key.as_str()).unwrap_or(&1));
        let start = reader.stream_position().map_err(cannot_read)?;
        let end = bytes.and_then(|bytes| start.checked_add(bytes)).filter(|&end| end <= file_length);
        let end =
            end.ok_or_else(|| format!("truncated: storage `{key}` ends behind the file's {file_length} bytes"))?;
        reader.seek(SeekFrom::Start(end)).map_err(cannot_read)?;
        storages.insert(key.clone(), start..end);
    }
    Ok((Container::Stream { file: Mutex::new(reader.into_inner()), storages }, pickle))
}

/// Bytes per element of every storage that the pickle names.
fn element_sizes(pickle: &Pickle) -> HashMap<&str, u64> {
    let sizes = pickle.values.iter().filter_map(|value| match value {
        Value::Storage(storage) => Some((storage.key.as_str(), storage.dtype.bitsize() as u64 / 8)),
        _ => None,
    });
    sizes.collect()
}

const MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];

/// Three pickles: the number above, version 1001, and a dictionary with the byte order.
fn check_preamble(reader: &mut (impl BufRead + Seek)) -> Result<(), String> {
    let head = reader.fill_buf().map_err(cannot_read)?;
    if !head[..head.len().min(32)].windows(MAGIC.len()).any(|window| window == MAGIC) {
        return Err("a pickle, but none that torch.save wrote".to_owned());
    }
    Pickle::read(reader)?;
    let version = Pickle::read(reader)?;
    if !matches!(version.values[version.root], Value::Int(1001)) {
        return Err("a version of PyTorch's old format that is not 1001".to_owned());
    }
    let system = Pickle::read(reader)?;
    let order = system.entries(system.root).into_iter().find(|(key, _)| key == "little_endian");
    match order.map(|(_, order)| &system.values[order]) {
        Some(Value::Bool(true)) => Ok(()),
        _ => Err(BIG_ENDIAN.to_owned()),
    }
}

const BIG_ENDIAN: &str = "not written on a little-endian machine; load and save it again on one";

fn cannot_read(error: io::Error) -> String {
    format!("cannot be read: {error}")
}
