use burn::tensor::Tensor;
use pyrograph_autoencoder::{AutoencoderKl, DiagonalGaussian};
use serde::{Deserialize, Serialize};

use crate::bounds::factor;
use crate::{Bounds, TrainError};

/// The loss of an autoencoder: the sum of its terms, each times its factor.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct AutoencoderLoss {
    /// Factor of the image's mean absolute error.
    pub absolute: f64,
    /// Factor of its mean squared error, which leads away from images of one colour, where the absolute error is flat.
    pub square: f64,
    /// Factor of [`edge_loss`], which keeps lines sharp without the weights of another network.
    pub edge: f64,
    /// Factor of the mean [`kl_divergence`] of a latent value.
    pub kl: f64,
}

impl Default for AutoencoderLoss {
    /// 1, 0.5, 0.5, and 0.001.
    fn default() -> Self {
        Self { absolute: 1.0, square: 0.5, edge: 0.5, kl: 1e-3 }
    }
}

impl Bounds for AutoencoderLoss {
    fn check(&self) -> Result<(), TrainError> {
        factor("loss.absolute", self.absolute)?;
        factor("loss.square", self.square)?;
        factor("loss.edge", self.edge)?;
        factor("loss.kl", self.kl)
    }
}

impl AutoencoderLoss {
    /// The loss of a batch of images; `noise`, standard normal, stands for the draw of the latents.
    ///
    /// # Shapes
    /// - `image`: `[batch, 3, height, width]` in -1 ..= 1
    /// - `noise`: `[batch, latent_channels, height / f, width / f]`
    /// - result: `[1]`
    pub fn forward(&self, autoencoder: &AutoencoderKl, image: Tensor<4>, noise: Tensor<4>) -> Tensor<1> {
        let latents = autoencoder.encode(image.clone());
        let decoded = autoencoder.decode(latents.sample(noise));
        self.of(image, decoded, &latents)
    }

    /// The same for what the autoencoder has made of the images already.
    pub fn of(&self, image: Tensor<4>, decoded: Tensor<4>, latents: &DiagonalGaussian) -> Tensor<1> {
        self.of_images(image, decoded) + kl_divergence(latents).mean() * self.kl
    }

    /// The terms that compare images, without the divergence.
    pub fn of_images(&self, image: Tensor<4>, decoded: Tensor<4>) -> Tensor<1> {
        let error = decoded.clone() - image.clone();
        error.clone().abs().mean() * self.absolute
            + error.square().mean() * self.square
            + edge_loss(decoded, image) * self.edge
    }
}

/// The mean absolute error of the differences between neighbours, along both axes.
///
/// # Shapes
/// - `x`, `y`: `[batch, channels, height, width]`; result: `[1]`
pub fn edge_loss(x: Tensor<4>, y: Tensor<4>) -> Tensor<1> {
    let error = x - y;
    let along = |axis: usize| {
        let length = error.dims()[axis];
        (error.clone().narrow(axis, 1, length - 1) - error.clone().narrow(axis, 0, length - 1)).abs().mean()
    };
    along(2) + along(3)
}

/// `KL(q || N(0, 1))` of every latent value in nats (Kingma and Welling, <https://arxiv.org/abs/1312.6114>, appendix B).
///
/// # Shapes
/// - result: that of the latents
pub fn kl_divergence(latents: &DiagonalGaussian) -> Tensor<4> {
    let variance = latents.log_variance.clone().exp();
    (latents.mean.clone().square() + variance - 1.0 - latents.log_variance.clone()) * 0.5
}
