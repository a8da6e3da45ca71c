//! The element types of files and their counterparts in burn.

use std::fmt;

use burn::tensor::{BoolStore, DType, TensorData};
use half::f16;

use crate::TensorInfo;

/// The element type of a tensor, as files name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ElementType {
    /// A byte of value 0 or 1.
    Bool,
    /// Unsigned, 8 bits.
    U8,
    /// Signed, 8 bits.
    I8,
    /// Unsigned, 16 bits.
    U16,
    /// Signed, 16 bits.
    I16,
    /// Unsigned, 32 bits.
    U32,
    /// Signed, 32 bits.
    I32,
    /// Unsigned, 64 bits.
    U64,
    /// Signed, 64 bits.
    I64,
    /// Four bits of a microscaling block.
    F4,
    /// Six bits of a microscaling block, two of them the exponent.
    F6E2M3,
    /// Six bits of a microscaling block, three of them the exponent.
    F6E3M2,
    /// `torch.float8_e4m3fn`: 4 bits of exponent, no infinity, up to 448. <https://arxiv.org/abs/2209.05433>
    F8E4M3,
    /// `torch.float8_e5m2`: the upper half of a float16. <https://arxiv.org/abs/2209.05433>
    F8E5M2,
    /// `torch.float8_e4m3fnuz`: without a negative zero.
    F8E4M3Fnuz,
    /// `torch.float8_e5m2fnuz`: without a negative zero.
    F8E5M2Fnuz,
    /// A power of two, the scale of a microscaling block.
    F8E8M0,
    /// IEEE 754 half precision.
    F16,
    /// The upper half of a float32.
    BF16,
    /// IEEE 754 single precision.
    F32,
    /// IEEE 754 double precision.
    F64,
    /// Two float32: a complex number.
    C64,
}

/// Each type, its name in safetensors files, and its bits.
const TYPES: [(ElementType, &str, u64); 22] = [
    (ElementType::Bool, "BOOL", 8),
    (ElementType::U8, "U8", 8),
    (ElementType::I8, "I8", 8),
    (ElementType::U16, "U16", 16),
    (ElementType::I16, "I16", 16),
    (ElementType::U32, "U32", 32),
    (ElementType::I32, "I32", 32),
    (ElementType::U64, "U64", 64),
    (ElementType::I64, "I64", 64),
    (ElementType::F4, "F4", 4),
    (ElementType::F6E2M3, "F6_E2M3", 6),
    (ElementType::F6E3M2, "F6_E3M2", 6),
    (ElementType::F8E4M3, "F8_E4M3", 8),
    (ElementType::F8E5M2, "F8_E5M2", 8),
    (ElementType::F8E4M3Fnuz, "F8_E4M3FNUZ", 8),
    (ElementType::F8E5M2Fnuz, "F8_E5M2FNUZ", 8),
    (ElementType::F8E8M0, "F8_E8M0", 8),
    (ElementType::F16, "F16", 16),
    (ElementType::BF16, "BF16", 16),
    (ElementType::F32, "F32", 32),
    (ElementType::F64, "F64", 64),
    (ElementType::C64, "C64", 64),
];

impl ElementType {
    /// The type that safetensors files call `name`.
    pub(crate) fn of_safetensors(name: &str) -> Option<Self> {
        TYPES.iter().find(|(_, known, _)| *known == name).map(|(element_type, _, _)| *element_type)
    }

    /// The type that PyTorch calls `torch.<name>`.
    pub(crate) fn of_torch(name: &str) -> Option<Self> {
        Some(match name {
            "float64" | "double" => Self::F64,
            "float32" | "float" => Self::F32,
            "float16" | "half" => Self::F16,
            "bfloat16" => Self::BF16,
            "float8_e4m3fn" => Self::F8E4M3,
            "float8_e5m2" => Self::F8E5M2,
            "float8_e4m3fnuz" => Self::F8E4M3Fnuz,
            "float8_e5m2fnuz" => Self::F8E5M2Fnuz,
            "int64" | "long" => Self::I64,
            "int32" | "int" => Self::I32,
            "int16" | "short" => Self::I16,
            "int8" => Self::I8,
            "uint64" => Self::U64,
            "uint32" => Self::U32,
            "uint16" => Self::U16,
            "uint8" => Self::U8,
            "bool" => Self::Bool,
            "complex64" => Self::C64,
            _ => return None,
        })
    }

    /// The elements of PyTorch's class `torch.<name>`, such as `HalfStorage`.
    pub(crate) fn of_torch_storage(name: &str) -> Option<Self> {
        Some(match name {
            "DoubleStorage" => Self::F64,
            "FloatStorage" => Self::F32,
            "HalfStorage" => Self::F16,
            "BFloat16Storage" => Self::BF16,
            "LongStorage" => Self::I64,
            "IntStorage" => Self::I32,
            "ShortStorage" => Self::I16,
            "CharStorage" => Self::I8,
            "ByteStorage" | "UntypedStorage" => Self::U8,
            "BoolStorage" => Self::Bool,
            "ComplexFloatStorage" => Self::C64,
            _ => return None,
        })
    }

    /// The size of one element in bits.
    pub fn bits(self) -> u64 {
        self.row().2
    }

    /// Whether weights can have this type.
    pub fn is_weight(self) -> bool {
        matches!(self, Self::F8E4M3 | Self::F8E5M2 | Self::F16 | Self::BF16 | Self::F32 | Self::F64)
    }

    fn row(self) -> (Self, &'static str, u64) {
        TYPES.into_iter().find(|(element_type, _, _)| *element_type == self).expect("every type has a row")
    }

    /// The burn type with the same representation.
    fn burn(self) -> Option<DType> {
        Some(match self {
            Self::F64 => DType::F64,
            Self::F32 => DType::F32,
            Self::F16 => DType::F16,
            Self::BF16 => DType::BF16,
            Self::I64 => DType::I64,
            Self::I32 => DType::I32,
            Self::I16 => DType::I16,
            Self::I8 => DType::I8,
            Self::U64 => DType::U64,
            Self::U32 => DType::U32,
            Self::U16 => DType::U16,
            Self::U8 => DType::U8,
            Self::Bool => DType::Bool(BoolStore::Native),
            _ => return None,
        })
    }
}

impl fmt::Display for ElementType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.row().1)
    }
}

/// The types that weights may have, for messages.
pub(crate) const WEIGHTS: &str = "weights are float8 (e4m3fn, e5m2), float16, bfloat16, float32 or float64";

/// Converts the bytes of a file to burn's data. burn has no float8; it becomes float16, which can represent all its
/// values.
///
/// # Errors
/// A description of the problem, to follow the tensor's name in a message.
pub(crate) fn tensor_data(bytes: Vec<u8>, info: &TensorInfo) -> Result<TensorData, String> {
    let decoded: fn(u8) -> f16 = match info.dtype {
        ElementType::F8E4M3 => e4m3,
        ElementType::F8E5M2 => e5m2,
        other => {
            let dtype = other.burn().ok_or_else(|| format!("has elements of type {other}; {WEIGHTS}"))?;
            return TensorData::try_from_bytes_vec(bytes, info.shape.clone(), dtype).map_err(|error| error.to_string());
        }
    };
    let table: Vec<f16> = (0..=u8::MAX).map(decoded).collect();
    let values: Vec<f16> = bytes.iter().map(|&code| table[usize::from(code)]).collect();
    Ok(TensorData::new(values, info.shape.clone()))
}

/// Sign, four bits of exponent (bias 7), three bits of mantissa. The two codes in which these seven bits are all set
/// are NaN.
fn e4m3(code: u8) -> f16 {
    let (exponent, mantissa) = (u16::from(code >> 3 & 15), u16::from(code & 7));
    let magnitude = match (exponent, mantissa) {
        (0, _) => f16::from_f32(f32::from(mantissa) / 512.0),
        (15, 7) => f16::NAN,
        _ => f16::from_bits((exponent + 8) << 10 | mantissa << 7), // float16's bias is 15
    };
    if code & 0x80 == 0 { magnitude } else { -magnitude }
}

fn e5m2(code: u8) -> f16 {
    f16::from_bits(u16::from(code) << 8)
}
