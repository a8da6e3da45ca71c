//! The calls that checkpoints need.

use super::PickleError;
use super::globals::Global;
use super::machine::Machine;
use super::tensor::{Layout, MOST_DIMENSIONS};
use super::values::{Id, Items, OPAQUE, Pickle, Value};
use crate::ElementType;

impl Machine {
    /// `callable(*arguments)`.
    pub(super) fn call(&mut self) -> Result<(), PickleError> {
        let [callable, arguments] = self.take()?;
        let Value::Global(global, _) = self.pickle.value(callable) else {
            return Err(PickleError::Expected("a function or class"));
        };
        let first = self.pickle.first(arguments)?.map(|[first]| first);
        match (global, first) {
            (Global::Tensor | Global::TypedTensor, _) => {
                self.push_new(Value::Tensor { arguments, typed: global == Global::TypedTensor });
            }
            (Global::Parameter | Global::Sequence, Some(first)) => self.push(first),
            (Global::Dict, None) => self.push_new(Value::Dict(Items::EMPTY)),
            (Global::Dict, Some(pairs)) => self.push_new(Value::Pairs(pairs)),
            _ => self.push(OPAQUE),
        }
        Ok(())
    }

    /// `("storage", class, key, device, elements)`; in old files, `None` or a view of a storage follows.
    pub(super) fn push_storage(&mut self) -> Result<(), PickleError> {
        let [tuple] = self.take()?;
        if let Some([.., view]) = self.pickle.first::<6>(tuple)?
            && !matches!(self.pickle.value(view), Value::None)
        {
            return Err(PickleError::StorageView);
        }
        self.pickle.storage(tuple)?;
        self.push_new(Value::Storage(tuple));
        Ok(())
    }
}

/// Keys are numbers. Each use of a key is hashed, so a long key that is used often would take hours.
const LONGEST_KEY: usize = 256;

/// A sequence of elements that tensors share.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Storage<'a> {
    /// The name of the storage in the file.
    pub(crate) key: &'a str,
    pub(crate) element_type: ElementType,
    /// Number of elements.
    pub(crate) length: u64,
}

impl Pickle {
    /// The storage that a tuple describes.
    pub(crate) fn storage(&self, tuple: Id) -> Result<Storage<'_>, PickleError> {
        let [_, class, key, _, length] =
            self.first(tuple)?.ok_or(PickleError::Expected("a storage with its class, key and size"))?;
        let element_type = match self.value(class) {
            Value::Global(Global::Storage(element_type), _) => element_type,
            Value::Global(_, name) => {
                return Err(PickleError::ElementType { name: format!("torch.{}", self.str(name)) });
            }
            _ => return Err(PickleError::Expected("the class of a storage")),
        };
        let key = self.text(key)?;
        if key.len() > LONGEST_KEY {
            return Err(PickleError::Expected("a storage's key of at most 256 bytes"));
        }
        Ok(Storage { key, element_type, length: self.count(length)? })
    }

    /// Storage and layout of the tensor that PyTorch would make of these arguments.
    pub(crate) fn tensor(&self, arguments: Id, typed: bool) -> Result<(Storage<'_>, Layout), PickleError> {
        let missing = PickleError::Expected("a tensor with storage, offset, shape and strides");
        let [storage, offset, shape, strides] = self.first(arguments)?.ok_or(missing)?;
        let Value::Storage(tuple) = self.value(storage) else {
            return Err(PickleError::Expected("a tensor's storage"));
        };
        let mut storage = self.storage(tuple)?;
        if typed {
            let [.., element_type] =
                self.first::<7>(arguments)?.ok_or(PickleError::Expected("a tensor's element type"))?;
            storage = self.retyped(storage, element_type)?;
        }
        Ok((
            storage,
            Layout { offset: self.count(offset)?, shape: self.counts(shape)?, strides: self.counts(strides)? },
        ))
    }

    /// A storage of bytes, seen as a storage of elements.
    fn retyped<'a>(&'a self, storage: Storage<'a>, element_type: Id) -> Result<Storage<'a>, PickleError> {
        let element_type = match self.value(element_type) {
            Value::Global(Global::ElementType(element_type), _) => element_type,
            Value::Global(_, name) => {
                return Err(PickleError::ElementType { name: format!("torch.{}", self.str(name)) });
            }
            _ => return Err(PickleError::Expected("an element type")),
        };
        let bits = storage.length.checked_mul(storage.element_type.bits()).ok_or(PickleError::Expected("a size"))?;
        Ok(Storage { length: bits / element_type.bits(), element_type, ..storage })
    }

    fn count(&self, id: Id) -> Result<u64, PickleError> {
        match self.value(id) {
            Value::Int(number) => u64::try_from(number.get()).map_err(|_| PickleError::Expected("a positive size")),
            _ => Err(PickleError::Expected("a size")),
        }
    }

    fn counts(&self, id: Id) -> Result<Vec<u64>, PickleError> {
        let counts: Vec<u64> =
            self.items(id)?.take(MOST_DIMENSIONS + 1).map(|id| self.count(id)).collect::<Result<_, _>>()?;
        if counts.len() <= MOST_DIMENSIONS { Ok(counts) } else { Err(PickleError::Expected("at most 8 dimensions")) }
    }
}
