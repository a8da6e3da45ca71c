//! The error for tensors that cannot be cut into small enough parts.

/// A tensor of the autoencoder has more values than the limit, and cannot be cut further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DoesNotFit {
    /// One row of a feature map, with the rows around it that a convolution needs.
    #[error("one row of a feature map {width} wide needs a tensor of {needed} values; the limit is {limit}")]
    Row {
        /// Width of the feature map.
        width: usize,
        /// Values of the tensor.
        needed: u64,
        /// The most values that a tensor may have.
        limit: u64,
    },
    /// The attention of the middle block, which needs all pixels at once.
    #[error("attention over {height} x {width} pixels needs a tensor of {needed} values; the limit is {limit}")]
    Attention {
        /// Height of the feature map.
        height: usize,
        /// Width of the feature map.
        width: usize,
        /// Values of the tensor.
        needed: u64,
        /// The most values that a tensor may have.
        limit: u64,
    },
    /// The image or the latents, which enter and leave the network as one tensor.
    #[error("{height} x {width} in one tensor are {needed} values; the limit is {limit}")]
    Whole {
        /// Height of the image or the latents.
        height: usize,
        /// Their width.
        width: usize,
        /// Values of the tensor.
        needed: u64,
        /// The most values that a tensor may have.
        limit: u64,
    },
}

impl DoesNotFit {
    /// The most values that a tensor may have.
    pub fn limit(&self) -> u64 {
        match *self {
            Self::Row { limit, .. } | Self::Attention { limit, .. } | Self::Whole { limit, .. } => limit,
        }
    }

    /// Values of the tensor that is too large.
    pub fn needed(&self) -> u64 {
        match *self {
            Self::Row { needed, .. } | Self::Attention { needed, .. } | Self::Whole { needed, .. } => needed,
        }
    }
}
