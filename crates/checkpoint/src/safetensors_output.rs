//! The safetensors format, written tensor by tensor.
//! <https://github.com/huggingface/safetensors#format>

use std::borrow::Cow;
use std::io::{self, Write};
use std::path::Path;

use burn::tensor::{DType, TensorData};
use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};

use crate::{CheckpointError, Output};

/// A tensor to be written. Its data is computed when it is written.
pub(crate) struct Entry<'a> {
    pub(crate) name: String,
    pub(crate) dtype: DType,
    pub(crate) shape: Vec<usize>,
    pub(crate) data: Data<'a>,
}

/// An error describes the problem, to follow the tensor's name in a message.
type Data<'a> = Box<dyn FnOnce() -> Result<Cow<'a, TensorData>, String> + 'a>;

/// Writes tensors as a safetensors file, whole or not at all.
///
/// # Errors
/// Returns an error if a tensor is not of type float32, float16, bfloat16 or int64, or the file cannot be written. An
/// existing file is unchanged then.
pub fn save_tensors(path: &Path, tensors: &[(&str, TensorData)]) -> Result<(), CheckpointError> {
    write_tensors(Output::create(path)?, tensors)
}

/// Like [`save_tensors`], to an output that is already open.
///
/// # Errors
/// The errors of [`save_tensors`].
pub fn write_tensors(output: Output, tensors: &[(&str, TensorData)]) -> Result<(), CheckpointError> {
    let entries = tensors.iter().map(|(name, data)| Entry {
        name: (*name).to_owned(),
        dtype: data.dtype(),
        shape: data.shape().to_vec(),
        data: Box::new(move || Ok(Cow::Borrowed(data))),
    });
    write_entries(output, entries.collect())
}

/// Writes the header, then computes and writes one tensor after the other.
pub(crate) fn write_entries(output: Output, mut entries: Vec<Entry<'_>>) -> Result<(), CheckpointError> {
    let file = output.path().display().to_string();
    entries.sort_by(|a, b| file_type(b.dtype).cmp(&file_type(a.dtype)).then_with(|| a.name.cmp(&b.name)));
    let header = header(&file, &entries)?;
    let mut wrong = None;
    let written = output.write_with(|output| {
        output.write_all(&(header.len() as u64).to_le_bytes())?;
        output.write_all(&header)?;
        for Entry { name, data, .. } in entries {
            match data() {
                Ok(data) => output.write_all(data.as_bytes())?,
                Err(problem) => {
                    wrong = Some(CheckpointError::tensor(&file, &name, problem));
                    return Err(io::ErrorKind::InvalidData.into());
                }
            }
        }
        Ok(())
    });
    wrong.map_or_else(|| Ok(written?), Err)
}

/// The header in JSON, padded with spaces to a multiple of eight bytes. Types with more bytes come first, which aligns
/// all numbers.
fn header(file: &str, entries: &[Entry<'_>]) -> Result<Vec<u8>, CheckpointError> {
    let mut end = 0;
    let info = |entry: &Entry<'_>| {
        let unknown =
            || CheckpointError::tensor(file, &entry.name, format!("has type {:?}, which cannot be saved", entry.dtype));
        let dtype = file_type(entry.dtype).ok_or_else(unknown)?;
        let start = end;
        end += entry.shape.iter().product::<usize>() * entry.dtype.size();
        Ok((entry.name.clone(), TensorInfo { dtype, shape: entry.shape.clone(), data_offsets: (start, end) }))
    };
    let infos = entries.iter().map(info).collect::<Result<Vec<_>, CheckpointError>>()?;
    let metadata = Metadata::new(None, infos).map_err(|error| CheckpointError::format(file, error))?;
    let mut header = serde_json::to_vec(&metadata).map_err(|error| CheckpointError::format(file, error))?;
    header.resize(header.len().next_multiple_of(8), b' ');
    Ok(header)
}

fn file_type(dtype: DType) -> Option<Dtype> {
    match dtype {
        DType::F64 => Some(Dtype::F64),
        DType::F32 => Some(Dtype::F32),
        DType::F16 => Some(Dtype::F16),
        DType::BF16 => Some(Dtype::BF16),
        DType::I64 => Some(Dtype::I64),
        DType::I32 => Some(Dtype::I32),
        DType::I16 => Some(Dtype::I16),
        DType::I8 => Some(Dtype::I8),
        DType::U64 => Some(Dtype::U64),
        DType::U32 => Some(Dtype::U32),
        DType::U16 => Some(Dtype::U16),
        DType::U8 => Some(Dtype::U8),
        _ => None,
    }
}
