use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::{Device, Tensor};
use pyrograph_kernels::linear;

use crate::{ClipTextModel, ClipVisionModel};

/// CLIP ([Radford et al.](https://arxiv.org/abs/2103.00020)), `CLIPModel` of transformers: two towers, each with a
/// projection into a space in which a picture lies near the texts that describe it; made by
/// [`ClipConfig::init`](crate::ClipConfig::init).
#[derive(Module, Debug)]
pub struct ClipModel {
    pub(crate) text_model: ClipTextModel,
    pub(crate) vision_model: ClipVisionModel,
    pub(crate) text_projection: Linear,
    pub(crate) visual_projection: Linear,
    /// The logarithm of what similarities are multiplied by, `[1]`; a tensor without dimensions in files.
    pub logit_scale: Param<Tensor<1>>,
}

impl ClipModel {
    /// [`ClipTextModel::with_token_table_on`] for the text tower.
    #[must_use]
    pub fn with_token_table_on(self, device: &Device) -> Self {
        Self { text_model: self.text_model.with_token_table_on(device), ..self }
    }

    /// Pictures in the shared space, not normalised, as transformers' `get_image_features`.
    ///
    /// # Shapes
    /// - `images`: `[batch, channels, image_size, image_size]`, normalised as the checkpoint asks for
    /// - output: `[batch, projection_dim]`
    ///
    /// # Panics
    /// As [`ClipVisionModel::forward`].
    pub fn image_features(&self, images: Tensor<4>) -> Tensor<2> {
        linear(self.vision_model.forward(images), &self.visual_projection)
    }

    /// Texts in the shared space, not normalised, as transformers' `get_text_features`: one row for each prompt that
    /// [`Tokenizer::encode`](crate::Tokenizer::encode) turned into ids.
    ///
    /// # Shapes
    /// `[batch, projection_dim]`
    ///
    /// # Panics
    /// As [`ClipTextModel::forward`].
    pub fn text_features(&self, ids: &[Vec<u32>]) -> Tensor<2> {
        linear(self.text_model.forward(ids, 0).pooled_output, &self.text_projection)
    }

    /// How well each picture goes with each text: their [`cosine_similarity`] times `exp(logit_scale)`. A softmax over a
    /// row gives the probabilities of the texts, transformers' `logits_per_image`.
    ///
    /// # Shapes
    /// - `images`: `[pictures, projection_dim]`, of any length
    /// - `texts`: `[texts, projection_dim]`, of any length
    /// - output: `[pictures, texts]`
    pub fn similarity(&self, images: Tensor<2>, texts: Tensor<2>) -> Tensor<2> {
        cosine_similarity(images, texts) * self.logit_scale.val().exp().reshape([1, 1])
    }
}

/// The cosine of the angle between each picture and each text.
///
/// # Shapes
/// As [`ClipModel::similarity`].
pub fn cosine_similarity(images: Tensor<2>, texts: Tensor<2>) -> Tensor<2> {
    unit(images).matmul(unit(texts).transpose())
}

/// Rows of length one.
fn unit(x: Tensor<2>) -> Tensor<2> {
    let length = x.clone().square().sum_dim(1).sqrt(); // [rows, 1]
    x / length
}
