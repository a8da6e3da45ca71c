//! Feature maps that may be too large for one tensor.

use std::ops::Add;

use burn::module::Param;
use burn::nn::conv::Conv2d;
use burn::nn::{GroupNorm, PaddingConfig2d};
use burn::tensor::{DType, Tensor};
use pyrograph_blocks::{Attention, ResnetBlock2d};
use pyrograph_kernels::{conv2d, conv2d_add, group_norm_silu, silu, upsample_conv2d, upsample_nearest};

/// A feature map cut into bands of rows, none with more than `limit` values.
///
/// A GPU binds at most so many bytes to a shader (128 MiB by WebGPU's defaults), and the decoder's last feature maps pass
/// that at 512x512. Convolutions take the rows they need from the neighbouring bands, and group normalisation gathers its
/// statistics over all bands, so the result is that of the whole feature map: no seams, and nothing to blend.
///
/// A feature map that fits is one band, and every operation is then the plain one.
#[derive(Debug, Clone)]
pub struct Rows {
    bands: Vec<Tensor<4>>, // [batch, channels, some rows, width]
    limit: usize,
}

impl Rows {
    /// Takes a feature map `[batch, channels, height, width]`, to be kept in tensors of at most `limit` values.
    pub fn new(x: Tensor<4>, limit: usize) -> Self {
        Self { bands: vec![x], limit }.cut()
    }

    /// Puts the bands together.
    ///
    /// # Shapes
    /// `[batch, channels, height, width]`
    pub fn into_tensor(mut self) -> Tensor<4> {
        if self.bands.len() == 1 { self.bands.remove(0) } else { Tensor::cat(self.bands, 2) }
    }

    /// A convolution with the layer's own stride and padding.
    pub fn conv2d(self, conv: &Conv2d) -> Self {
        if let Some(x) = self.whole(conv, 1) {
            return Self::new(conv2d(x.clone(), conv), self.limit);
        }
        let limit = self.limit;
        let height = self.height();
        let stride = conv.stride[0];
        let (top, left, bottom, right) = padding(conv);
        let height_out = (height + top + bottom - conv.kernel_size[0]) / stride + 1;
        let bands = self.band_heights_after(conv).into_iter().scan(0, |start, rows| {
            let end = (*start + rows).min(height_out);
            let first = (*start * stride) as isize - top as isize;
            let last = (end - 1) as isize * stride as isize - top as isize + conv.kernel_size[0] as isize;
            *start = end;
            let missing = (-first).max(0) as usize; // rows above the picture
            let beyond = (last - height as isize).max(0) as usize; // rows below it
            let input = self.rows(first.max(0) as usize, last.min(height as isize) as usize);
            let padding = PaddingConfig2d::Explicit(missing, left, beyond, right);
            Some(conv2d(input, &Conv2d { padding, ..conv.clone() }))
        });
        Self { bands: bands.collect(), limit }
    }

    /// [`Rows::conv2d`], and `addend` on its output, which has the same shape.
    pub fn conv2d_add(self, conv: &Conv2d, addend: Self) -> Self {
        match (self.whole(conv, 1), addend.bands.as_slice()) {
            (Some(x), [addend]) => Self::new(conv2d_add(x.clone(), conv, addend.clone()), self.limit),
            _ => addend + self.conv2d(conv),
        }
    }

    /// [`Rows::upsample`], then a convolution that keeps the size.
    pub fn upsample_conv2d(self, conv: &Conv2d) -> Self {
        let Some(x) = self.whole(conv, 2) else { return self.upsample().conv2d(conv) };
        let [_, _, height, width] = x.dims();
        Self::new(upsample_conv2d(x.clone(), [2 * height, 2 * width], conv), self.limit)
    }

    /// Group normalisation over all bands, then SiLU; statistics in float32.
    pub fn group_norm_silu(self, norm: &GroupNorm) -> Self {
        if self.bands.len() == 1 {
            return self.map(|x| group_norm_silu(x, norm));
        }
        let [batch, channels, _, width] = self.bands[0].dims();
        let groups = norm.num_groups;
        let count = (channels / groups * self.height() * width) as f64;
        // The mean over each group, [batch, channels, 1, 1]. Summed along one axis after the other: long rows lose digits,
        // and Mesa's software adapters end loops after 65,535 turns.
        let mean = |f: &dyn Fn(Tensor<4>) -> Tensor<4>| {
            let sums = self.bands.iter().map(|x| f(x.clone().cast(DType::F32)).sum_dim(3).sum_dim(2));
            let sums = Tensor::cat(sums.collect(), 3).sum_dim(3).reshape([batch, groups, channels / groups]);
            let means = sums.sum_dim(2) / count; // [batch, groups, 1]
            means.expand([batch, groups, channels / groups]).reshape([batch, channels, 1, 1])
        };
        let average = mean(&|x| x);
        let variance = mean(&|x| (x - average.clone()).square());
        let per_channel = |weights: &Option<Param<Tensor<1>>>| {
            weights.as_ref().map(|weights| weights.val().cast(DType::F32).reshape([1, channels, 1, 1]))
        };
        let mut scale = (variance + norm.epsilon).sqrt().recip();
        if let Some(gamma) = per_channel(&norm.gamma) {
            scale = scale * gamma;
        }
        let beta = per_channel(&norm.beta);
        self.clone().map(|x| {
            let dtype = x.dtype();
            let normed = (x.cast(DType::F32) - average.clone()) * scale.clone();
            silu(if let Some(beta) = beta.clone() { normed + beta } else { normed }).cast(dtype)
        })
    }

    /// A residual block that knows no time, as [`ResnetBlock2d::forward`] for a whole feature map.
    pub fn resnet(self, block: &ResnetBlock2d) -> Self {
        let hidden = self.clone().group_norm_silu(&block.norm1).conv2d(&block.conv1);
        let residual = match &block.conv_shortcut {
            Some(shortcut) => self.conv2d(shortcut),
            None => self,
        };
        hidden.group_norm_silu(&block.norm2).conv2d_add(&block.conv2, residual)
    }

    /// Self-attention over all pixels, which needs the whole feature map.
    pub fn attention(self, attention: &Attention) -> Self {
        let limit = self.limit;
        Self::new(attention.forward_map(self.into_tensor()), limit)
    }

    /// Doubles height and width by repeating pixels.
    pub fn upsample(self) -> Self {
        self.finer(4).map(|x| {
            let [_, _, height, width] = x.dims();
            upsample_nearest(x, [2 * height, 2 * width])
        })
    }

    /// Applies `f`, which works on every pixel alone or repeats it, to every band.
    pub fn map(self, f: impl Fn(Tensor<4>) -> Tensor<4>) -> Self {
        Self { bands: self.bands.into_iter().map(f).collect(), limit: self.limit }
    }

    /// The feature map, if it is one band and stays one, enlarged by `scale` and then through `conv`.
    fn whole(&self, conv: &Conv2d, scale: usize) -> Option<&Tensor<4>> {
        let [x] = self.bands.as_slice() else { return None };
        let [batch, channels_in, height, width] = x.dims();
        let enlarged = batch * height * width * scale * scale;
        let output = enlarged / conv.stride[0] * conv.weight.dims()[0];
        (output <= self.limit && enlarged * channels_in <= self.limit).then_some(x)
    }

    fn height(&self) -> usize {
        self.bands.iter().map(|x| x.dims()[2]).sum()
    }

    /// The rows `start .. end`, from as many bands as they lie in.
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

    /// Heights of the bands that `conv` makes: those of its input over the stride, cut so that each output fits too.
    fn band_heights_after(&self, conv: &Conv2d) -> Vec<usize> {
        let (stride, channels_out) = (conv.stride[0], conv.weight.dims()[0]);
        let (top, _, bottom, _) = padding(conv);
        let height_out = (self.height() + top + bottom - conv.kernel_size[0]) / stride + 1;
        let [batch, channels_in, _, width] = self.bands[0].dims();
        let per_row = batch * (channels_out * width / stride).max(channels_in * width * stride);
        even(height_out, (self.limit / per_row).max(1))
    }

    /// Cuts the bands so that each still fits when it grows by `factor`.
    fn finer(self, factor: usize) -> Self {
        let limit = self.limit;
        let Self { bands, .. } = Self { limit: (limit / factor).max(1), ..self }.cut();
        Self { bands, limit }
    }

    fn cut(self) -> Self {
        let [batch, channels, _, width] = self.bands[0].dims();
        let most = (self.limit / (batch * channels * width)).max(1);
        let bands = self.bands.into_iter().flat_map(|x| {
            let heights = even(x.dims()[2], most);
            if heights.len() == 1 { vec![x] } else { x.split_with_sizes(heights, 2) }
        });
        Self { bands: bands.collect(), limit: self.limit }
    }
}

/// Parts of `height` rows, as even as can be, none with more than `most`.
fn even(height: usize, most: usize) -> Vec<usize> {
    let parts = height.div_ceil(most);
    (0..parts).map(|i| (i + 1) * height / parts - i * height / parts).collect()
}

/// Top, left, bottom and right padding.
fn padding(conv: &Conv2d) -> (usize, usize, usize, usize) {
    match conv.padding {
        PaddingConfig2d::Explicit(top, left, bottom, right) => (top, left, bottom, right),
        PaddingConfig2d::Valid => (0, 0, 0, 0),
        PaddingConfig2d::Same => unreachable!("the autoencoder's convolutions state their padding"),
    }
}

/// The sum of two feature maps of the same shape.
impl Add for Rows {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        // A convolution may have cut its output finer than its input.
        let heights: Vec<usize> = other.bands.iter().map(|x| x.dims()[2]).collect();
        let mut start = 0;
        let bands = heights.iter().zip(other.bands).map(|(&rows, x)| {
            start += rows;
            self.rows(start - rows, start) + x
        });
        Self { bands: bands.collect(), limit: self.limit }
    }
}
