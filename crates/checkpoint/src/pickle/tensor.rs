//! A tensor as `torch` saves it: a shape and strides over a storage.

use std::ops::Range;

use super::PickleError;
use super::calls::Storage;
use super::storages::Place;
use crate::{ElementType, TensorInfo};

/// Limit of dimensions, more than any weight has.
pub(crate) const MOST_DIMENSIONS: usize = 8;

/// Elements of a storage, selected by an offset and strides.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    pub(crate) offset: u64,
    pub(crate) shape: Vec<u64>,
    pub(crate) strides: Vec<u64>,
}

impl Layout {
    fn elements(&self) -> Option<u64> {
        self.shape.iter().try_fold(1_u64, |product, &extent| product.checked_mul(extent))
    }

    /// The number of elements from the first to the last, both included.
    fn extent(&self) -> Option<u64> {
        if self.shape.contains(&0) {
            return Some(0);
        }
        let last = |sum: u64, (&extent, &stride): (&u64, &u64)| (extent - 1).checked_mul(stride)?.checked_add(sum);
        self.shape.iter().zip(&self.strides).try_fold(0, last)?.checked_add(1)
    }

    /// Whether the tensor stays inside a storage of `length` elements and has at most as many elements. The file then
    /// limits its size.
    fn fits(&self, length: u64) -> bool {
        let end = self.extent().and_then(|extent| extent.checked_add(self.offset));
        self.strides.len() == self.shape.len()
            && self.elements().is_some_and(|elements| elements <= length)
            && end.is_some_and(|end| end <= length)
    }
}

/// A tensor and the position of its elements in the file.
#[derive(Debug)]
pub(crate) struct TensorView {
    place: Place,
    element_type: ElementType,
    layout: Layout,
}

impl TensorView {
    /// Refuses layouts that exceed the storage, and storages that are longer than the file.
    pub(crate) fn new(
        tensor: &str,
        storage: Storage<'_>,
        layout: Layout,
        place: Option<Place>,
    ) -> Result<Self, PickleError> {
        let tensor = || tensor.to_owned();
        let Storage { key, element_type, length } = storage;
        let place = place.ok_or_else(|| PickleError::StorageMissing { tensor: tensor(), key: shortened(key) })?;
        if !layout.fits(length) {
            let Layout { offset, shape, strides } = layout;
            return Err(PickleError::OutsideStorage { tensor: tensor(), shape, strides, offset, length });
        }
        let promised = length.saturating_mul(element_type.bits() / 8);
        if promised > place.length {
            return Err(PickleError::StorageShort { tensor: tensor(), promised, bytes: place.length });
        }
        Ok(Self { place, element_type, layout })
    }

    pub(crate) fn info(&self) -> TensorInfo {
        // An extent larger than the address space belongs to a tensor that does not fit into memory.
        let extent = |&extent: &u64| usize::try_from(extent).unwrap_or(usize::MAX);
        TensorInfo { dtype: self.element_type, shape: self.layout.shape.iter().map(extent).collect() }
    }

    pub(crate) fn place(&self) -> Place {
        self.place
    }

    /// The range of the storage that contains the tensor's bytes.
    pub(crate) fn window(&self) -> Range<u64> {
        let size = self.element_size();
        let extent = self.layout.extent().unwrap_or(0);
        self.layout.offset * size..(self.layout.offset + extent) * size
    }

    fn element_size(&self) -> u64 {
        self.element_type.bits() / 8
    }

    /// The tensor's own bytes in row-major order, from those of its [`window`](Self::window).
    pub(crate) fn gather(&self, window: Vec<u8>) -> Vec<u8> {
        if self.is_contiguous() {
            return window;
        }
        let elements = self.layout.elements().unwrap_or(0);
        let mut bytes = Vec::with_capacity((elements * self.element_size()) as usize);
        self.gather_dimension(0, 0, &window, &mut bytes);
        bytes
    }

    /// Appends the elements of `dimension` and of the inner dimensions, from element `start` of the window.
    fn gather_dimension(&self, dimension: usize, start: usize, window: &[u8], bytes: &mut Vec<u8>) {
        let size = self.element_size() as usize;
        let Some(&extent) = self.layout.shape.get(dimension) else {
            return bytes.extend_from_slice(&window[start * size..(start + 1) * size]);
        };
        let stride = self.layout.strides[dimension] as usize;
        for index in 0..extent as usize {
            self.gather_dimension(dimension + 1, start + index * stride, window, bytes);
        }
    }

    fn is_contiguous(&self) -> bool {
        let mut expected = 1;
        let mut follows = |(&extent, &stride): (&u64, &u64)| {
            let fits = extent == 1 || stride == expected;
            expected *= extent;
            fits
        };
        let Layout { shape, strides, .. } = &self.layout;
        shape.contains(&0) || shape.iter().zip(strides).rev().all(&mut follows)
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(80).collect()
}
