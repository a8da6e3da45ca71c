use std::io;

use crate::Kind;

/// A reason why a file of `torch.save` cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PickleError {
    /// The storage of the file refused to read.
    #[error("cannot be read: {0}")]
    Read(#[source] io::Error),
    /// The file ends inside of its pickle or its tensors.
    #[error("the file is truncated; download or save it again")]
    Truncated,
    /// The zip archive around the pickle contradicts itself or the file.
    #[error("broken or truncated zip archive: {0}")]
    Archive(&'static str),
    /// An entry of the archive is compressed or encrypted.
    #[error("its `{entry}` is compressed or encrypted, which torch.save never does; save it again with torch.save")]
    Compressed {
        /// The entry.
        entry: String,
    },
    /// An archive of another kind.
    #[error("this is {0}")]
    Kind(Kind),
    /// A pickle that does not contain tensors.
    #[error("a pickle that torch.save did not write")]
    NotTorch,
    /// An unknown version of the format before PyTorch 1.6.
    #[error("version {0} of PyTorch's old format; only version 1001 can be read")]
    Version(i64),
    /// The file was written on a big-endian machine.
    #[error("written on a big-endian machine; load and save it again on a little-endian one")]
    BigEndian,
    /// The pickle names a function or class that no checkpoint needs.
    #[error("the pickle asks for `{module}.{name}`, which no checkpoint needs; nothing was run")]
    Forbidden {
        /// Python's module.
        module: String,
        /// The name in it.
        name: String,
    },
    /// An operation that `torch.save` never writes.
    #[error("pickle operation {0:#04x} does not occur in checkpoints")]
    Operation(u8),
    /// An operation needs another type of value.
    #[error("broken pickle: {0} is expected")]
    Expected(&'static str),
    /// An operation takes more values than the stack has.
    #[error("broken pickle: its stack is empty")]
    EmptyStack,
    /// The pickle reads a memo entry that was never stored.
    #[error("broken pickle: it reads memo entry {0}, which it never stored")]
    Memo(u32),
    /// The pickle is longer than that of any checkpoint.
    #[error("the pickle has more than {limit} bytes, or one of its texts has {length}")]
    TooLong {
        /// Bytes of the pickle, or of its longest text.
        length: u64,
        /// The largest number of bytes that is read.
        limit: u64,
    },
    /// More values than a checkpoint has, or more names than a file of its length lists.
    #[error("the pickle has more values than a checkpoint of its length; is it damaged, or meant to fill the memory?")]
    TooManyValues,
    /// Containers that contain themselves, or are nested too deeply.
    #[error("its values are nested too deeply")]
    Nested,
    /// The name of a tensor is too long.
    #[error("a tensor's name has {length} characters, which is too long; it begins with `{beginning}`")]
    Name {
        /// Bytes of the name.
        length: usize,
        /// Its beginning.
        beginning: String,
    },
    /// Two tensors have the same name.
    #[error("tensor `{tensor}` occurs twice")]
    NameTwice {
        /// The name.
        tensor: String,
    },
    /// The type of the elements is not supported.
    #[error("tensors of type {name} cannot be read")]
    ElementType {
        /// PyTorch's name of the type or its storage.
        name: String,
    },
    /// Views of storages as PyTorch 0.3 wrote them.
    #[error("views of storages in the form of PyTorch 0.3 cannot be read; save the file again with a newer PyTorch")]
    StorageView,
    /// A tensor exceeds its storage.
    #[error(
        "tensor `{tensor}` of shape {shape:?}, strides {strides:?} and offset {offset} does not fit its storage of {length} elements"
    )]
    OutsideStorage {
        /// The name.
        tensor: String,
        /// Its extents.
        shape: Vec<u64>,
        /// Elements from one index to the next, for each dimension.
        strides: Vec<u64>,
        /// Elements before its first one.
        offset: u64,
        /// Elements of the storage.
        length: u64,
    },
    /// The file does not contain the elements of a tensor.
    #[error("tensor `{tensor}` has its elements in storage `{key}`, which is not in the file")]
    StorageMissing {
        /// The name.
        tensor: String,
        /// The storage.
        key: String,
    },
    /// A storage has fewer bytes than the pickle states.
    #[error(
        "tensor `{tensor}` has its elements in a storage of {promised} bytes, but the file has {bytes} bytes of it"
    )]
    StorageShort {
        /// The name.
        tensor: String,
        /// Bytes according to the pickle.
        promised: u64,
        /// Bytes in the file.
        bytes: u64,
    },
}

impl From<io::Error> for PickleError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Truncated,
            _ => Self::Read(error),
        }
    }
}
