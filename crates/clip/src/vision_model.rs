use burn::module::{Module, Param};
use burn::nn::Embedding;
use burn::tensor::Tensor;
use pyrograph_kernels::{Conv2d, LayerNorm, conv2d, layer_norm};

use crate::encoder::Encoder;

/// CLIP's image tower, a vision transformer ([Dosovitskiy et al.](https://arxiv.org/abs/2010.11929)) with a norm before
/// its blocks, `CLIPVisionModel` of transformers. [`ClipVisionConfig::init`](crate::ClipVisionConfig::init) makes it.
#[derive(Module, Debug)]
pub struct ClipVisionModel {
    pub(crate) embeddings: ClipVisionEmbeddings,
    // Every published checkpoint has this misspelling.
    pub(crate) pre_layrnorm: LayerNorm,
    pub(crate) encoder: Encoder,
    pub(crate) post_layernorm: LayerNorm,
    pub(crate) image_size: usize,
}

impl ClipVisionModel {
    /// The state of the class token after the last block and the final norm, transformers' `pooler_output`.
    ///
    /// # Shapes
    /// - `images`: `[batch, channels, image_size, image_size]`, normalised as the checkpoint requires
    /// - output: `[batch, width]`
    ///
    /// # Panics
    /// When the images have another size.
    pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let [_, _, height, width] = images.dims();
        assert_eq!([height, width], [self.image_size; 2], "an image tower takes images of one size");
        let x = layer_norm(self.embeddings.forward(images), &self.pre_layrnorm); // [batch, 1 + patches, width]
        let x = self.encoder.forward(x).pop().expect("the outputs begin with the input");
        let class = x.narrow(1, 0, 1); // [batch, 1, width]
        layer_norm(class, &self.post_layernorm).squeeze_dim(1)
    }
}

/// The class token and a token for every patch, each plus the embedding of its position.
#[derive(Module, Debug)]
pub(crate) struct ClipVisionEmbeddings {
    pub(crate) class_embedding: Param<Tensor<1>>,
    pub(crate) patch_embedding: Conv2d,
    pub(crate) position_embedding: Embedding,
}

impl ClipVisionEmbeddings {
    fn forward(&self, images: Tensor<4>) -> Tensor<3> {
        let patches = conv2d(images, &self.patch_embedding); // [batch, width, rows, columns]
        let patches = patches.flatten::<3>(2, 3).swap_dims(1, 2); // [batch, patches, width]
        let [batch, _, width] = patches.dims();
        let class = self.class_embedding.val().reshape([1, 1, width]).expand([batch, 1, width]);
        Tensor::cat(vec![class, patches], 1) + self.position_embedding.weight.val().unsqueeze()
    }
}
