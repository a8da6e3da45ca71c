//! The files of a checkpoint. JavaScript finds them.

use std::io::{self, Read, Seek, SeekFrom};

use js_sys::{Function, Promise};
use pyrograph::{Attempt, Checkpoint, OnDemand, Source};
use send_wrapper::SendWrapper;
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;

use crate::error::model_error;

#[wasm_bindgen]
extern "C" {
    /// A file that can be read at any position.
    #[derive(Clone)]
    pub type ModelFile;

    #[wasm_bindgen(method, getter)]
    fn size(file: &ModelFile) -> f64;

    /// Fills `bytes` from a position on; returns the number of bytes read.
    #[wasm_bindgen(method, catch)]
    fn read(file: &ModelFile, position: f64, bytes: &mut [u8]) -> Result<f64, JsValue>;
}

/// A checkpoint whose configurations and headers have been read.
#[derive(Debug)]
#[wasm_bindgen]
pub struct OpenCheckpoint(pub(crate) Checkpoint);

#[wasm_bindgen]
impl OpenCheckpoint {
    /// Opens a diffusers folder or a single file. Error messages call it `name`. `find(path)` is called for one file
    /// after the other, with its path in the folder, or `""` for a single file. It returns, or resolves to, a
    /// `ModelFile`, or `undefined` if the file does not exist.
    ///
    /// # Errors
    /// Returns an error if a file is missing, broken, or of another kind of model (a `ModelError`), and when `find`
    /// fails.
    pub async fn open(name: &str, is_folder: bool, find: &Function) -> Result<Self, JsValue> {
        let files = if is_folder { OnDemand::folder(name) } else { OnDemand::file(name) };
        loop {
            let path = match files.attempt(Checkpoint::open).map_err(|error| model_error(error.into()))? {
                Attempt::Done(checkpoint) => return Ok(Self(checkpoint)),
                Attempt::Needs(path) => path,
            };
            let answer = find.call1(&JsValue::NULL, &path.to_string_lossy().as_ref().into())?;
            match JsFuture::from(Promise::resolve(&answer)).await? {
                absent if absent.is_undefined() => files.absent(&path),
                file => {
                    let file = SendWrapper::new(file.unchecked_into::<ModelFile>());
                    files.found(&path, move || {
                        Ok(Box::new(Reader { file: file.clone(), position: 0 }) as Box<dyn Source>)
                    });
                }
            }
        }
    }
}

/// JavaScript's objects never leave the only thread of the worker.
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
