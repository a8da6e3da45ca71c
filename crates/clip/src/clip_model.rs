use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use pyrograph_kernels::{Linear, linear};

use crate::{ClipTextModel, ClipVisionModel};

/// CLIP ([Radford et al.](https://arxiv.org/abs/2103.00020)), `CLIPModel` of transformers. Its two towers have
/// projections into one embedding space, in which an image is close to the texts that describe it.
/// [`ClipConfig::init`](crate::ClipConfig::init) makes it.
#[derive(Module, Debug)]
pub struct ClipModel {
    pub(crate) text_model: ClipTextModel,
    pub(crate) vision_model: ClipVisionModel,
    pub(crate) text_projection: Linear,
    pub(crate) visual_projection: Linear,
    /// The logarithm of the factor of the similarities, `[1]`; a scalar in files.
    pub logit_scale: Param<Tensor<1>>,
}

impl ClipModel {
    /// [`ClipTextModel::with_token_table_on`] for the text tower.
    #[must_use]
    pub fn with_token_table_on(self, device: &Device) -> Self {
        Self { text_model: self.text_model.with_token_table_on(device), ..self }
    }

    /// Embeddings of images, not normalised: transformers' `get_image_features`.
    ///
    /// # Shapes
    /// - `images`: `[batch, channels, image_size, image_size]`, normalised as the checkpoint requires
    /// - output: `[batch, projection_dim]`
    ///
    /// # Panics
    /// As [`ClipVisionModel::forward`].
    pub fn image_features(&self, images: Tensor<4>) -> Tensor<2> {
        linear(self.vision_model.forward(images), &self.visual_projection)
    }

    /// Embeddings of texts, not normalised: transformers' `get_text_features`. There is one row for each prompt that
    /// [`Tokenizer::encode`](crate::Tokenizer::encode) converted to ids.
    ///
    /// # Shapes
    /// `[batch, projection_dim]`
    ///
    /// # Panics
    /// As [`ClipTextModel::forward`].
    pub fn text_features(&self, ids: &[Vec<u32>]) -> Tensor<2> {
        linear(self.text_model.forward(ids, 0).pooled_output, &self.text_projection)
    }

    /// The similarity of each image and each text: their [`cosine_similarity`] times `exp(logit_scale)`, transformers'
    /// `logits_per_image`. A softmax over a row gives the probabilities of the texts.
    ///
    /// # Shapes
    /// - `images`: `[images, projection_dim]`, of any length
    /// - `texts`: `[texts, projection_dim]`, of any length
    /// - output: `[images, texts]`
    pub fn similarity(&self, images: Tensor<2>, texts: Tensor<2>) -> Tensor<2> {
        cosine_similarity(images, texts) * self.logit_scale.val().exp().reshape([1, 1])
    }
}

/// The cosine of the angle between each image and each text.
///
/// # Shapes
/// As [`ClipModel::similarity`].
pub fn cosine_similarity(images: Tensor<2>, texts: Tensor<2>) -> Tensor<2> {
    unit(images).matmul(unit(texts).transpose())
}

/// Normalises rows to length one.
fn unit(x: Tensor<2>) -> Tensor<2> {
    let length = x.clone().square().sum_dim(1).sqrt(); // [rows, 1]
    x / length
}
