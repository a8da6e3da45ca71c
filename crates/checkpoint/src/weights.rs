use std::fmt::Debug;
use std::sync::Arc;

use burn::tensor::TensorData;

use crate::kind::{HEAD, without_model};
use crate::{CheckpointError, ElementType, Kind, Location, PickleFile, SafetensorsFile, Sharded};

/// Element type and shape of a tensor, known without reading it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorInfo {
    /// The element type that the file declares.
    pub dtype: ElementType,
    /// The extents, outermost first; empty for a scalar.
    pub shape: Vec<usize>,
}

/// Named tensors of a file, of bytes or of another source, read one at a time.
///
/// Opening reads the names, types and shapes. [`read`](Self::read) reads one tensor and keeps nothing.
pub trait Weights: Debug + Send + Sync {
    /// The name of the file, for messages.
    fn file(&self) -> &str;

    /// The names, sorted.
    fn names(&self) -> Vec<&str>;

    /// Type and shape of a tensor; `None` if the name is unknown.
    fn info(&self, name: &str) -> Option<TensorInfo>;

    /// The elements of a tensor in the type that the file declares; float8 becomes float16, which can represent all its
    /// values.
    ///
    /// # Errors
    /// Returns an error if there is no such tensor, its bytes cannot be read, or burn has no such type.
    fn read(&self, name: &str) -> Result<TensorData, CheckpointError>;

    /// Text or number that the file stores under `key` beside its tensors: safetensors metadata, or a pickle's
    /// `global_step`.
    fn note(&self, key: &str) -> Option<&str>;
}

impl dyn Weights + '_ {
    pub(crate) fn has(&self, name: &str) -> bool {
        self.info(name).is_some()
    }
}

/// Opens any file of named tensors: `.safetensors`, a `*.index.json` over several files, or a pickle (`.ckpt`, `.pt`,
/// `.pth`, `.bin`). The format is detected from the contents, not from the name.
///
/// # Errors
/// Returns an error if the file cannot be read or is none of these. The error names the kind of file that it is.
pub fn open_weights(location: impl Into<Location>) -> Result<Arc<dyn Weights>, CheckpointError> {
    let location = location.into();
    match open_by_head(&location) {
        Err(CheckpointError::Format { .. } | CheckpointError::Pickle { .. }) if location.is_unfinished() => {
            Err(location.of_kind(Kind::UnfinishedDownload))
        }
        opened => opened,
    }
}

fn open_by_head(location: &Location) -> Result<Arc<dyn Weights>, CheckpointError> {
    if location.is_dir() {
        return Err(location.of_kind(without_model(location)));
    }
    let head = location.read_head(HEAD)?;
    match Kind::of_head(&head) {
        Kind::Safetensors => Ok(Arc::new(SafetensorsFile::open(location.clone())?)),
        Kind::Pickle | Kind::Zip => Ok(Arc::new(PickleFile::open(location.clone())?)),
        Kind::Json(_) if location.path().file_name().is_some_and(|name| name == "model_index.json") => {
            Err(location.of_kind(Kind::PipelineIndex))
        }
        Kind::Json(_) if location.extension() == "json" => Ok(Arc::new(Sharded::open(location.clone())?)),
        Kind::Unknown if location.extension() == "safetensors" => {
            Ok(Arc::new(SafetensorsFile::open(location.clone())?))
        }
        kind => Err(location.of_kind(kind)),
    }
}
