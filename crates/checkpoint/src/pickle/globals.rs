//! The functions and classes that the pickle of a checkpoint may name.

use crate::ElementType;

/// The meaning of a class or function for [`Machine::call`](super::machine::Machine::call).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Global {
    /// A tensor from storage, offset, shape and strides.
    Tensor,
    /// Like `Tensor`, over a storage of bytes, with the element type as the seventh argument.
    TypedTensor,
    /// Returns its first argument.
    Parameter,
    /// A sequence with the elements of its argument.
    Sequence,
    /// A dictionary, empty or from a list of pairs.
    Dict,
    /// The class of a storage.
    Storage(ElementType),
    /// A type of elements.
    ElementType(ElementType),
    /// A name whose value is never needed.
    Other,
}

/// Further Python names that a checkpoint may contain, beside those of [`Global::find`]. All other names are refused,
/// because a pickle names a function in order to call it. `*` stands for all names of a module.
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

/// Classes of PyTorch Lightning and their modules.
const LIGHTNING: [(&str, &str); 4] = [
    ("pytorch_lightning.callbacks.model_checkpoint", "ModelCheckpoint"),
    ("pytorch_lightning.callbacks.early_stopping", "EarlyStopping"),
    ("pytorch_lightning.utilities.parsing", "AttributeDict"),
    ("pytorch_lightning.callbacks", "model_checkpoint"),
];

const BUILTINS: &[&str] = &["list", "tuple", "int", "float", "bool", "str", "bytes", "bytearray", "complex", "slice"];

/// Longest name of a PyTorch type.
const LONGEST_NAME: usize = 64;

impl Global {
    /// The meaning of `module.name`; `None` if a checkpoint must not name it.
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

/// Only types and similar plain values of the module `torch`, not functions such as `torch.load`.
fn is_torch_type(name: &str) -> bool {
    name.starts_with(|first: char| first.is_uppercase()) || name == "device" || name.starts_with("complex")
}
