//! The codebook of a [`VqModel`](crate::VqModel).

use burn::module::Module;
use burn::nn::{Embedding, EmbeddingConfig, Initializer};
use burn::tensor::{Device, Int, Tensor};

/// A codebook: every vector is replaced by its nearest code (van den Oord et al., <https://arxiv.org/abs/1711.00937>).
#[derive(Module, Debug)]
pub struct VectorQuantizer {
    /// The codes, `[codes, width]`.
    pub embedding: Embedding,
    commitment: f64,
}

/// Vectors after quantisation.
#[derive(Clone, Debug)]
pub struct Quantized {
    /// The codes, `[batch, width, height, width of the map]`; gradients pass to the input unchanged.
    pub values: Tensor<4>,
    /// The indices of the codes, `[batch * height * width]`.
    pub indices: Tensor<1, Int>,
    /// The squared distance, whose gradient moves codes towards vectors, `[1]`.
    pub codebook_loss: Tensor<1>,
    /// The squared distance times its factor, whose gradient moves vectors towards codes, `[1]`.
    pub commitment_loss: Tensor<1>,
}

impl VectorQuantizer {
    /// A codebook of `codes` codes of this `width`, uniform in +- 1 / codes; the usual `commitment` factor is 0.25.
    pub fn new(codes: usize, width: usize, commitment: f64, device: &Device) -> Self {
        let edge = 1.0 / codes as f64;
        let uniform = Initializer::Uniform { min: -edge, max: edge };
        Self { embedding: EmbeddingConfig::new(codes, width).with_initializer(uniform).init(device), commitment }
    }

    /// Replaces every vector of a map.
    ///
    /// # Shapes
    /// `[batch, width, height, width of the map]`
    pub fn forward(&self, x: Tensor<4>) -> Quantized {
        let [batch, width, map_height, map_width] = x.dims();
        let vectors = map_to_rows(x.clone()); // [vectors, width]
        let codes = self.embedding.weight.val();
        let distances = codes.clone().square().sum_dim(1).transpose() - vectors.matmul(codes.clone().transpose()) * 2.0;
        let indices = distances.detach().argmin(1).reshape([batch * map_height * map_width]);
        let quantized = codes.select(0, indices.clone()); // [vectors, width]
        let quantized = quantized.reshape([batch, map_height, map_width, width]).permute([0, 3, 1, 2]);
        Quantized {
            codebook_loss: (quantized.clone() - x.clone().detach()).square().mean(),
            commitment_loss: (quantized.clone().detach() - x.clone()).square().mean() * self.commitment,
            values: x.clone() + (quantized - x).detach(),
            indices,
        }
    }

    /// The perplexity of the chosen codes, from 1 to the number of codes.
    pub fn usage(&self, indices: Tensor<1, Int>) -> Tensor<1> {
        let number = self.embedding.weight.dims()[0];
        let chosen: Tensor<2> = indices.one_hot(number).float();
        let shares = chosen.mean_dim(0).reshape([number]);
        (-(shares.clone() * (shares + 1e-10).log()).sum()).exp()
    }
}

/// The vectors of a map, one per row.
///
/// # Shapes
/// `[batch, width, height, width of the map]` -> `[vectors, width]`
pub fn map_to_rows(x: Tensor<4>) -> Tensor<2> {
    let [batch, width, map_height, map_width] = x.dims();
    x.permute([0, 2, 3, 1]).reshape([batch * map_height * map_width, width])
}
