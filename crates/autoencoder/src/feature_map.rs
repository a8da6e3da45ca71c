//! Operations of encoder and decoder on a feature map.

use pyrograph_blocks::{Attention, ResnetBlock2d};
use pyrograph_kernels::{Conv2d, GroupNorm};

/// A feature map `[batch, channels, height, width]`. It is either its values, [`Rows`](crate::Rows), or only its sizes,
/// [`Sizes`](crate::extent::Sizes), which show in advance whether the values will fit.
pub(crate) trait FeatureMap: Clone {
    /// A convolution with the layer's own stride and padding.
    fn conv2d(self, conv: &Conv2d) -> Self;

    /// [`FeatureMap::conv2d`] plus `addend`, which has the shape of the output.
    fn conv2d_add(self, conv: &Conv2d, addend: Self) -> Self;

    /// [`FeatureMap::upsample`], then a convolution that keeps the size.
    fn upsample_conv2d(self, conv: &Conv2d) -> Self;

    /// Doubles height and width by repeating pixels.
    fn upsample(self) -> Self;

    /// Group normalisation, then SiLU; statistics in float32.
    fn group_norm_silu(self, norm: &GroupNorm) -> Self;

    /// Self-attention over all pixels.
    fn attention(self, attention: &Attention) -> Self;

    /// `max(x, 0)`
    fn relu(self) -> Self;

    /// The sum of two feature maps of the same shape.
    fn add(self, other: Self) -> Self;

    /// A residual block without a time embedding: [`ResnetBlock2d::forward`] for a whole feature map.
    fn resnet(self, block: &ResnetBlock2d) -> Self {
        let hidden = self.clone().group_norm_silu(&block.norm1).conv2d(&block.conv1);
        let residual = match &block.conv_shortcut {
            Some(shortcut) => self.conv2d(shortcut),
            None => self,
        };
        hidden.group_norm_silu(&block.norm2).conv2d_add(&block.conv2, residual)
    }
}
