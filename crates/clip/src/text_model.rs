use burn::module::Module;
use burn::nn::Embedding;
use burn::tensor::{Device, Int, Tensor, TensorData};
use pyrograph_kernels::{LayerNorm, layer_norm};

use crate::encoder::Encoder;

/// CLIP's text tower ([Radford et al.](https://arxiv.org/abs/2103.00020)), `CLIPTextModel` of transformers.
/// [`ClipTextConfig::init`](crate::ClipTextConfig::init) makes it.
///
/// Its parameters have the names of the checkpoint without the leading `text_model.`.
#[derive(Module, Debug)]
pub struct ClipTextModel {
    pub(crate) embeddings: ClipTextEmbeddings,
    pub(crate) encoder: Encoder,
    pub(crate) final_layer_norm: LayerNorm,
    pub(crate) eos_token_id: u32,
}

/// The output of a text tower for a batch of prompts.
#[derive(Clone, Debug)]
pub struct ClipTextOutput {
    /// The state of every token after the final norm, `[batch, tokens, width]`: the UNet's `encoder_hidden_states`.
    pub last_hidden_state: Tensor<3>,
    /// The state of each prompt's EOS token after the last block and the final norm, `[batch, width]`.
    pub pooled_output: Tensor<2>,
}

impl ClipTextModel {
    /// Keeps the token table on another device than the layers, such as the CPU. Call it before loading.
    ///
    /// In float32, the table of Stable Diffusion 1 has 152 MB. WebGPU binds at most 128 MiB to a shader by default, and
    /// a prompt needs only 77 of its 49,408 rows.
    #[must_use]
    pub fn with_token_table_on(mut self, device: &Device) -> Self {
        self.embeddings.token_embedding = self.embeddings.token_embedding.to_device(device);
        self
    }

    /// Runs the tower on prompts that [`Tokenizer::encode`](crate::Tokenizer::encode) converted to ids, all of the same
    /// length.
    ///
    /// `clip_skip` is the number of last blocks to skip before the final norm, as in diffusers: 0 skips none, 1 the
    /// last. The pooled output is always that of the last block.
    ///
    /// # Panics
    /// When the prompts differ in length, are longer than `max_position_embeddings`, have an id outside of the
    /// vocabulary, or when `clip_skip` is larger than the number of blocks.
    pub fn forward(&self, ids: &[Vec<u32>], clip_skip: usize) -> ClipTextOutput {
        let hidden_states = self.encoder.forward(self.embeddings.forward(ids));
        let last = hidden_states.len() - 1;
        assert!(clip_skip <= last, "clip_skip {clip_skip} of a text tower with {last} blocks");
        let pooled = pick_tokens(hidden_states[last].clone(), &self.pooled_positions(ids)); // [batch, 1, width]
        ClipTextOutput {
            last_hidden_state: layer_norm(hidden_states[last - clip_skip].clone(), &self.final_layer_norm),
            pooled_output: layer_norm(pooled, &self.final_layer_norm).squeeze_dim(1),
        }
    }

    /// The position of the first EOS token of each prompt. Where the file has the wrong EOS id 2, the position of the
    /// first largest id; without an EOS, the first position.
    fn pooled_positions(&self, ids: &[Vec<u32>]) -> Vec<usize> {
        let position = |ids: &Vec<u32>| {
            let eos = if self.eos_token_id == 2 { ids.iter().max().copied() } else { Some(self.eos_token_id) };
            ids.iter().position(|&id| Some(id) == eos).unwrap_or(0)
        };
        ids.iter().map(position).collect()
    }
}

/// One token of each prompt.
///
/// # Shapes
/// - `x`: `[batch, tokens, width]`
/// - output: `[batch, 1, width]`
fn pick_tokens(x: Tensor<3>, positions: &[usize]) -> Tensor<3> {
    let pick = |(row, &position): (usize, &usize)| x.clone().slice([row..row + 1, position..position + 1]);
    Tensor::cat(positions.iter().enumerate().map(pick).collect(), 0)
}

/// The sum of token embedding and position embedding.
#[derive(Module, Debug)]
pub(crate) struct ClipTextEmbeddings {
    pub(crate) token_embedding: Embedding,
    pub(crate) position_embedding: Embedding,
}

impl ClipTextEmbeddings {
    fn forward(&self, ids: &[Vec<u32>]) -> Tensor<3> {
        let tokens = self.token_embedding.forward(self.ids_tensor(ids)); // [batch, tokens, width]
        let positions = self.position_embedding.weight.val().narrow(0, 0, tokens.dims()[1]); // [tokens, width]
        tokens.to_device(&positions.device()) + positions.unsqueeze()
    }

    /// Ids on the device of the token table, which may differ from that of the layers.
    fn ids_tensor(&self, ids: &[Vec<u32>]) -> Tensor<2, Int> {
        let [vocab_size, _] = self.token_embedding.weight.shape().dims();
        let [max_positions, _] = self.position_embedding.weight.shape().dims();
        let tokens = ids.first().map_or(0, Vec::len);
        assert!(ids.iter().all(|prompt| prompt.len() == tokens), "the prompts of a batch differ in length");
        assert!((1..=max_positions).contains(&tokens), "{tokens} tokens, a prompt has 1 to {max_positions}");
        let ids: Vec<i32> = ids.iter().flatten().map(|&id| id as i32).collect();
        assert!(ids.iter().all(|&id| (id as usize) < vocab_size), "a token id is outside the {vocab_size} known ones");
        let batch = ids.len() / tokens;
        Tensor::from_data(TensorData::new(ids, [batch, tokens]), &self.token_embedding.weight.val().device())
    }
}
