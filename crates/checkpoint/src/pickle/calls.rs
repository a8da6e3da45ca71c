//! The few calls that build a checkpoint.

use super::globals;
use super::machine::{Id, Machine, Value};
use super::tensor::{Storage, TensorView};

impl Machine {
    pub(super) fn text(&self, id: Id) -> Result<&str, String> {
        match &self.values[id] {
            Value::Str(text) | Value::Global(text) => Ok(text),
            _ => Err("broken pickle: another value where a text is expected".to_owned()),
        }
    }

    fn size(&self, id: Id) -> Result<usize, String> {
        match &self.values[id] {
            Value::Int(number) => usize::try_from(*number).map_err(|_| format!("broken pickle: {number} as a size")),
            _ => Err("broken pickle: another value where a size is expected".to_owned()),
        }
    }

    fn items(&self, id: Id) -> Result<&[Id], String> {
        match &self.values[id] {
            Value::Sequence(items) => Ok(items),
            _ => Err("broken pickle: another value where a list is expected".to_owned()),
        }
    }

    fn sizes(&self, id: Id) -> Result<Vec<usize>, String> {
        self.items(id)?.iter().map(|&size| self.size(size)).collect()
    }

    /// `callable(*arguments)`.
    pub(super) fn call(&mut self) -> Result<(), String> {
        let [callable, arguments] = self.take(2)?[..] else { return Err("broken pickle".to_owned()) };
        let arguments = self.items(arguments)?.to_vec();
        let value = match (self.text(callable)?, &arguments[..]) {
            ("torch._utils._rebuild_parameter", [tensor, ..]) => {
                self.stack.push(*tensor);
                return Ok(());
            }
            (
                "torch._utils._rebuild_tensor" | "torch._utils._rebuild_tensor_v2",
                [storage, offset, shape, strides, ..],
            ) => self.tensor(self.storage(*storage)?, [*offset, *shape, *strides])?,
            ("torch._utils._rebuild_tensor_v3", [storage, offset, shape, strides, _, _, dtype, ..]) => {
                self.tensor(self.typed(*storage, *dtype)?, [*offset, *shape, *strides])?
            }
            ("torch.Size" | "builtins.set" | "builtins.frozenset" | "__builtin__.set", [items]) => {
                Value::Sequence(self.items(*items)?.to_vec())
            }
            ("collections.OrderedDict" | "builtins.dict", []) => Value::Dict(Vec::new()),
            ("collections.OrderedDict" | "builtins.dict", [entries]) => self.dict(*entries)?,
            _ => Value::Opaque,
        };
        self.push(value)
    }

    fn tensor(&self, storage: Storage, [offset, shape, strides]: [Id; 3]) -> Result<Value, String> {
        TensorView::new(storage, self.size(offset)?, self.sizes(shape)?, self.sizes(strides)?)
            .map(|tensor| Value::Tensor(Box::new(tensor)))
    }

    fn storage(&self, id: Id) -> Result<Storage, String> {
        match &self.values[id] {
            Value::Storage(storage) => Ok(Storage::clone(storage)),
            _ => Err("broken pickle: another value where a tensor's storage is expected".to_owned()),
        }
    }

    /// A storage of bytes as one of elements.
    fn typed(&self, storage: Id, dtype: Id) -> Result<Storage, String> {
        let storage = self.storage(storage)?;
        let name = self.text(dtype)?;
        let dtype = name.strip_prefix("torch.").and_then(globals::torch_dtype);
        let dtype = dtype.ok_or_else(|| format!("tensors of type {name} cannot be read"))?;
        let bytes =
            storage.length.checked_mul(storage.dtype.bitsize() / 8).ok_or("broken pickle: an endless storage")?;
        Ok(Storage { length: bytes / (dtype.bitsize() / 8), dtype, ..storage })
    }

    fn dict(&self, entries: Id) -> Result<Value, String> {
        let pair = |&entry: &Id| match self.items(entry)? {
            [key, value] => Ok((*key, *value)),
            _ => Err("broken pickle: a dictionary of other things than pairs".to_owned()),
        };
        self.items(entries)?.iter().map(pair).collect::<Result<_, _>>().map(Value::Dict)
    }

    /// `("storage", type, key, device, elements)`, behind which old files have `None` or a view of a storage.
    pub(super) fn push_storage(&mut self) -> Result<(), String> {
        let id = self.pop()?;
        let [_, kind, key, _, length, rest @ ..] = self.items(id)? else {
            return Err("broken pickle: a storage without a size".to_owned());
        };
        if rest.iter().any(|&view| !matches!(self.values[view], Value::None)) {
            return Err(
                "views of storages as PyTorch 0.3 wrote them cannot be read; save it again with a newer one".to_owned()
            );
        }
        let kind = self.text(*kind)?;
        let dtype = globals::storage_dtype(kind).ok_or_else(|| format!("tensors of type {kind} cannot be read"))?;
        let storage = Storage { key: self.text(*key)?.to_owned(), dtype, length: self.size(*length)? };
        self.push(Value::Storage(Box::new(storage)))
    }
}
