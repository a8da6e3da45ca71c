//! A tensor as `torch` saves it: a shape and strides over a storage.

use std::ops::Range;

use safetensors::Dtype;

/// A run of elements that tensors share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Storage {
    /// The file's name for it.
    pub(crate) key: String,
    pub(crate) dtype: Dtype,
    /// Elements.
    pub(crate) length: usize,
}

/// Elements of a storage, picked by an offset and strides.
#[derive(Clone, Debug)]
pub(crate) struct TensorView {
    pub(crate) storage: Storage,
    pub(crate) shape: Vec<usize>,
    strides: Vec<usize>,
    offset: usize,
}

impl TensorView {
    /// Refuses views that reach outside their storage, and views with more elements than the storage has, whose size the
    /// file would not bound.
    pub(crate) fn new(storage: Storage, offset: usize, shape: Vec<usize>, strides: Vec<usize>) -> Result<Self, String> {
        let view = Self { storage, shape, strides, offset };
        let elements = view.shape.iter().try_fold(1_usize, |product, &extent| product.checked_mul(extent));
        let end = view.extent().and_then(|extent| extent.checked_add(offset));
        let length = view.storage.length;
        if view.strides.len() != view.shape.len()
            || elements.is_none_or(|elements| elements > length)
            || end.is_none_or(|end| end > length)
        {
            return Err(format!(
                "a tensor of shape {:?}, strides {:?} and offset {offset} does not fit its storage of {length} elements",
                view.shape, view.strides
            ));
        }
        Ok(view)
    }

    /// Elements from the first to the last, both included.
    fn extent(&self) -> Option<usize> {
        if self.shape.contains(&0) {
            return Some(0);
        }
        let last =
            |sum: usize, (&extent, &stride): (&usize, &usize)| (extent - 1).checked_mul(stride)?.checked_add(sum);
        self.shape.iter().zip(&self.strides).try_fold(0, last)?.checked_add(1)
    }

    /// Compares the storage that the pickle promises with the bytes that the file has.
    pub(crate) fn check(&self, bytes: Option<u64>) -> Result<(), String> {
        let Storage { key, dtype, length } = &self.storage;
        let promised = (*length as u64).checked_mul(dtype.bitsize() as u64 / 8);
        match bytes {
            None => Err(format!("has its elements in storage `{key}`, which the file lacks")),
            Some(bytes) if promised.is_none_or(|promised| promised > bytes) => Err(format!(
                "has its elements in a storage of {length} x {dtype}, for which the file has {bytes} bytes"
            )),
            Some(_) => Ok(()),
        }
    }

    /// The storage's bytes among which the tensor's are.
    pub(crate) fn window(&self) -> Range<u64> {
        let size = self.storage.dtype.bitsize() / 8;
        let extent = self.extent().unwrap_or(0);
        (self.offset * size) as u64..((self.offset + extent) * size) as u64
    }

    /// The tensor's own bytes, in row-major order, out of those of its [`window`](Self::window).
    pub(crate) fn gather(&self, window: Vec<u8>) -> Vec<u8> {
        if self.is_contiguous() {
            return window;
        }
        let size = self.storage.dtype.bitsize() / 8;
        let mut starts = vec![0];
        for (&extent, &stride) in self.shape.iter().zip(&self.strides) {
            starts = starts.iter().flat_map(|start| (0..extent).map(move |index| start + index * stride)).collect();
        }
        starts.iter().flat_map(|start| &window[start * size..(start + 1) * size]).copied().collect()
    }

    fn is_contiguous(&self) -> bool {
        let mut expected = 1;
        let mut follows = |(&extent, &stride): (&usize, &usize)| {
            let fits = extent == 1 || stride == expected;
            expected *= extent;
            fits
        };
        self.shape.contains(&0) || self.shape.iter().zip(&self.strides).rev().all(&mut follows)
    }
}
