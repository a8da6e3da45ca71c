//! Prompts to what the UNet sees of them.

use burn::tensor::{DType, Tensor};
use pyrograph_checkpoint::{Checkpoint, LoadReport, TokenizerFiles, TokenizerSource, load};
use pyrograph_clip::{ClipTextConfig, ClipTextModel, Tokenizer, TokenizerConfig};

use crate::{Device, Error, TextToImage};

/// Tokenizer and text tower.
#[derive(Debug)]
pub(crate) struct TextEncoder {
    pub(crate) tokenizer: Tokenizer,
    model: ClipTextModel,
    blocks: usize,
    pub(crate) width: usize,
}

impl TextEncoder {
    pub(crate) fn load(checkpoint: &Checkpoint, dtype: DType, device: &Device) -> Result<(Self, LoadReport), Error> {
        let component = &checkpoint.text_encoder;
        let config = ClipTextConfig::from_json(&component.config.to_string())?;
        let tokenizer = tokenizer(&checkpoint.tokenizer, &config)?;
        let mut model = config.init(device.tensors());
        if table_is_too_large(&config, dtype, device) {
            model = model.with_token_table_on(&burn::tensor::Device::flex());
        }
        let report = load(&mut model, component.weights.as_ref(), dtype)?;
        Ok((Self { tokenizer, model, blocks: config.num_hidden_layers, width: config.hidden_size }, report))
    }

    /// What the UNet sees: the prompt `batch_size` times, behind as many of the negative prompt if guidance runs.
    ///
    /// # Shapes
    /// `[batch or 2 * batch, tokens, width]`
    pub(crate) fn encode(&self, request: &TextToImage) -> Result<Tensor<3>, Error> {
        if request.clip_skip >= self.blocks {
            let problem = format!("must be less than the {} blocks of the text encoder", self.blocks);
            return Err(Error::request("clip_skip", problem));
        }
        // diffusers skips blocks for the prompt only.
        let negative = request.is_guided().then_some((request.negative_prompt.as_str(), 0));
        let prompts = negative.into_iter().chain([(request.prompt.as_str(), request.clip_skip)]);
        let states = prompts.map(|(prompt, clip_skip)| {
            let ids = self.tokenizer.encode(prompt)?.ids;
            let state = self.model.forward(&[ids], clip_skip).last_hidden_state; // [1, tokens, width]
            Ok(state.repeat_dim(0, request.batch_size))
        });
        Ok(Tensor::cat(states.collect::<Result<Vec<_>, Error>>()?, 0))
    }
}

/// Whether the embeddings of all tokens are more than the device can show a shader.
pub(crate) fn table_is_too_large(config: &ClipTextConfig, dtype: DType, device: &Device) -> bool {
    let table = (config.vocab_size * config.hidden_size * dtype.size()) as u64;
    device.largest_binding().is_some_and(|largest| table > largest)
}

/// The checkpoint's tokenizer, whose prompts are no longer than the text encoder's positions and whose tokens it knows.
pub(crate) fn tokenizer(source: &TokenizerSource, text_encoder: &ClipTextConfig) -> Result<Tokenizer, Error> {
    let mut config = match source {
        TokenizerSource::Files(files) => {
            TokenizerConfig::from_json(files.config.as_deref(), files.special_tokens_map.as_deref())?
        }
        TokenizerSource::Clip { pad_token } => TokenizerConfig::default().with_pad_token(pad_token),
    };
    config.model_max_length = config.model_max_length.min(text_encoder.max_position_embeddings);
    let tokenizer = match source {
        TokenizerSource::Files(TokenizerFiles { vocab_and_merges: Some((vocab, merges)), .. }) => {
            Tokenizer::from_files(vocab, merges, &config)?
        }
        TokenizerSource::Files(TokenizerFiles { tokenizer: Some(tokenizer), .. }) => {
            Tokenizer::from_tokenizer_json(tokenizer, &config)?
        }
        _ => Tokenizer::clip(&config)?,
    };
    let (tokens, known) = (tokenizer.vocab_size(), text_encoder.vocab_size);
    if tokens > known {
        return Err(Error::request("tokenizer", format!("has {tokens} tokens, but the text encoder knows {known}")));
    }
    Ok(tokenizer)
}
