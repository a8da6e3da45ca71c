//! Computes the sizes of an autoencoder's tensors without their values.

use pyrograph_blocks::Attention;
use pyrograph_kernels::{Conv2d, GroupNorm, largest};

use crate::DoesNotFit;
use crate::bands::Convolution;
use crate::feature_map::FeatureMap;

/// The tensor sizes of encoding or decoding, computed in advance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Extent {
    /// Values of the largest tensor: a band of a feature map, or the weights of a layer.
    pub largest_tensor: u64,
    /// Values of the largest feature map, all its bands together. About three maps of this size exist at the same time.
    pub largest_map: u64,
}

/// The sizes of a feature map, and of the tensors that made it.
#[derive(Debug, Clone)]
pub(crate) struct Sizes {
    shape: [usize; 4],
    limit: u64,
    so_far: Result<Extent, DoesNotFit>,
}

impl Sizes {
    /// For a feature map `[batch, channels, height, width]` whose operations use tensors of at most `limit` values.
    pub(crate) fn new(shape: [usize; 4], limit: usize) -> Self {
        let so_far = Ok(Extent { largest_tensor: 0, largest_map: 0 });
        Self { shape, limit: limit as u64, so_far }.into_whole()
    }

    /// The extent, with the feature map in one tensor at the end.
    pub(crate) fn into_extent(self) -> Result<Extent, DoesNotFit> {
        self.into_whole().so_far
    }

    fn values(&self) -> u64 {
        self.shape.iter().map(|&size| size as u64).product()
    }

    fn into_whole(self) -> Self {
        let ([_, _, height, width], needed, limit) = (self.shape, self.values(), self.limit);
        let fits = if needed <= limit { Ok(needed) } else { Err(DoesNotFit::Whole { height, width, needed, limit }) };
        let shape = self.shape;
        self.then(shape, fits)
    }

    /// The sizes after an operation with this largest tensor.
    fn then(self, shape: [usize; 4], largest_tensor: Result<u64, DoesNotFit>) -> Self {
        let next = Self { shape, ..self };
        let values = next.values();
        let so_far = next.so_far.and_then(|so_far| {
            Ok(Extent {
                largest_tensor: so_far.largest_tensor.max(largest_tensor?),
                largest_map: so_far.largest_map.max(values),
            })
        });
        Self { so_far, ..next }
    }

    fn convolve(self, conv: &Conv2d, scale: usize) -> Self {
        let convolution = Convolution::new(self.shape, conv, scale);
        let largest = convolution.bands(self.limit).map(|bands| {
            let heights = bands.iter().map(|band| band.rows.len());
            convolution.largest_tensor(heights.max().unwrap_or(1))
        });
        self.then(convolution.output(), largest)
    }
}

impl FeatureMap for Sizes {
    fn conv2d(self, conv: &Conv2d) -> Self {
        self.convolve(conv, 1)
    }

    fn conv2d_add(self, conv: &Conv2d, addend: Self) -> Self {
        self.conv2d(conv).add(addend)
    }

    fn upsample_conv2d(self, conv: &Conv2d) -> Self {
        self.convolve(conv, 2)
    }

    fn upsample(self) -> Self {
        let [batch, channels, height, width] = self.shape;
        let row = 4 * self.values() / height as u64; // two rows, twice as wide
        let fits = match self.limit / row {
            0 => Err(DoesNotFit::Row { width: 2 * width, needed: row, limit: self.limit }),
            rows => Ok(row * rows.min(height as u64)),
        };
        self.then([batch, channels, 2 * height, 2 * width], fits)
    }

    fn group_norm_silu(self, _: &GroupNorm) -> Self {
        self
    }

    fn attention(self, attention: &Attention) -> Self {
        let ([batch, channels, height, width], limit) = (self.shape, self.limit);
        let (tokens, heads) = (height * width, attention.heads());
        let needed = largest::attention([batch, heads, tokens, channels / heads], tokens)
            .max(largest::linear(batch * tokens, [channels; 2]));
        let fits =
            if needed <= limit { Ok(needed) } else { Err(DoesNotFit::Attention { height, width, needed, limit }) };
        let shape = self.shape;
        self.then(shape, fits)
    }

    fn relu(self) -> Self {
        self
    }

    fn add(self, other: Self) -> Self {
        let both = self.so_far.and_then(|a| {
            let b = other.so_far?;
            let largest_tensor = a.largest_tensor.max(b.largest_tensor);
            Ok(Extent { largest_tensor, largest_map: a.largest_map.max(b.largest_map) })
        });
        Self { so_far: both, ..self }
    }
}
