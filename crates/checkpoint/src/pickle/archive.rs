//! The zip archives of `torch.save`, whose entries are stored without compression.
//!
//! Reading the directory takes three reads, and memory of a fixed multiple of its size. The entries are then ranges of
//! the file. This crate has its own reader because the zip libraries need one more read for each entry to find its
//! range. <https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT>

use std::collections::HashMap;
use std::io::SeekFrom;

use super::PickleError;
use super::storages::Place;
use crate::{Kind, Source};

/// An entry of the directory.
struct Entry {
    place: Place,
    is_stored: bool,
}

/// The entries of an archive by their names.
pub(super) struct Archive(HashMap<String, Entry>);

const CONTRADICTION: PickleError = PickleError::Archive("its directory contradicts itself or the file");

impl Archive {
    /// Reads the directory at the end of the file.
    pub(super) fn read(file: &mut dyn Source) -> Result<Self, PickleError> {
        let length = file.seek(SeekFrom::End(0))?;
        let directory = find_directory(file, length)?;
        let mut bytes = Bytes(&directory);
        let mut entries = HashMap::new();
        while !bytes.0.is_empty() {
            let (name, entry) = read_entry(&mut bytes, length).ok_or(CONTRADICTION)?;
            if entries.insert(name, entry).is_some() {
                return Err(PickleError::Archive("two of its entries have the same name"));
            }
        }
        Ok(Self(entries))
    }

    /// The kind of the archive; `None` if it could be written by `torch.save`.
    pub(super) fn other_kind(&self) -> Option<Kind> {
        let has = |end: &str| self.names().any(|name| name.ends_with(end));
        if has("constants.pkl") {
            Some(Kind::TorchScript)
        } else if has(".npy") {
            Some(Kind::NumPy)
        } else {
            (!has("data.pkl")).then_some(Kind::Zip)
        }
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The place of an entry in the file; `None` if there is no such entry.
    pub(super) fn find(&self, name: &str) -> Option<Result<Place, PickleError>> {
        let Entry { place, is_stored } = self.0.get(name)?;
        Some(if *is_stored { Ok(*place) } else { Err(PickleError::Compressed { entry: name.to_owned() }) })
    }
}

const END: &[u8] = b"PK\x05\x06";
const END_LENGTH: usize = 22;
const LONGEST_COMMENT: u64 = 0xffff;
const END_64: &[u8] = b"PK\x06\x06";
const LOCATOR_64: &[u8] = b"PK\x06\x07";
const LOCATOR_64_LENGTH: usize = 20;

/// The directory. The record at the end of the file points to it.
fn find_directory(file: &mut dyn Source, length: u64) -> Result<Vec<u8>, PickleError> {
    let tail_start = length.saturating_sub((END_LENGTH + LOCATOR_64_LENGTH) as u64 + LONGEST_COMMENT);
    let tail = read_at(file, tail_start, length - tail_start)?;
    let searched = &tail[..(tail.len() + END.len()).saturating_sub(END_LENGTH)];
    let end = searched.windows(END.len()).rposition(|window| window == END);
    let end = end.ok_or(PickleError::Archive("it has no directory at its end"))?;
    let mut record = Bytes(&tail[end + END.len()..]);
    let [size, start] = record.skip(8).and_then(|()| Some([record.u32()?, record.u32()?])).ok_or(CONTRADICTION)?;
    let (mut size, mut start) = (u64::from(size), u64::from(start));
    if let Some(locator) = end.checked_sub(LOCATOR_64_LENGTH)
        && let Some(locator) = tail[locator..].strip_prefix(LOCATOR_64)
    {
        let position = Bytes(locator).skip_then(4, Bytes::u64).ok_or(CONTRADICTION)?;
        let record = read_at(file, position, 56.min(length.saturating_sub(position)))?;
        let mut record = Bytes(record.strip_prefix(END_64).ok_or(CONTRADICTION)?);
        [size, start] = record.skip(36).and_then(|()| Some([record.u64()?, record.u64()?])).ok_or(CONTRADICTION)?;
    }
    if start.checked_add(size).is_none_or(|end| end > length) {
        return Err(CONTRADICTION);
    }
    read_at(file, start, size)
}

/// Bytes of the file; an error if the range is not inside it.
fn read_at(file: &mut dyn Source, start: u64, length: u64) -> Result<Vec<u8>, PickleError> {
    let mut bytes = vec![0; usize::try_from(length).map_err(|_| CONTRADICTION)?];
    file.seek(SeekFrom::Start(start))?;
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// The next entry of the directory; `None` if it is broken.
fn read_entry(bytes: &mut Bytes<'_>, file_length: u64) -> Option<(String, Entry)> {
    bytes.take(4).filter(|signature| signature == b"PK\x01\x02")?;
    bytes.skip(4)?;
    let [flags, method] = [bytes.u16()?, bytes.u16()?];
    bytes.skip(4)?;
    let [crc32, stored, length] = [bytes.u32()?, bytes.u32()?, bytes.u32()?];
    let [name, extra, comment] = [bytes.u16()?, bytes.u16()?, bytes.u16()?].map(usize::from);
    bytes.skip(8)?;
    let header = bytes.u32()?;
    let name = String::from_utf8_lossy(bytes.take(name)?).into_owned();
    let [length, _, header] = widened([length, stored, header], bytes.take(extra)?)?;
    bytes.skip(comment)?;
    let place = Place { start: header, length, crc32: Some(crc32).filter(|&crc| crc != 0), has_local_header: true };
    header.checked_add(LOCAL_HEADER).and_then(|start| start.checked_add(length)).filter(|&end| end <= file_length)?;
    Some((name, Entry { place, is_stored: method == 0 && flags & 1 == 0 }))
}

/// Sizes and position of an entry. Those that do not fit into 32 bits are in the extra field 1.
fn widened(narrow: [u32; 3], mut extra: &[u8]) -> Option<[u64; 3]> {
    let mut wide = narrow.map(u64::from);
    while !extra.is_empty() {
        let mut field = Bytes(extra);
        let [kind, length] = [field.u16()?, field.u16()?];
        let mut values = Bytes(field.take(usize::from(length))?);
        extra = field.0;
        if kind == 1 {
            for value in wide.iter_mut().filter(|value| **value == u64::from(u32::MAX)) {
                *value = values.u64()?;
            }
        }
    }
    Some(wide)
}

/// The fixed part of a local header, in bytes. The entry's name, extra field and contents follow it.
pub(super) const LOCAL_HEADER: u64 = 30;

/// The length of a local header with name and extra field; `None` if it is not a local header.
pub(super) fn local_header_length(header: &[u8; LOCAL_HEADER as usize]) -> Option<u64> {
    let mut bytes = Bytes(header.strip_prefix(b"PK\x03\x04")?);
    bytes.skip(22)?;
    Some(LOCAL_HEADER + u64::from(bytes.u16()?) + u64::from(bytes.u16()?))
}

/// A reader of little-endian numbers.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn skip(&mut self, count: usize) -> Option<()> {
        self.take(count).map(drop)
    }

    fn skip_then<T>(mut self, count: usize, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        self.skip(count)?;
        read(&mut self)
    }

    fn u16(&mut self) -> Option<u16> {
        Some(u16::from_le_bytes(self.take(2)?.try_into().ok()?))
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }

    fn u64(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }
}
