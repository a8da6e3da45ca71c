//! The safetensors format: eight bytes with the header's length, the header in JSON, the tensors' bytes.
//! <https://github.com/huggingface/safetensors#format>

use std::collections::BTreeMap;
use std::fmt;
use std::io::{Cursor, Read, Seek, SeekFrom};
use std::sync::{Mutex, PoisonError};

use burn::tensor::TensorData;
use safetensors::tensor::TensorInfo as Entry;
use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, Visitor};

use crate::weights::tensor_data;
use crate::{CheckpointError, Location, Source, TensorInfo, Weights};

/// The format's own limit.
const LARGEST_HEADER: u64 = 100_000_000;

/// A `.safetensors` file, or the same bytes from elsewhere. Only the header is kept in memory.
pub struct SafetensorsFile<R = Box<dyn Source>> {
    file: String,
    header: Header,
    data_start: u64,
    reader: Mutex<R>,
}

impl SafetensorsFile {
    /// Reads the header of a file and checks it against the file's length.
    ///
    /// # Errors
    /// When the file cannot be read, or its header contradicts itself or the file.
    pub fn open(location: impl Into<Location>) -> Result<Self, CheckpointError> {
        let location = location.into();
        Self::from_reader(&location.to_string(), location.open()?)
    }
}

impl SafetensorsFile<Cursor<Vec<u8>>> {
    /// The same for the bytes of a file, which error messages call `name`.
    ///
    /// # Errors
    /// When the header contradicts itself or the bytes.
    pub fn from_bytes(name: &str, bytes: Vec<u8>) -> Result<Self, CheckpointError> {
        Self::from_reader(name, Cursor::new(bytes))
    }
}

impl<R: Read + Seek> SafetensorsFile<R> {
    /// The same for anything that can be read at a position.
    ///
    /// # Errors
    /// As [`open`](SafetensorsFile::open).
    pub fn from_reader(name: &str, mut reader: R) -> Result<Self, CheckpointError> {
        let (header, data_start) =
            read_header(&mut reader).map_err(|problem| CheckpointError::format(name, problem))?;
        Ok(Self { file: name.to_owned(), header, data_start, reader: Mutex::new(reader) })
    }

    fn read_bytes(&self, entry: &Entry) -> std::io::Result<Vec<u8>> {
        let (start, end) = entry.data_offsets;
        let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        reader.seek(SeekFrom::Start(self.data_start + start as u64))?;
        let mut bytes = vec![0; end - start]; // inside the file, as the header's check found
        reader.read_exact(&mut bytes)?;
        Ok(bytes)
    }
}

impl<R: Read + Seek + Send> Weights for SafetensorsFile<R> {
    fn file(&self) -> &str {
        &self.file
    }

    fn names(&self) -> Vec<&str> {
        self.header.tensors.keys().map(String::as_str).collect()
    }

    fn info(&self, name: &str) -> Option<TensorInfo> {
        let Entry { dtype, shape, .. } = self.header.tensors.get(name)?;
        Some(TensorInfo { dtype: *dtype, shape: shape.clone() })
    }

    fn read(&self, name: &str) -> Result<TensorData, CheckpointError> {
        let wrong = |problem: String| CheckpointError::tensor(&self.file, name, problem);
        let entry = self.header.tensors.get(name).ok_or_else(|| wrong("is missing".to_owned()))?;
        let bytes = self.read_bytes(entry).map_err(|error| wrong(format!("cannot be read: {error}")))?;
        tensor_data(bytes, &TensorInfo { dtype: entry.dtype, shape: entry.shape.clone() }).map_err(wrong)
    }

    fn note(&self, key: &str) -> Option<&str> {
        self.header.notes.get(key).map(String::as_str)
    }
}

impl<R> fmt::Debug for SafetensorsFile<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SafetensorsFile({}, {} tensors)", self.file, self.header.tensors.len())
    }
}

/// The header and the position of the first tensor's first byte.
fn read_header(reader: &mut (impl Read + Seek)) -> Result<(Header, u64), String> {
    let io = |error: std::io::Error| format!("cannot be read: {error}");
    let file_length = reader.seek(SeekFrom::End(0)).map_err(io)?;
    if file_length < 8 {
        return Err(format!("{file_length} bytes are no safetensors file"));
    }
    reader.seek(SeekFrom::Start(0)).map_err(io)?;
    let mut length = [0; 8];
    reader.read_exact(&mut length).map_err(io)?;
    let length = u64::from_le_bytes(length);
    if length > LARGEST_HEADER.min(file_length - 8) {
        return Err(format!("no safetensors file: a header of {length} bytes in a file of {file_length}"));
    }
    let mut json = vec![0; length as usize];
    reader.read_exact(&mut json).map_err(io)?;
    let header: Header =
        serde_json::from_slice(&json).map_err(|error| format!("broken safetensors header: {error}"))?;
    header.check(file_length - 8 - length)?;
    Ok((header, 8 + length))
}

struct Header {
    tensors: BTreeMap<String, Entry>,
    notes: BTreeMap<String, String>,
}

impl Header {
    /// The tensors must cover the rest of the file exactly, each with as many bytes as its shape and type need.
    fn check(&self, data_length: u64) -> Result<(), String> {
        let mut tensors: Vec<_> = self.tensors.iter().collect();
        tensors.sort_by_key(|(_, entry)| entry.data_offsets);
        let mut position = 0;
        for (name, Entry { dtype, shape, data_offsets: (start, end) }) in tensors {
            if *start != position || end < start {
                return Err(format!("tensor `{name}` lies at bytes {start}..{end}; it should begin at {position}"));
            }
            let elements = shape.iter().try_fold(1_usize, |product, &extent| product.checked_mul(extent));
            let bits = elements.and_then(|elements| elements.checked_mul(dtype.bitsize()));
            if bits != (end - start).checked_mul(8) {
                return Err(format!(
                    "tensor `{name}` of type {dtype} and shape {shape:?} cannot have {} bytes",
                    end - start
                ));
            }
            position = *end;
        }
        if position as u64 != data_length {
            return Err(format!("holds {data_length} bytes of tensors where its header lists {position}; truncated?"));
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(HeaderVisitor)
    }
}

/// Unlike a derived map it refuses a name that stands twice.
struct HeaderVisitor;

impl<'de> Visitor<'de> for HeaderVisitor {
    type Value = Header;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("tensors by name")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Header, A::Error> {
        let mut header = Header { tensors: BTreeMap::new(), notes: BTreeMap::new() };
        while let Some(name) = map.next_key::<String>()? {
            if name == "__metadata__" {
                header.notes = map.next_value()?;
            } else if header.tensors.insert(name.clone(), map.next_value()?).is_some() {
                return Err(A::Error::custom(format!("tensor `{name}` is listed twice")));
            }
        }
        Ok(header)
    }
}
