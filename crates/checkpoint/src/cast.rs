//! Conversion of a file's elements into the elements of a parameter.

use burn::tensor::{DType, Element, TensorData};
use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};

/// Casts to another float type. The values are checked to be finite before and after.
///
/// # Errors
/// A description of the problem, to follow the tensor's name in a message.
pub(crate) fn cast(data: TensorData, dtype: DType) -> Result<TensorData, String> {
    if data.dtype() == dtype {
        check_finite(&data)?;
        return Ok(data);
    }
    let shape = data.shape().clone();
    let single = TensorData::new(single_precision(data)?, shape.clone());
    check_finite(&single)?;
    let values = single.try_into_vec::<f32>().map_err(|error| error.to_string())?;
    let cast = match dtype {
        DType::F32 => return Ok(TensorData::new(values, shape)),
        DType::F16 => TensorData::new(narrow(&values, f16::ZERO, <[f16]>::convert_from_f32_slice), shape),
        DType::BF16 => TensorData::new(narrow(&values, bf16::ZERO, <[bf16]>::convert_from_f32_slice), shape),
        DType::F64 => TensorData::new(values.into_iter().map(f64::from).collect(), shape),
        other => return Err(format!("cannot be loaded as {other:?}; float32 and float16 are possible")),
    };
    check_finite(&cast).map_err(|_| format!("has numbers too large for {dtype:?}; load the model as float32"))?;
    Ok(cast)
}

fn narrow<E: Copy>(values: &[f32], zero: E, convert: impl Fn(&mut [E], &[f32])) -> Vec<E> {
    let mut narrowed = vec![zero; values.len()];
    convert(&mut narrowed, values);
    narrowed
}

fn single_precision(data: TensorData) -> Result<Vec<f32>, String> {
    let mut single = Vec::new();
    match data.dtype() {
        DType::F32 => single = data.try_into_vec().map_err(|error| error.to_string())?,
        DType::F64 => single = elements::<f64>(&data)?.iter().map(|&value| value as f32).collect(),
        DType::F16 => {
            single.resize(data.num_elements(), 0.0);
            elements::<f16>(&data)?.convert_to_f32_slice(&mut single);
        }
        DType::BF16 => {
            single.resize(data.num_elements(), 0.0);
            elements::<bf16>(&data)?.convert_to_f32_slice(&mut single);
        }
        other => {
            return Err(format!(
                "has elements of type {other:?} where weights are float16, bfloat16, float32 or float64"
            ));
        }
    }
    Ok(single)
}

fn elements<E: Element>(data: &TensorData) -> Result<&[E], String> {
    data.as_slice().map_err(|error| format!("{error:?}"))
}

/// Without this check, NaN and infinity in weights would only show much later, as a black image.
fn check_finite(data: &TensorData) -> Result<(), String> {
    let bad = match data.dtype() {
        DType::F32 => elements::<f32>(data)?.iter().position(|value| !value.is_finite()),
        DType::F64 => elements::<f64>(data)?.iter().position(|value| !value.is_finite()),
        DType::F16 => elements::<f16>(data)?.iter().position(|value| !value.is_finite()),
        DType::BF16 => elements::<bf16>(data)?.iter().position(|value| !value.is_finite()),
        other => {
            return Err(format!(
                "has elements of type {other:?} where weights are float16, bfloat16, float32 or float64"
            ));
        }
    };
    bad.map_or(Ok(()), |index| {
        Err(format!("contains NaN or infinity (element {index}); the file is damaged, or its training failed"))
    })
}
