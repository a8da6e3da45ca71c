//! The hash that identifies the file of a model.

use std::collections::HashMap;
use std::io::Read;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use sha2::{Digest, Sha256};

use crate::{CheckpointError, Location};

/// The file of a single-file checkpoint.
#[derive(Clone, Debug)]
pub struct SingleFile {
    location: Location,
    /// The storage's stamp of the contents when the checkpoint was opened.
    stamp: Option<String>,
    hash: Arc<OnceLock<String>>,
}

/// The hashes computed so far, by the stamp of their file.
static HASHES: Mutex<Option<HashMap<String, String>>> = Mutex::new(None);

/// Bytes read at once.
const BUFFER: usize = 4 << 20;

impl SingleFile {
    pub(crate) fn new(location: Location) -> Self {
        Self { stamp: location.stamp(), location, hash: Arc::default() }
    }

    /// The first ten hexadecimal digits of the file's SHA-256: Civitai's AutoV2, and `Model hash` in the metadata of
    /// images. The first call reads the whole file. Later calls use the stored hash while the file stays the same, also
    /// for checkpoints that are opened later.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read, or has changed since the checkpoint was opened.
    pub fn short_hash(&self) -> Result<String, CheckpointError> {
        if let Some(hash) = self.hash.get() {
            return Ok(hash.clone());
        }
        let known = self.stamp.as_ref().and_then(|stamp| hashes(|hashes| hashes.get(stamp).cloned()));
        let hash = known.map_or_else(|| self.compute(), Ok)?;
        Ok(self.hash.get_or_init(|| hash).clone())
    }

    fn compute(&self) -> Result<String, CheckpointError> {
        let mut file = self.location.open()?;
        let (mut sha, mut buffer) = (Sha256::new(), vec![0; BUFFER]);
        loop {
            match file.read(&mut buffer).map_err(CheckpointError::io(self.location.path()))? {
                0 => break,
                count => sha.update(&buffer[..count]),
            }
        }
        if self.location.stamp() != self.stamp {
            return Err(self.location.wrong("has changed since it was opened; load it again"));
        }
        let hash: String = sha.finalize().iter().take(5).map(|byte| format!("{byte:02x}")).collect();
        if let Some(stamp) = &self.stamp {
            hashes(|hashes| hashes.insert(stamp.clone(), hash.clone()));
        }
        Ok(hash)
    }
}

fn hashes<T>(use_them: impl FnOnce(&mut HashMap<String, String>) -> T) -> T {
    use_them(HASHES.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_default())
}
