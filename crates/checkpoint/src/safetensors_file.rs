//! The safetensors format: eight bytes with the header's length, the header in JSON, the tensors' bytes.
//! <https://github.com/huggingface/safetensors#format>

use std::fmt;
use std::io::{Cursor, Read, Seek, SeekFrom};
use std::sync::{Mutex, PoisonError};

use burn::tensor::TensorData;

use crate::element_type::tensor_data;
use crate::safetensors_header::{Entry, Header};
use crate::{CheckpointError, Location, Source, TensorInfo, Weights};

/// A `.safetensors` file, or the same bytes from another source. Only the header is kept in memory.
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
    /// Returns an error if the file cannot be read, or its header contradicts itself or the file.
    pub fn open(location: impl Into<Location>) -> Result<Self, CheckpointError> {
        let location = location.into();
        Self::from_reader(&location.to_string(), location.open()?)
    }
}

impl SafetensorsFile<Cursor<Vec<u8>>> {
    /// Like [`open`](SafetensorsFile::open), for the bytes of a file. Error messages call it `name`.
    ///
    /// # Errors
    /// Returns an error if the header contradicts itself or the bytes.
    pub fn from_bytes(name: &str, bytes: Vec<u8>) -> Result<Self, CheckpointError> {
        Self::from_reader(name, Cursor::new(bytes))
    }
}

impl<R: Read + Seek> SafetensorsFile<R> {
    /// Like [`open`](SafetensorsFile::open), for any reader that can seek.
    ///
    /// # Errors
    /// The errors of [`open`](SafetensorsFile::open).
    pub fn from_reader(name: &str, mut reader: R) -> Result<Self, CheckpointError> {
        let (header, data_start) =
            Header::read(&mut reader).map_err(|problem| CheckpointError::format(name, problem))?;
        Ok(Self { file: name.to_owned(), header, data_start, reader: Mutex::new(reader) })
    }

    fn read_bytes(&self, entry: &Entry) -> std::io::Result<Vec<u8>> {
        let (start, end) = entry.data_offsets; // inside the file; the header was checked
        let length = usize::try_from(end - start).map_err(|_| std::io::ErrorKind::OutOfMemory)?;
        let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        reader.seek(SeekFrom::Start(self.data_start + start))?;
        let mut bytes = vec![0; length];
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
        self.header.tensors.get(name).map(Entry::info)
    }

    fn read(&self, name: &str) -> Result<TensorData, CheckpointError> {
        let wrong = |problem: String| CheckpointError::tensor(&self.file, name, problem);
        let entry = self.header.tensors.get(name).ok_or_else(|| wrong("is missing".to_owned()))?;
        let bytes = self.read_bytes(entry).map_err(|error| wrong(format!("cannot be read: {error}")))?;
        tensor_data(bytes, &entry.info()).map_err(wrong)
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
