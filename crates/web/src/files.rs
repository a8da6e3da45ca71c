//! Files that JavaScript reads.

use std::collections::HashMap;
use std::fmt;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use pyrograph::{Source, Storage};
use send_wrapper::SendWrapper;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

#[wasm_bindgen]
extern "C" {
    /// A file of a model: its path inside of it, its size, and a way to read it at any position.
    #[derive(Clone)]
    pub type ModelFile;

    #[wasm_bindgen(method, getter)]
    fn path(file: &ModelFile) -> String;

    #[wasm_bindgen(method, getter)]
    fn size(file: &ModelFile) -> f64;

    /// Fills `bytes` from a position on, and says how many there were.
    #[wasm_bindgen(method, catch)]
    fn read(file: &ModelFile, position: f64, bytes: &mut [u8]) -> Result<f64, JsValue>;
}

/// The files of a model by their paths. JavaScript's objects never leave the worker's one thread.
pub(crate) struct ModelFiles(HashMap<PathBuf, SendWrapper<ModelFile>>);

impl ModelFiles {
    pub(crate) fn new(files: Vec<ModelFile>) -> Self {
        Self(files.into_iter().map(|file| (PathBuf::from(file.path()), SendWrapper::new(file))).collect())
    }

    /// Where the model is: the one file, or the folder of all files.
    pub(crate) fn root(&self) -> PathBuf {
        match self.0.keys().collect::<Vec<_>>().as_slice() {
            [file] => PathBuf::from(file),
            _ => PathBuf::new(),
        }
    }
}

impl Storage for ModelFiles {
    fn open(&self, path: &Path) -> io::Result<Box<dyn Source>> {
        let file = self.0.get(path).cloned().ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(Reader { file, position: 0 }))
    }

    fn is_file(&self, path: &Path) -> bool {
        self.0.contains_key(path)
    }

    fn is_dir(&self, path: &Path) -> bool {
        !self.is_file(path) && self.0.keys().any(|file| file.starts_with(path))
    }
}

impl fmt::Debug for ModelFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

struct Reader {
    file: SendWrapper<ModelFile>,
    position: u64,
}

impl Read for Reader {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let left = (self.file.size() as u64).saturating_sub(self.position);
        let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
        if wanted == 0 {
            return Ok(0);
        }
        let failed = |error| io::Error::other(js_sys::Error::from(error).message().as_string().unwrap_or_default());
        let read = self.file.read(self.position as f64, &mut bytes[..wanted]).map_err(failed)?;
        self.position += read as u64;
        Ok(read as usize)
    }
}

impl Seek for Reader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let (start, offset) = match to {
            SeekFrom::Start(position) => (position, 0),
            SeekFrom::Current(offset) => (self.position, offset),
            SeekFrom::End(offset) => (self.file.size() as u64, offset),
        };
        self.position = start.checked_add_signed(offset).ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}
