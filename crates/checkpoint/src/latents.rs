//! Initial latents of a denoising run.

use std::path::Path;

use burn::tensor::{DType, TensorData};

use crate::{CheckpointError, ElementType, SafetensorsFile, Weights};

/// Reads the tensor `latents` of a safetensors file.
///
/// # Shapes
/// - output: `[n, channels, height, width]`, float32
///
/// # Errors
/// Returns an error if the file cannot be read, or has no finite float32 tensor of that name with four dimensions.
pub fn read_latents(path: &Path) -> Result<TensorData, CheckpointError> {
    let file = SafetensorsFile::open(path)?;
    let info = file.info("latents").ok_or_else(|| CheckpointError::missing(path, "has no tensor `latents`"))?;
    if info.dtype != ElementType::F32 || info.shape.len() != 4 {
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
