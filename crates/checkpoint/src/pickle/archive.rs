//! The zip archives of `torch.save`, whose entries are stored as they are.
//!
//! Reading its directory takes three reads and a fixed multiple of its bytes, and the entries are then parts of the file: no zip
//! library says where they lie without a read for each. <https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT>

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
    /// Reads the directory at the file's end.
    pub(super) fn read(file: &mut dyn Source) -> Result<Self, PickleError> {
        let length = file.seek(SeekFrom::End(0))?;
        let directory = find_directory(file, length)?;
        let mut bytes = Bytes(&directory);
        let mut entries = HashMap::new();
        while !bytes.0.is_empty() {
            let (name, entry) = read_entry(&mut bytes, length).ok_or(CONTRADICTION)?;
            if entries.insert(name, entry).is_some() {
                return Err(PickleError::Archive("two of its entries have one name"));
            }
        }
        Ok(Self(entries))
    }

    /// What the archive is, `None` where it may be one of `torch.save`.
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

    /// Where an entry lies, `None` where there is no such.
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

/// The directory, which the record at the end of the file points to.
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

/// Bytes that lie in the file.
fn read_at(file: &mut dyn Source, start: u64, length: u64) -> Result<Vec<u8>, PickleError> {
    let mut bytes = vec![0; usize::try_from(length).map_err(|_| CONTRADICTION)?];
    file.seek(SeekFrom::Start(start))?;
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// The next entry of the directory, `None` where it is broken.
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

/// Sizes and position of an entry; those that 32 bits cannot hold are in the extra field 1.
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

/// Bytes in front of an entry's name, extra field and contents.
pub(super) const LOCAL_HEADER: u64 = 30;

/// How many bytes a local header has in all, `None` where it is none.
pub(super) fn local_header_length(header: &[u8; LOCAL_HEADER as usize]) -> Option<u64> {
    let mut bytes = Bytes(header.strip_prefix(b"PK\x03\x04")?);
    bytes.skip(22)?;
    Some(LOCAL_HEADER + u64::from(bytes.u16()?) + u64::from(bytes.u16()?))
}

/// Little-endian numbers in a row.
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
