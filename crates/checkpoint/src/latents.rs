//! Tensors that leave the program.

use std::fs;
use std::path::Path;

use burn::tensor::{DType, TensorData};
use safetensors::Dtype;
use safetensors::tensor::{TensorView, serialize_to_file};

use crate::{CheckpointError, SafetensorsFile, Weights};

/// Writes tensors as a safetensors file: under a temporary name first, so that no half-written file is ever there.
///
/// # Errors
/// When a tensor is not of type float32, float16, bfloat16 or int64, or the file cannot be written.
pub fn save_tensors(path: &Path, tensors: &[(&str, TensorData)]) -> Result<(), CheckpointError> {
    let views =
        tensors.iter().map(|(name, data)| Ok((*name, view(data).map_err(|problem| wrong(path, name, problem))?)));
    let views = views.collect::<Result<Vec<_>, CheckpointError>>()?;
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(format!(".{}.part", std::process::id()));
    let temporary = Path::new(&temporary);
    let written = serialize_to_file(views, None, temporary)
        .map_err(|error| CheckpointError::format(&path.display().to_string(), error));
    let renamed = written.and_then(|()| fs::rename(temporary, path).map_err(CheckpointError::io(path)));
    if renamed.is_err() {
        let _ = fs::remove_file(temporary); // the first error says more
    }
    renamed
}

fn view(data: &TensorData) -> Result<TensorView<'_>, String> {
    let dtype = match data.dtype() {
        DType::F32 => Dtype::F32,
        DType::F16 => Dtype::F16,
        DType::BF16 => Dtype::BF16,
        DType::I64 => Dtype::I64,
        other => return Err(format!("of type {other:?} cannot be saved")),
    };
    TensorView::new(dtype, data.shape().to_vec(), data.as_bytes()).map_err(|error| error.to_string())
}

/// Reads the tensor `latents` of a safetensors file.
///
/// # Shapes
/// - output: `[n, channels, height, width]`, float32
///
/// # Errors
/// When the file cannot be read, or has no finite float32 tensor of that name with four dimensions.
pub fn read_latents(path: &Path) -> Result<TensorData, CheckpointError> {
    let file = SafetensorsFile::open(path)?;
    let info = file.info("latents").ok_or_else(|| CheckpointError::missing(path, "has no tensor `latents`"))?;
    if info.dtype != Dtype::F32 || info.shape.len() != 4 {
        let problem = format!(
            "is {} of shape {:?}; float32 of shape [n, channels, height, width] is expected",
            info.dtype, info.shape
        );
        return Err(wrong(path, "latents", problem));
    }
    crate::cast::cast(file.read("latents")?, DType::F32).map_err(|problem| wrong(path, "latents", problem))
}

fn wrong(path: &Path, tensor: &str, problem: String) -> CheckpointError {
    CheckpointError::tensor(&path.display().to_string(), tensor, problem)
}
