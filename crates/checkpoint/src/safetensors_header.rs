//! The header of a safetensors file. Numbers are `u64` on every platform: a file can be larger than 4 GiB in a browser
//! too.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{Read, Seek, SeekFrom};

use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::{ElementType, TensorInfo};

/// The limit of the format.
const LARGEST: u64 = 100_000_000;

/// The tensors and the metadata of a file.
pub(crate) struct Header {
    pub(crate) tensors: BTreeMap<String, Entry>,
    pub(crate) notes: BTreeMap<String, String>,
}

/// One tensor. Offsets count from the first byte of the first tensor.
#[derive(Debug, Deserialize)]
pub(crate) struct Entry {
    #[serde(deserialize_with = "element_type")]
    pub(crate) dtype: ElementType,
    pub(crate) shape: Vec<u64>,
    pub(crate) data_offsets: (u64, u64),
}

impl Entry {
    pub(crate) fn info(&self) -> TensorInfo {
        // An extent larger than the address space belongs to a tensor that does not fit into memory.
        let extent = |&extent: &u64| usize::try_from(extent).unwrap_or(usize::MAX);
        TensorInfo { dtype: self.dtype, shape: self.shape.iter().map(extent).collect() }
    }

    /// Whether type and shape need exactly the bytes that the tensor has.
    fn fills_its_bytes(&self) -> bool {
        let (start, end) = self.data_offsets;
        let elements = self.shape.iter().try_fold(1_u64, |product, &extent| product.checked_mul(extent));
        elements
            .is_some_and(|elements| u128::from(elements) * u128::from(self.dtype.bits()) == u128::from(end - start) * 8)
    }
}

impl Header {
    /// Reads the header in two reads. Also returns the position of the first tensor's first byte.
    ///
    /// # Errors
    /// A description of the problem, to follow the file's name in a message.
    pub(crate) fn read(reader: &mut (impl Read + Seek)) -> Result<(Self, u64), String> {
        let io = |error: std::io::Error| format!("cannot be read: {error}");
        let file_length = reader.seek(SeekFrom::End(0)).map_err(io)?;
        if file_length < 8 {
            return Err(format!("not a safetensors file: it has only {file_length} bytes"));
        }
        reader.seek(SeekFrom::Start(0)).map_err(io)?;
        let mut length = [0; 8];
        reader.read_exact(&mut length).map_err(io)?;
        let length = u64::from_le_bytes(length);
        if length > LARGEST.min(file_length - 8) {
            return Err(format!(
                "not a safetensors file, or truncated: a header of {length} bytes in a file of {file_length}"
            ));
        }
        let mut json = vec![0; length as usize];
        reader.read_exact(&mut json).map_err(io)?;
        let header: Self =
            serde_json::from_slice(&json).map_err(|error| format!("broken safetensors header: {error}"))?;
        header.check(file_length - 8 - length)?;
        Ok((header, 8 + length))
    }

    /// The tensors must cover the rest of the file exactly, each with as many bytes as its shape and type need.
    fn check(&self, data_length: u64) -> Result<(), String> {
        let mut tensors: Vec<_> = self.tensors.iter().collect();
        tensors.sort_by_key(|(_, entry)| entry.data_offsets);
        let mut position = 0;
        for (name, entry) in tensors {
            let (start, end) = entry.data_offsets;
            if start != position || end < start {
                return Err(format!("tensor `{name}` lies at bytes {start}..{end}; it should begin at {position}"));
            }
            if !entry.fills_its_bytes() {
                let (dtype, shape, bytes) = (entry.dtype, &entry.shape, end - start);
                return Err(format!("tensor `{name}` of type {dtype} and shape {shape:?} cannot have {bytes} bytes"));
            }
            position = end;
        }
        if position != data_length {
            return Err(format!("has {data_length} bytes of tensors, but its header lists {position}; truncated?"));
        }
        Ok(())
    }
}

fn element_type<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ElementType, D::Error> {
    let name = String::deserialize(deserializer)?;
    ElementType::of_safetensors(&name).ok_or_else(|| D::Error::custom(format!("unknown element type `{name}`")))
}

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(HeaderVisitor)
    }
}

/// Unlike a derived map, it refuses a repeated name.
struct HeaderVisitor;

impl<'de> Visitor<'de> for HeaderVisitor {
    type Value = Header;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("tensors by name")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Header, A::Error> {
        let (mut tensors, mut metadata) = (BTreeMap::new(), None);
        while let Some(name) = map.next_key::<String>()? {
            let is_twice = if name == "__metadata__" {
                metadata.replace(map.next_value::<Note>()?).is_some()
            } else {
                tensors.insert(name.clone(), map.next_value()?).is_some()
            };
            if is_twice {
                return Err(A::Error::custom(format!("`{name}` is listed twice")));
            }
        }
        let notes = if let Some(Note::Texts(notes)) = metadata { notes } else { BTreeMap::new() };
        Ok(Header { tensors, notes })
    }
}

/// A value of the metadata. The format requires strings, but the weights can be used without the metadata, and training
/// programs write other values. Numbers and booleans become text; other values are ignored.
enum Note {
    Text(String),
    Texts(BTreeMap<String, String>),
    Nothing,
}

impl<'de> Deserialize<'de> for Note {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NoteVisitor)
    }
}

struct NoteVisitor;

impl<'de> Visitor<'de> for NoteVisitor {
    type Value = Note;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("metadata")
    }

    fn visit_str<E>(self, text: &str) -> Result<Note, E> {
        Ok(Note::Text(text.to_owned()))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Note, E> {
        Ok(Note::Text(value.to_string()))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Note, E> {
        Ok(Note::Text(number.to_string()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Note, E> {
        Ok(Note::Text(number.to_string()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Note, E> {
        Ok(Note::Text(number.to_string()))
    }

    fn visit_unit<E>(self) -> Result<Note, E> {
        Ok(Note::Nothing)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Note, A::Error> {
        while sequence.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Note::Nothing)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Note, A::Error> {
        let mut texts = BTreeMap::new();
        while let Some((key, note)) = map.next_entry::<String, Self::Value>()? {
            if let Note::Text(text) = note {
                texts.insert(key, text);
            }
        }
        Ok(Note::Texts(texts))
    }
}
