//! Convolutions in bands: the rows of the input that each band needs, and the sizes of its tensors.

use std::ops::Range;

use pyrograph_kernels::{Conv2d, largest};

use crate::DoesNotFit;

/// A convolution over a feature map, optionally after upsampling by two.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Convolution {
    input: [usize; 4],  // [batch, channels_in, height, width], as it is stored
    weight: [usize; 4], // [channels_out, channels_in, kernel, kernel]
    stride: usize,
    padding: [usize; 4], // top, left, bottom, right
    scale: usize,
}

/// Some rows of a convolution's output, and the input for them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Band {
    /// Rows of the input.
    pub(crate) input: Range<usize>,
    /// Top, left, bottom and right padding of those rows.
    pub(crate) padding: [usize; 4],
    /// The rows of the result to keep.
    pub(crate) rows: Range<usize>,
}

impl Convolution {
    /// For an input `[batch, channels_in, height, width]` that is upsampled by `scale`, 1 or 2.
    pub(crate) fn new(input: [usize; 4], conv: &Conv2d, scale: usize) -> Self {
        let stride = conv.stride[0];
        assert!(scale == 1 || stride == 1, "nothing is enlarged and then reduced");
        Self { input, weight: conv.weight.lazy_shape().dims(), stride, padding: conv.padding, scale }
    }

    /// `[batch, channels_out, height_out, width_out]`
    pub(crate) fn output(&self) -> [usize; 4] {
        let [top, left, bottom, right] = self.padding;
        let [batch, _, height, width] = self.input;
        let size = |pixels: usize| (pixels - self.weight[2]) / self.stride + 1;
        [batch, self.weight[0], size(height * self.scale + top + bottom), size(width * self.scale + left + right)]
    }

    /// The bands of the output, of nearly equal height, for which no tensor has more than `limit` values.
    pub(crate) fn bands(&self, limit: u64) -> Result<Vec<Band>, DoesNotFit> {
        let height = self.output()[2];
        let most = self.most_rows(limit)?;
        let ends = even(height, most).into_iter().scan(0, |end, rows| {
            *end += rows;
            Some(*end - rows..*end)
        });
        Ok(ends.map(|rows| self.band(rows)).collect())
    }

    /// Values of the largest tensor for a band of `rows` rows.
    pub(crate) fn largest_tensor(&self, rows: usize) -> u64 {
        let [_, _, height_out, width_out] = self.output();
        let [batch, channels_in, height, width] = self.input;
        let reach = (rows - 1) * self.stride + self.weight[2];
        // An upsampled row comes with its twin, above and below.
        let twins = 2 * (self.scale - 1);
        let below = (reach + twins).min(height * self.scale);
        let made = (rows + twins).min(height_out);
        largest::conv2d([batch, channels_in, below, width * self.scale], self.weight, [made, width_out])
    }

    /// Whether the tensors of the whole convolution have at most `limit` values.
    pub(crate) fn fits(&self, limit: u64) -> bool {
        self.largest_tensor(self.output()[2]) <= limit
    }

    fn most_rows(&self, limit: u64) -> Result<usize, DoesNotFit> {
        let needed = self.largest_tensor(1);
        if needed > limit {
            return Err(DoesNotFit::Row { width: self.input[3] * self.scale, needed, limit });
        }
        let (mut fits, mut beyond) = (1, self.output()[2] + 1);
        while beyond - fits > 1 {
            let middle = usize::midpoint(fits, beyond);
            *(if self.largest_tensor(middle) <= limit { &mut fits } else { &mut beyond }) = middle;
        }
        Ok(fits)
    }

    fn band(&self, rows: Range<usize>) -> Band {
        let [top, left, _, right] = self.padding;
        let height = self.input[2] * self.scale;
        // Rows of the upsampled input for the band; those outside of it are padding.
        let first = (rows.start * self.stride).saturating_sub(top);
        let above = top.saturating_sub(rows.start * self.stride);
        let end = ((rows.end - 1) * self.stride + self.weight[2]).saturating_sub(top);
        let below = end.saturating_sub(height);
        let input = first / self.scale..end.min(height).div_ceil(self.scale);
        let skipped = first - input.start * self.scale;
        Band { padding: [above, left, below, right], rows: skipped..skipped + rows.len(), input }
    }
}

/// Parts of `height` rows, of nearly equal size, none with more than `most`.
pub(crate) fn even(height: usize, most: usize) -> Vec<usize> {
    let parts = height.div_ceil(most);
    (0..parts).map(|i| (i + 1) * height / parts - i * height / parts).collect()
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use proptest::prelude::*;
    use pyrograph_kernels::Conv2dConfig;

    use super::*;

    fn conv(channels: [usize; 2], kernel: usize, stride: usize, padding: [usize; 4]) -> Conv2d {
        let config = Conv2dConfig::new(channels, [kernel; 2]).with_stride([stride; 2]).with_padding(padding);
        config.init(&Device::flex())
    }

    proptest! {
        /// The bands compute every row once, from no more of the input than the limit allows.
        #[test]
        fn bands_make_every_row_within_the_limit(
            (batch, channels_in, channels_out) in (1..3usize, 1..600usize, 1..600usize),
            (height, width) in (2..600usize, 2..600usize),
            which in 0..4usize,
            limit in 1..200_000_000u64,
        ) {
            let (kernel, stride, padding, scale) =
                [(3, 1, [1; 4], 1), (3, 2, [0, 0, 1, 1], 1), (1, 1, [0; 4], 1), (3, 1, [1; 4], 2)][which];
            let conv = conv([channels_in, channels_out], kernel, stride, padding);
            let convolution = Convolution::new([batch, channels_in, height, width], &conv, scale);
            let [_, _, height_out, width_out] = convolution.output();
            let bands = match convolution.bands(limit) {
                Ok(bands) => bands,
                Err(error) => {
                    prop_assert!(error.needed() > limit);
                    return Ok(());
                }
            };
            let mut made = 0;
            for band in bands {
                let below = band.input.len() * scale; // rows of the input, enlarged
                let [top, _, bottom, _] = band.padding;
                let rows = (below + top + bottom - kernel) / stride + 1;
                prop_assert!(band.input.end <= height && band.rows.end <= rows, "{band:?} of {rows} rows");
                prop_assert!((batch * channels_in * below * width * scale) as u64 <= limit, "the input of {band:?}");
                prop_assert!((batch * channels_out * rows * width_out) as u64 <= limit, "the output of {band:?}");
                // Row 0 of the result has its first tap at row `input.start * scale - top` of the upsampled input.
                let first = (band.input.start * scale + band.rows.start * stride) as isize - top as isize;
                prop_assert_eq!(first, (made * stride) as isize - padding[0] as isize);
                made += band.rows.len();
            }
            prop_assert_eq!(made, height_out);
        }
    }
}
