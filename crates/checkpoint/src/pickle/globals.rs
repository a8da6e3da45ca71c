//! What a checkpoint's pickle may name.

use crate::ElementType;

/// What [`Machine::call`](super::machine::Machine::call) does for a class or function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Global {
    /// A tensor from storage, offset, shape and strides.
    Tensor,
    /// The same with the element type as the seventh argument, over a storage of bytes.
    TypedTensor,
    /// Returns its first argument.
    Parameter,
    /// A sequence with the elements of its argument.
    Sequence,
    /// A dictionary, empty or of a list of pairs.
    Dict,
    /// The class of a storage.
    Storage(ElementType),
    /// A type of elements.
    ElementType(ElementType),
    /// A name whose value no reader needs.
    Other,
}

/// Python's names that a checkpoint may have beside those that [`Global::find`] knows. Nothing else may be named, because a
/// pickle names a function in order to call it. `*` stands for all of a module.
const OTHERS: [(&str, &[&str]); 12] = [
    ("collections", &["defaultdict", "Counter"]),
    ("builtins", BUILTINS),
    ("__builtin__", BUILTINS),
    ("torch", &["*"]),
    ("torch.storage", &["TypedStorage"]),
    ("torch.nn.modules.container", &["ParameterDict"]),
    ("torch.nn.parameter", &["Parameter"]),
    ("numpy", &["dtype", "ndarray", "float64", "float32", "int64", "int32", "bool_"]),
    ("numpy.core.multiarray", &["scalar", "_reconstruct"]),
    ("numpy._core.multiarray", &["scalar", "_reconstruct"]),
    ("_codecs", &["encode"]),
    ("argparse", &["Namespace"]),
];

/// PyTorch Lightning's, which end with the name that is asked for.
const LIGHTNING: [(&str, &str); 4] = [
    ("pytorch_lightning.callbacks.model_checkpoint", "ModelCheckpoint"),
    ("pytorch_lightning.callbacks.early_stopping", "EarlyStopping"),
    ("pytorch_lightning.utilities.parsing", "AttributeDict"),
    ("pytorch_lightning.callbacks", "model_checkpoint"),
];

const BUILTINS: &[&str] = &["list", "tuple", "int", "float", "bool", "str", "bytes", "bytearray", "complex", "slice"];

/// No type of PyTorch has a longer name.
const LONGEST_NAME: usize = 64;

impl Global {
    /// What a checkpoint may want with `module.name`; `None` where it must not even name it.
    pub(crate) fn find(module: &str, name: &str) -> Option<Self> {
        Some(match (module, name) {
            ("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2") => Self::Tensor,
            ("torch._utils", "_rebuild_tensor_v3") => Self::TypedTensor,
            ("torch._utils", "_rebuild_parameter") => Self::Parameter,
            ("torch", "Size") | ("builtins" | "__builtin__", "set" | "frozenset") => Self::Sequence,
            ("collections", "OrderedDict") | ("builtins" | "__builtin__", "dict") => Self::Dict,
            ("torch.storage", "UntypedStorage") => Self::Storage(ElementType::U8),
            ("torch", _) if name.ends_with("Storage") => {
                ElementType::of_torch_storage(name).map_or(Self::Other, Self::Storage)
            }
            ("torch", _) if ElementType::of_torch(name).is_some() => Self::ElementType(ElementType::of_torch(name)?),
            _ if is_other(module, name) => Self::Other,
            _ => return None,
        })
        .filter(|_| name.len() <= LONGEST_NAME)
    }
}

fn is_other(module: &str, name: &str) -> bool {
    let names = OTHERS.iter().find(|(known, _)| *known == module).map_or(&[][..], |(_, names)| *names);
    names.contains(&name) || (names.contains(&"*") && is_torch_type(name)) || LIGHTNING.contains(&(module, name))
}

/// Of module `torch` only types and such plain values, no functions like `torch.load`.
fn is_torch_type(name: &str) -> bool {
    name.starts_with(|first: char| first.is_uppercase()) || name == "device" || name.starts_with("complex")
}
