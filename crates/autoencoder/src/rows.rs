//! Feature maps that can be too large for one tensor.

use burn::module::Param;
use burn::tensor::{DType, Tensor, activation};
use pyrograph_blocks::Attention;
use pyrograph_kernels::{
    Conv2d, GroupNorm, Linear, conv2d, conv2d_add, group_norm_silu, linear, silu, upsample_conv2d, upsample_nearest,
};

use crate::bands::{Band, Convolution, even};
use crate::feature_map::FeatureMap;

/// A feature map cut into bands of rows, none with more than `limit` values.
///
/// A GPU limits the bytes that it binds to a shader (128 MiB by WebGPU's defaults), and the decoder's last feature maps
/// exceed this at 512x512. Convolutions take rows from the neighbouring bands, and group normalisation gathers its
/// statistics over all bands. The result is therefore that of the whole feature map, without seams or blending.
///
/// A feature map that fits is one band, and every operation on it is the ordinary one. [`Sizes`](crate::extent::Sizes)
/// checks in advance whether a row of every feature map fits.
#[derive(Debug, Clone)]
pub(crate) struct Rows {
    bands: Vec<Tensor<4>>, // [batch, channels, some rows, width]
    limit: usize,
}

impl Rows {
    /// A feature map `[batch, channels, height, width]`, stored in tensors of at most `limit` values.
    pub(crate) fn new(x: Tensor<4>, limit: usize) -> Self {
        Self::of(vec![x], limit)
    }

    /// Joins the bands.
    ///
    /// # Shapes
    /// `[batch, channels, height, width]`
    pub(crate) fn into_tensor(mut self) -> Tensor<4> {
        if self.bands.len() == 1 { self.bands.remove(0) } else { Tensor::cat(self.bands, 2) }
    }

    fn of(bands: Vec<Tensor<4>>, limit: usize) -> Self {
        let largest = bands.iter().map(|band| band.shape().num_elements()).max().unwrap_or(0);
        assert!(largest <= limit, "a band has {largest} values, the limit is {limit}");
        Self { bands, limit }
    }

    fn convolve(self, conv: &Conv2d, scale: usize) -> Self {
        let bands = Convolution::new(self.dims(), conv, scale).bands(self.limit as u64);
        let bands = bands.unwrap_or_else(|error| panic!("the sizes have been checked: {error}"));
        Self::of(bands.into_iter().map(|band| self.convolve_band(conv, scale, band)).collect(), self.limit)
    }

    fn convolve_band(&self, conv: &Conv2d, scale: usize, band: Band) -> Tensor<4> {
        let conv = Conv2d { padding: band.padding, ..conv.clone() };
        let x = self.rows(band.input.start, band.input.end);
        let [_, _, height, width] = x.dims();
        let y =
            if scale == 1 { conv2d(x, &conv) } else { upsample_conv2d(x, [height, width].map(|n| n * scale), &conv) };
        if y.dims()[2] == band.rows.len() { y } else { y.narrow(2, band.rows.start, band.rows.len()) }
    }

    /// Applies `f`, which treats every pixel separately, to every band.
    fn map(self, f: impl Fn(Tensor<4>) -> Tensor<4>) -> Self {
        Self::of(self.bands.into_iter().map(f).collect(), self.limit)
    }

    fn dims(&self) -> [usize; 4] {
        let [batch, channels, _, width] = self.bands[0].dims();
        [batch, channels, self.bands.iter().map(|x| x.dims()[2]).sum(), width]
    }

    /// The rows `start .. end`, joined from all bands that contain them.
    fn rows(&self, start: usize, end: usize) -> Tensor<4> {
        let mut top = 0;
        let mut parts = Vec::new();
        for band in &self.bands {
            let height = band.dims()[2];
            let (from, to) = (start.max(top), end.min(top + height));
            if from < to {
                let all = from == top && to == top + height;
                parts.push(if all { band.clone() } else { band.clone().narrow(2, from - top, to - from) });
            }
            top += height;
        }
        if parts.len() == 1 { parts.remove(0) } else { Tensor::cat(parts, 2) }
    }

    /// The same feature map in bands of these heights.
    fn recut(&self, heights: &[usize]) -> Self {
        let ends = heights.iter().scan(0, |end, rows| {
            *end += rows;
            Some(*end)
        });
        Self::of(heights.iter().zip(ends).map(|(rows, end)| self.rows(end - rows, end)).collect(), self.limit)
    }

    fn heights(&self) -> Vec<usize> {
        self.bands.iter().map(|x| x.dims()[2]).collect()
    }
}

/// The sum of each channel.
///
/// # Shapes
/// `[batch, channels, height, width]` -> `[batch, channels]`
fn sum_of_pixels(x: Tensor<4>) -> Tensor<2> {
    let [batch, channels, height, _] = x.dims();
    sum(sum(x).reshape([batch, channels, height])).reshape([batch, channels])
}

/// The sum over the last dimension, as a product with ones: burn tunes its own sums when they are first used, which takes minutes on
/// a software adapter.
fn sum<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    let ones = Tensor::ones([1, x.dims()[D - 1]], (&x.device(), x.dtype()));
    linear(x, &Linear { weight: Param::from_tensor(ones), bias: None })
}

impl FeatureMap for Rows {
    fn conv2d(self, conv: &Conv2d) -> Self {
        self.convolve(conv, 1)
    }

    fn conv2d_add(self, conv: &Conv2d, addend: Self) -> Self {
        let convolution = Convolution::new(self.dims(), conv, 1);
        match (self.bands.as_slice(), addend.bands.as_slice()) {
            ([x], [addend]) if convolution.fits(self.limit as u64) => {
                Self::new(conv2d_add(x.clone(), conv, addend.clone()), self.limit)
            }
            _ => addend.add(self.conv2d(conv)),
        }
    }

    fn upsample_conv2d(self, conv: &Conv2d) -> Self {
        self.convolve(conv, 2)
    }

    fn upsample(self) -> Self {
        let [batch, channels, height, width] = self.dims();
        let most = self.limit / (4 * batch * channels * width);
        self.recut(&even(height, most)).map(|x| {
            let [_, _, height, width] = x.dims();
            upsample_nearest(x, [2 * height, 2 * width])
        })
    }

    /// With statistics over all bands.
    fn group_norm_silu(self, norm: &GroupNorm) -> Self {
        if self.bands.len() == 1 {
            return self.map(|x| group_norm_silu(x, norm));
        }
        let [batch, channels, height, width] = self.dims();
        let groups = norm.groups;
        let count = (channels / groups * height * width) as f64;
        // The mean over each group, [batch, channels, 1, 1]. It is summed along one axis after the other, because long
        // sums lose precision.
        let mean = |f: &dyn Fn(Tensor<4>) -> Tensor<4>| {
            let sums = self.bands.iter().map(|x| sum_of_pixels(f(x.clone().cast(DType::F32)))); // each [batch, channels]
            let sums = sums.reduce(|all, band| all + band).expect("a feature map has bands");
            let means = sum(sums.reshape([batch, groups, channels / groups])) / count; // [batch, groups, 1]
            means.expand([batch, groups, channels / groups]).reshape([batch, channels, 1, 1])
        };
        let average = mean(&|x| x);
        let variance = mean(&|x| (x - average.clone()).square());
        let per_channel = |weights: &Param<Tensor<1>>| weights.val().cast(DType::F32).reshape([1, channels, 1, 1]);
        let scale = (variance + norm.epsilon).sqrt().recip() * per_channel(&norm.weight);
        let shift = per_channel(&norm.bias);
        self.clone().map(|x| {
            let dtype = x.dtype();
            let normed = (x.cast(DType::F32) - average.clone()) * scale.clone();
            silu(normed + shift.clone()).cast(dtype)
        })
    }

    fn attention(self, attention: &Attention) -> Self {
        let limit = self.limit;
        Self::new(attention.forward_map(self.into_tensor()), limit)
    }

    fn relu(self) -> Self {
        self.map(activation::relu)
    }

    /// In the bands of `other`: a convolution may have cut its output finer than its input.
    fn add(self, other: Self) -> Self {
        let bands = self.recut(&other.heights()).bands.into_iter().zip(other.bands);
        Self::of(bands.map(|(x, y)| x + y).collect(), self.limit)
    }
}
