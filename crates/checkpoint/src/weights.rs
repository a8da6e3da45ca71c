use std::fmt::Debug;

use burn::tensor::{BoolStore, DType, TensorData};
pub use safetensors::Dtype;

use crate::{CheckpointError, Location, PickleFile, SafetensorsFile, Sharded};

/// Element type and shape of a tensor that has not been read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorInfo {
    /// The element type that the file declares.
    pub dtype: Dtype,
    /// The extents, outermost first; empty for a scalar.
    pub shape: Vec<usize>,
}

/// Named tensors of a file, of bytes or of another source, read one at a time.
///
/// Opening costs the names, types and shapes; [`read`](Self::read) costs one tensor and keeps nothing.
pub trait Weights: Debug + Send + Sync {
    /// The file, as error messages name it.
    fn file(&self) -> &str;

    /// The names, sorted.
    fn names(&self) -> Vec<&str>;

    /// Type and shape of a tensor, `None` where the name is unknown.
    fn info(&self, name: &str) -> Option<TensorInfo>;

    /// The tensor's elements, in the type that the file declares.
    ///
    /// # Errors
    /// When there is no such tensor, its bytes cannot be read, or its type is none that burn knows.
    fn read(&self, name: &str) -> Result<TensorData, CheckpointError>;

    /// Text or number that the file carries under `key` beside its tensors: safetensors metadata, a pickle's
    /// `global_step`.
    fn note(&self, key: &str) -> Option<&str>;
}

impl dyn Weights + '_ {
    pub(crate) fn has(&self, name: &str) -> bool {
        self.info(name).is_some()
    }
}

/// Opens any file of named tensors: `.safetensors`, a `*.index.json` over several, or a pickle (`.ckpt`, `.pt`, `.pth`,
/// `.bin`). The contents decide, not the name.
///
/// # Errors
/// When the file cannot be read or is none of these.
pub fn open_weights(location: impl Into<Location>) -> Result<Box<dyn Weights>, CheckpointError> {
    let location = location.into();
    let head = location.read_head(16)?;
    if head.is_empty() {
        Err(location.wrong("the file is empty"))
    } else if location.extension() == "json" {
        Ok(Box::new(Sharded::open(location)?))
    } else if PickleFile::recognises(&head) {
        Ok(Box::new(PickleFile::open(location)?))
    } else if PICKLE_EXTENSIONS.contains(&location.extension()) && head.get(8) != Some(&b'{') {
        Err(location.wrong("neither a zip archive nor a pickle as torch.save writes them"))
    } else {
        Ok(Box::new(SafetensorsFile::open(location)?))
    }
}

const PICKLE_EXTENSIONS: [&str; 4] = ["ckpt", "pt", "pth", "bin"];

/// Bytes of a tensor as burn's data.
pub(crate) fn tensor_data(bytes: Vec<u8>, info: &TensorInfo) -> Result<TensorData, String> {
    let dtype = burn_dtype(info.dtype).ok_or_else(|| format!("has elements of type {}; {SUPPORTED}", info.dtype))?;
    TensorData::try_from_bytes_vec(bytes, info.shape.clone(), dtype).map_err(|error| error.to_string())
}

const SUPPORTED: &str = "float16, bfloat16, float32 and float64 can be used";

fn burn_dtype(dtype: Dtype) -> Option<DType> {
    Some(match dtype {
        Dtype::F64 => DType::F64,
        Dtype::F32 => DType::F32,
        Dtype::F16 => DType::F16,
        Dtype::BF16 => DType::BF16,
        Dtype::I64 => DType::I64,
        Dtype::I32 => DType::I32,
        Dtype::I16 => DType::I16,
        Dtype::I8 => DType::I8,
        Dtype::U64 => DType::U64,
        Dtype::U32 => DType::U32,
        Dtype::U16 => DType::U16,
        Dtype::U8 => DType::U8,
        Dtype::BOOL => DType::Bool(BoolStore::Native),
        _ => return None,
    })
}
