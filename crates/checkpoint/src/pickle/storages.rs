//! The positions of a pickle's storages: entries of a zip archive, or one after the other behind the pickle.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Seek, SeekFrom};
use std::ops::Range;

use super::PickleError;
use super::archive::{Archive, LOCAL_HEADER, local_header_length};
use super::input;
use super::values::{Pickle, Value};
use crate::Source;

/// A storage's bytes in the file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    /// The position of the first byte, or of the local header before it.
    pub(super) start: u64,
    pub(super) length: u64,
    /// The checksum of all bytes. It is optional: torch can be told not to write it.
    pub(super) crc32: Option<u32>,
    pub(super) has_local_header: bool,
}

impl Place {
    /// The bytes `window` of the storage. If they are the whole storage, its checksum is verified.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read or was changed, or the window is not inside the storage.
    pub(crate) fn read(&self, file: &mut dyn Source, window: Range<u64>) -> io::Result<Vec<u8>> {
        let length = window.end.checked_sub(window.start).filter(|_| window.end <= self.length);
        let length = length.and_then(|length| usize::try_from(length).ok()).ok_or(io::ErrorKind::InvalidInput)?;
        let start = self.contents(file)? + window.start;
        file.seek(SeekFrom::Start(start))?;
        let mut bytes = vec![0; length]; // the storage lies inside the file
        file.read_exact(&mut bytes)?;
        match self.crc32 {
            Some(expected) if window == (0..self.length) && crc32fast::hash(&bytes) != expected => {
                Err(io::Error::new(io::ErrorKind::InvalidData, "its checksum differs: the file is damaged"))
            }
            _ => Ok(bytes),
        }
    }

    /// The position of the first byte.
    fn contents(&self, file: &mut dyn Source) -> io::Result<u64> {
        if !self.has_local_header {
            return Ok(self.start);
        }
        let mut header = [0; LOCAL_HEADER as usize];
        file.seek(SeekFrom::Start(self.start))?;
        file.read_exact(&mut header)?;
        let length = local_header_length(&header).ok_or(io::ErrorKind::InvalidData)?;
        Ok(self.start + length)
    }
}

/// The storages of a file by their key.
pub(crate) enum Storages {
    /// PyTorch 1.6 and later: `<folder>/data.pkl` and `<folder>/data/<key>`.
    Zip { archive: Archive, folder: String },
    /// Before PyTorch 1.6: a magic number, a version, the byte order of the writer, the pickle, the keys of the
    /// storages, and their elements.
    Stream(HashMap<String, Place>),
}

impl Storages {
    /// Reads the pickle of a file and the positions of its storages.
    pub(crate) fn open(file: &mut dyn Source) -> Result<(Self, Pickle), PickleError> {
        let mut magic = [0; 2];
        file.rewind()?;
        file.read_exact(&mut magic)?;
        file.rewind()?;
        if magic == *b"PK" { open_zip(file) } else { open_stream(file) }
    }

    pub(crate) fn find(&self, key: &str) -> Result<Option<Place>, PickleError> {
        match self {
            Self::Zip { archive, folder } => archive.find(&format!("{folder}data/{key}")).transpose(),
            Self::Stream(storages) => Ok(storages.get(key).copied()),
        }
    }
}

fn open_zip(file: &mut dyn Source) -> Result<(Storages, Pickle), PickleError> {
    let archive = Archive::read(file)?;
    if let Some(kind) = archive.other_kind() {
        return Err(PickleError::Kind(kind));
    }
    let folders = archive.names().filter_map(|name| name.strip_suffix("data.pkl"));
    let folder = folders.min_by_key(|folder| folder.len()).unwrap_or_default().to_owned();
    let mut read = |entry: &str, limit: u64| match archive.find(&format!("{folder}{entry}")).transpose()? {
        Some(place) if place.length > limit => Err(PickleError::TooLong { length: place.length, limit }),
        Some(place) => Ok(place.read(file, 0..place.length).map(Some)?),
        None => Ok(None),
    };
    if read("byteorder", 16)?.is_some_and(|order| order.starts_with(b"big")) {
        return Err(PickleError::BigEndian);
    }
    let pickle = read("data.pkl", input::LONGEST)?.unwrap_or_default();
    let pickle = Pickle::read(&mut pickle.as_slice())?;
    Ok((Storages::Zip { archive, folder }, pickle))
}

/// Bytes read at once from a pickle of the old format.
const BUFFER: usize = 128 << 10;

fn open_stream(file: &mut dyn Source) -> Result<(Storages, Pickle), PickleError> {
    let file_length = file.seek(SeekFrom::End(0))?;
    file.rewind()?;
    let mut reader = BufReader::with_capacity(BUFFER, file);
    check_preamble(&mut reader)?;
    let pickle = Pickle::read(&mut reader)?;
    let keys = Pickle::read(&mut reader)?;
    let mut start = reader.stream_position()?;
    let file = reader.into_inner();
    let sizes = element_sizes(&pickle)?;
    let mut storages = HashMap::new();
    for (_, key) in keys.entries(keys.root) {
        let key = keys.text(key)?;
        let mut length = [0; 8];
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(&mut length)?;
        start += length.len() as u64;
        let bytes = u64::from_le_bytes(length).checked_mul(sizes.get(key).copied().unwrap_or(1));
        let length = bytes.filter(|&bytes| bytes <= file_length - start).ok_or(PickleError::Truncated)?;
        storages.insert(key.to_owned(), Place { start, length, crc32: None, has_local_header: false });
        start += length;
    }
    Ok((Storages::Stream(storages), pickle))
}

/// Bytes per element of every storage that the pickle names.
fn element_sizes(pickle: &Pickle) -> Result<HashMap<&str, u64>, PickleError> {
    let size = |tuple| pickle.storage(tuple).map(|storage| (storage.key, storage.element_type.bits() / 8));
    pickle.storages().map(size).collect()
}

const MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];

/// Three pickles: the magic number above, version 1001, and a dictionary with the byte order.
fn check_preamble(reader: &mut impl BufRead) -> Result<(), PickleError> {
    let head = reader.fill_buf()?;
    if !head[..head.len().min(32)].windows(MAGIC.len()).any(|window| window == MAGIC) {
        return Err(PickleError::NotTorch);
    }
    Pickle::read(reader)?;
    let version = Pickle::read(reader)?;
    match version.value(version.root) {
        Value::Int(version) if version.get() == 1001 => {}
        Value::Int(version) => return Err(PickleError::Version(version.get())),
        _ => return Err(PickleError::Expected("the version of the format")),
    }
    let system = Pickle::read(reader)?;
    let order = system.entries(system.root).find(|(key, _)| key == "little_endian");
    match order.map(|(_, order)| system.value(order)) {
        Some(Value::Bool(true)) => Ok(()),
        _ => Err(PickleError::BigEndian),
    }
}
