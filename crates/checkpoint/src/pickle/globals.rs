//! What a checkpoint's pickle may name.

use safetensors::Dtype;

/// Python's names for what [`super::machine`] rebuilds or keeps as a mere name. Nothing else may be named, because a
/// pickle names a function in order to call it. `*` stands for all of a module.
const KNOWN: [(&str, &[&str]); 17] = [
    ("collections", &["OrderedDict", "defaultdict", "Counter"]),
    ("builtins", BUILTINS),
    ("__builtin__", BUILTINS),
    ("torch", &["*"]),
    ("torch.storage", &["UntypedStorage", "TypedStorage"]),
    ("torch._utils", &["_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_tensor_v3", "_rebuild_parameter"]),
    ("torch.nn.modules.container", &["ParameterDict"]),
    ("torch.nn.parameter", &["Parameter"]),
    ("numpy", &["dtype", "ndarray", "float64", "float32", "int64", "int32", "bool_"]),
    ("numpy.core.multiarray", &["scalar", "_reconstruct"]),
    ("numpy._core.multiarray", &["scalar", "_reconstruct"]),
    ("_codecs", &["encode"]),
    ("argparse", &["Namespace"]),
    ("pytorch_lightning.callbacks.model_checkpoint", &["ModelCheckpoint"]),
    ("pytorch_lightning.callbacks.early_stopping", &["EarlyStopping"]),
    ("pytorch_lightning.utilities.parsing", &["AttributeDict"]),
    ("pytorch_lightning.callbacks", &["model_checkpoint"]),
];

const BUILTINS: &[&str] = &[
    "set",
    "frozenset",
    "list",
    "dict",
    "tuple",
    "int",
    "float",
    "bool",
    "str",
    "bytes",
    "bytearray",
    "complex",
    "slice",
];

/// Of module `torch` only types and such plain values, no functions like `torch.load`.
fn is_torch_type(name: &str) -> bool {
    name.ends_with("Storage")
        || name.starts_with(|first: char| first.is_uppercase())
        || name == "device"
        || torch_dtype(name).is_some()
}

pub(crate) fn is_known(module: &str, name: &str) -> bool {
    let names = KNOWN.iter().find(|(known, _)| *known == module).map(|(_, names)| *names);
    names.is_some_and(|names| names.contains(&name) || (names.contains(&"*") && is_torch_type(name)))
}

/// `HalfStorage` and its like.
pub(crate) fn storage_dtype(name: &str) -> Option<Dtype> {
    Some(match name {
        "torch.DoubleStorage" => Dtype::F64,
        "torch.FloatStorage" => Dtype::F32,
        "torch.HalfStorage" => Dtype::F16,
        "torch.BFloat16Storage" => Dtype::BF16,
        "torch.LongStorage" => Dtype::I64,
        "torch.IntStorage" => Dtype::I32,
        "torch.ShortStorage" => Dtype::I16,
        "torch.CharStorage" => Dtype::I8,
        "torch.ByteStorage" | "torch.UntypedStorage" | "torch.storage.UntypedStorage" => Dtype::U8,
        "torch.BoolStorage" => Dtype::BOOL,
        _ => return None,
    })
}

/// `float16` and its like, without `torch.`.
pub(crate) fn torch_dtype(name: &str) -> Option<Dtype> {
    Some(match name {
        "float64" | "double" => Dtype::F64,
        "float32" | "float" => Dtype::F32,
        "float16" | "half" => Dtype::F16,
        "bfloat16" => Dtype::BF16,
        "int64" | "long" => Dtype::I64,
        "int32" | "int" => Dtype::I32,
        "int16" | "short" => Dtype::I16,
        "int8" => Dtype::I8,
        "uint8" => Dtype::U8,
        "uint16" => Dtype::U16,
        "uint32" => Dtype::U32,
        "uint64" => Dtype::U64,
        "bool" => Dtype::BOOL,
        "float8_e4m3fn" => Dtype::F8_E4M3,
        "float8_e5m2" => Dtype::F8_E5M2,
        _ => return None,
    })
}
