use burn::module::Module;
use burn::tensor::activation::{leaky_relu, relu};
use burn::tensor::{Device, Tensor};
use pyrograph_kernels::{Conv2d, Conv2dConfig, GroupNorm, GroupNormConfig, conv2d, group_norm};

/// Tells images from reconstructions, patch by patch: the `PatchGAN` of pix2pix (Isola et al.,
/// <https://arxiv.org/abs/1611.07004>), as VQGAN uses it (Esser et al., <https://arxiv.org/abs/2012.09841>), with group
/// normalisation, which does not mix the images of a batch.
#[derive(Module, Debug)]
pub struct PatchDiscriminator {
    convs: Vec<Conv2d>,
    norms: Vec<GroupNorm>,
}

const GROUPS: usize = 8;

impl PatchDiscriminator {
    /// So many halvings of the size; the first convolution has `channels` channels, a multiple of eight.
    pub fn new(channels: usize, halvings: usize, device: &Device) -> Self {
        let width = |layer: usize| channels << layer.min(3);
        let conv = |from, to, stride| {
            let conv = Conv2dConfig::new([from, to], [4, 4]).with_stride([stride, stride]);
            conv.with_padding([1; 4]).init(device)
        };
        let mut convs = vec![conv(3, channels, 2)];
        convs.extend((1..halvings).map(|layer| conv(width(layer - 1), width(layer), 2)));
        convs.push(conv(width(halvings - 1), 1, 1));
        let norm = |layer| GroupNormConfig::new(GROUPS, width(layer)).init(device);
        Self { convs, norms: (1..halvings).map(norm).collect() }
    }

    /// One number for every patch, large where it looks like an image.
    ///
    /// # Shapes
    /// `[batch, 3, height, width]` -> `[batch, 1, about height / 2^halvings, about width / 2^halvings]`
    pub fn forward(&self, image: Tensor<4>) -> Tensor<4> {
        let last = self.convs.len() - 1;
        let mut x = leaky_relu(conv2d(image, &self.convs[0]), 0.2);
        for (conv, norm) in self.convs[1..last].iter().zip(&self.norms) {
            x = leaky_relu(group_norm(conv2d(x, conv), norm), 0.2);
        }
        conv2d(x, &self.convs[last])
    }

    /// The loss of the discriminator, the hinge loss: half of `max(0, 1 - D(image)) + max(0, 1 + D(decoded))`.
    ///
    /// # Shapes
    /// - `image`, `decoded`: `[batch, 3, height, width]`; result: `[1]`
    pub fn loss(&self, image: Tensor<4>, decoded: Tensor<4>) -> Tensor<1> {
        let real = relu(-self.forward(image) + 1.0).mean();
        let fake = relu(self.forward(decoded) + 1.0).mean();
        (real + fake) * 0.5
    }

    /// The adversarial loss of the autoencoder: `-D(decoded)`.
    ///
    /// # Shapes
    /// - `decoded`: `[batch, 3, height, width]`; result: `[1]`
    pub fn generator_loss(&self, decoded: Tensor<4>) -> Tensor<1> {
        -self.forward(decoded).mean()
    }
}
