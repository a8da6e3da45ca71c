//! Encoding of prompts for the UNet.

use burn::tensor::{DType, Tensor};
use pyrograph_checkpoint::{Checkpoint, LoadReport, Note, TokenizerFiles, TokenizerSource, load};
use pyrograph_clip::{ClipTextConfig, ClipTextModel, TokenFiles, Tokenizer, TokenizerConfig};

use crate::{Device, Error};

/// Tokenizer and text tower.
#[derive(Debug)]
pub(crate) struct TextEncoder {
    tokenizer: Tokenizer,
    model: ClipTextModel,
    blocks: usize,
    pub(crate) width: usize,
    pub(crate) tokens: usize,
}

impl TextEncoder {
    pub(crate) fn load(
        checkpoint: &Checkpoint,
        dtype: DType,
        device: &Device,
    ) -> Result<(Self, LoadReport, Vec<Note>), Error> {
        let component = &checkpoint.text_encoder;
        let (config, notes): (ClipTextConfig, _) = component.read_config("text_encoder")?;
        config.validate()?;
        let tokenizer = tokenizer(&checkpoint.tokenizer, &config)?;
        let mut model = config.init(device.tensors());
        if table_is_too_large(&config, dtype, device) {
            model = model.with_token_table_on(&burn::tensor::Device::flex());
        }
        let report = load(&mut model, component.weights.as_ref(), dtype)?;
        let (blocks, width, tokens) = (config.num_hidden_layers, config.hidden_size, config.max_position_embeddings);
        Ok((Self { tokenizer, model, blocks, width, tokens }, report, notes))
    }

    /// The hidden states of a prompt's tokens, without the last `clip_skip` blocks.
    ///
    /// # Shapes
    /// `[1, tokens, width]`
    pub(crate) fn encode(&self, prompt: &str, clip_skip: usize) -> Result<Tensor<3>, Error> {
        if clip_skip >= self.blocks {
            let problem = format!("must be less than the {} blocks of the text encoder", self.blocks);
            return Err(Error::request("clip_skip", problem));
        }
        let ids = self.tokenizer.encode(prompt)?.ids;
        Ok(self.model.forward(&[ids], clip_skip).last_hidden_state)
    }

    /// The end of a prompt that is too long for the text encoder; `None` if the whole prompt is used.
    pub(crate) fn dropped(&self, prompt: &str) -> Result<Option<String>, Error> {
        Ok(self.tokenizer.encode(prompt)?.dropped)
    }
}

/// Whether the token table is larger than the device's largest binding.
pub(crate) fn table_is_too_large(config: &ClipTextConfig, dtype: DType, device: &Device) -> bool {
    let table = (config.vocab_size * config.hidden_size * dtype.size()) as u64;
    device.largest_binding().is_some_and(|largest| table > largest)
}

/// The checkpoint's tokenizer. Its prompts have at most the length of the text encoder, and the text encoder knows all
/// its tokens.
pub(crate) fn tokenizer(source: &TokenizerSource, text_encoder: &ClipTextConfig) -> Result<Tokenizer, Error> {
    let mut config = match source {
        TokenizerSource::Files(files) => TokenizerConfig::from_files(&TokenFiles {
            tokenizer_config: files.config.as_deref(),
            special_tokens_map: files.special_tokens_map.as_deref(),
            added_tokens: files.added_tokens.as_deref(),
            tokenizer: files.tokenizer.as_deref(),
        })?,
        TokenizerSource::Clip { pad_token } => TokenizerConfig::default().with_pad_token(pad_token),
    };
    config.model_max_length = config.model_max_length.min(text_encoder.max_position_embeddings);
    let tokenizer = match source {
        TokenizerSource::Files(TokenizerFiles { tokenizer: Some(tokenizer), .. }) => {
            Tokenizer::from_tokenizer_json(tokenizer, &config)?
        }
        TokenizerSource::Files(TokenizerFiles { vocab_and_merges: Some((vocab, merges)), .. }) => {
            Tokenizer::from_files(vocab, merges, &config)?
        }
        _ => Tokenizer::clip(&config)?,
    };
    let (tokens, known) = (tokenizer.vocab_size(), text_encoder.vocab_size);
    if tokens > known {
        let problem = format!("has {tokens} tokens, but the text encoder knows {known}");
        return Err(Error::Misfit { part: "tokenizer", problem });
    }
    Ok(tokenizer)
}
