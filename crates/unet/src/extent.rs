//! The sizes of the tensors of a call, computed from the configuration alone.

use burn::tensor::DType;
use pyrograph_kernels::largest;

use crate::UNet2dConditionConfig;

/// The memory of a call of the network in bytes. The values are upper bounds over all devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Extent {
    /// The largest tensor, which must fit a binding of a GPU: a feature map, a projection, or the weights of a layer.
    pub largest_tensor: u64,
    /// All tensors that exist at the same time, without the weights.
    pub activations: u64,
}

impl UNet2dConditionConfig {
    /// The memory of a call with samples `[batch, in_channels, height, width]` and `text_tokens` tokens of text, for
    /// weights of type `dtype`.
    ///
    /// # Shapes
    /// `sample`: `[batch, height, width]`
    pub fn extent(&self, sample: [usize; 3], text_tokens: usize, dtype: DType) -> Extent {
        let [batch, height, width] = sample;
        let mut call = Call { config: self, batch, text_tokens, dtype, skips: Vec::new(), largest: 0, most: 0 };
        call.walk([height, width]);
        Extent { largest_tensor: call.largest, activations: call.most }
    }
}

/// Follows the operations of [`forward`](crate::UNet2dConditionModel::forward).
struct Call<'a> {
    config: &'a UNet2dConditionConfig,
    batch: usize,
    text_tokens: usize,
    dtype: DType,
    /// Values of the skip connections.
    skips: Vec<u64>,
    /// Bytes of the largest tensor.
    largest: u64,
    /// The most bytes that exist at the same time.
    most: u64,
}

/// Height and width.
type Size = [usize; 2];

impl Call<'_> {
    fn walk(&mut self, size: Size) {
        let config = self.config;
        let channels = &config.block_out_channels;
        let (first, time) = (channels[0], config.time_embedding());
        self.linear(1, [first, time]);
        self.linear(1, [time, time]);
        self.conv([config.in_channels, first], 3, size, size);
        self.keep(first, size);
        let sizes: Vec<Size> =
            (0..channels.len()).map(|level| size.map(|pixels| pixels.div_ceil(1 << level))).collect();
        for (block, &size) in sizes.iter().enumerate() {
            self.down(block, size, sizes.get(block + 1).copied());
        }
        if let Some(mid) = &config.mid_block_type {
            self.mid(mid == "UNetMidBlock2DCrossAttn", sizes[sizes.len() - 1]);
        }
        for block in 0..channels.len() {
            self.up(block, &sizes[..channels.len() - block]);
        }
        self.norm(first, size);
        self.conv([first, config.out_channels], 3, size, size);
        self.tensor(self.map(config.out_channels, size), 4); // the prediction is float32
    }

    fn down(&mut self, block: usize, size: Size, below: Option<Size>) {
        let config = self.config;
        let (output, input) = (config.block_out_channels[block], config.block_out_channels[block.saturating_sub(1)]);
        let attends = config.down_block_types[block] == "CrossAttnDownBlock2D";
        for layer in 0..config.layers_per_block.get(block) {
            self.resnet([if layer == 0 { input } else { output }, output], size);
            if attends {
                self.transformer(block, config.only_cross_attention.get(block), size);
            }
            self.keep(output, size);
        }
        if let Some(below) = below {
            self.conv([output, output], 3, size, below);
            self.keep(output, below);
        }
    }

    fn mid(&mut self, attends: bool, size: Size) {
        let last = self.config.block_out_channels.len() - 1;
        let channels = self.config.block_out_channels[last];
        self.resnet([channels; 2], size);
        if attends {
            self.transformer(last, false, size);
            self.resnet([channels; 2], size);
        }
    }

    /// `sizes` are the sizes of the levels from the highest resolution down to the block's.
    fn up(&mut self, block: usize, sizes: &[Size]) {
        let config = self.config;
        let channels = &config.block_out_channels;
        let (level, size) = (sizes.len() - 1, sizes[sizes.len() - 1]);
        let output = channels[level];
        let below = channels[(level + 1).min(channels.len() - 1)];
        let above = channels[level.saturating_sub(1)];
        let layers = config.layers_per_block.get(level) + 1;
        for layer in 0..layers {
            let input = if layer == 0 { below } else { output };
            let skip = if layer + 1 == layers { above } else { output };
            self.skips.pop();
            self.exist(2 * self.map(input + skip, size)); // apart and together
            self.resnet([input + skip, output], size);
            if config.up_block_types[block] == "CrossAttnUpBlock2D" {
                self.transformer(level, config.only_cross_attention.get(level), size);
            }
        }
        if level > 0 {
            self.conv([output, output], 3, sizes[level - 1], sizes[level - 1]);
        }
    }

    fn resnet(&mut self, [input, output]: [usize; 2], size: Size) {
        self.norm(input, size);
        self.conv([input, output], 3, size, size);
        self.linear(self.batch, [self.config.time_embedding(), output]);
        self.norm(output, size);
        self.conv([output, output], 3, size, size);
        if input != output {
            self.conv([input, output], 1, size, size);
        }
        // The input, its normalised copy and the first result; or the residual connection and both sides of a
        // convolution.
        self.exist(self.map(input.max(output), size) * 3);
    }

    fn transformer(&mut self, level: usize, only_cross_attention: bool, size: Size) {
        let config = self.config;
        let (channels, text) = (config.block_out_channels[level], config.cross_attention_dim.get(level));
        let rows = self.batch * size[0] * size[1];
        self.norm(channels, size);
        self.linear(rows, [channels; 2]);
        let pixels = (size[0] * size[1], channels);
        let context = if only_cross_attention { (self.text_tokens, text) } else { pixels };
        self.attention(level, pixels, context);
        self.attention(level, pixels, (self.text_tokens, text));
        self.linear(rows, [channels, 8 * channels]);
        self.linear(rows, [4 * channels, channels]);
        // Twice the residual connection, its normalised copy, eight times the width, and four times the width.
        self.exist(self.map(channels, size) * (3 + 8 + 4));
    }

    /// Attention from `tokens` of width `channels` to `keys` of width `context`.
    fn attention(&mut self, level: usize, (tokens, channels): (usize, usize), (keys, context): (usize, usize)) {
        let heads = self.config.attention_head_dim.get(level);
        self.linear(self.batch * tokens, [channels; 2]);
        self.linear(self.batch * keys, [context, channels]);
        let q = [self.batch, heads, tokens, channels / heads];
        let bytes = if self.config.upcast_attention { 4 } else { self.dtype.size() };
        self.tensor(largest::attention(q, keys), bytes);
    }

    fn conv(&mut self, [input, output]: [usize; 2], kernel: usize, from: Size, to: Size) {
        let weight = [output, input, kernel, kernel];
        self.tensor(largest::conv2d([self.batch, input, from[0], from[1]], weight, to), self.dtype.size());
        self.exist(self.map(input, from) + self.map(output, to));
    }

    fn linear(&mut self, rows: usize, widths: [usize; 2]) {
        self.tensor(largest::linear(rows, widths), self.dtype.size());
    }

    /// The reference normalises groups whose number of pixels is not a multiple of four, in float32.
    fn norm(&mut self, channels: usize, size: Size) {
        let even = (size[0] * size[1]).is_multiple_of(4);
        self.tensor(self.map(channels, size), if even { self.dtype.size() } else { 4 });
    }

    fn keep(&mut self, channels: usize, size: Size) {
        self.skips.push(self.map(channels, size));
    }

    /// Values of a feature map.
    fn map(&self, channels: usize, [height, width]: Size) -> u64 {
        [self.batch, channels, height, width].iter().map(|&size| size as u64).product()
    }

    /// Records a tensor of `values` values with `bytes` bytes each.
    fn tensor(&mut self, values: u64, bytes: usize) {
        self.largest = self.largest.max(values * bytes as u64);
    }

    /// Records that this many values exist at the same time, in addition to the skip connections.
    fn exist(&mut self, values: u64) {
        let all = values + self.skips.iter().sum::<u64>();
        self.most = self.most.max(all * self.dtype.size() as u64);
    }
}
