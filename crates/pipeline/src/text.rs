//! Prompts to what the UNet sees of them.

use burn::tensor::{DType, Device, Tensor};
use pyrograph_checkpoint::{Checkpoint, LoadReport, TokenizerSource, load};
use pyrograph_clip::{ClipTextConfig, ClipTextModel, Tokenizer, TokenizerConfig};

use crate::{Error, TextToImage};

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
        let tokenizer = tokenizer(&checkpoint.tokenizer)?;
        if tokenizer.vocab_size() > config.vocab_size {
            let problem =
                format!("has {} tokens, but the text encoder knows {}", tokenizer.vocab_size(), config.vocab_size);
            return Err(Error::request("tokenizer", problem));
        }
        let mut model = config.init(device);
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

fn tokenizer(source: &TokenizerSource) -> Result<Tokenizer, Error> {
    let files = match source {
        TokenizerSource::Clip { pad_token } => return Ok(Tokenizer::clip(pad_token)?),
        TokenizerSource::Files(files) => files,
    };
    let config = TokenizerConfig::from_json(files.config.as_deref(), files.special_tokens_map.as_deref())?;
    Ok(match (&files.vocab_and_merges, &files.tokenizer) {
        (Some((vocab, merges)), _) => Tokenizer::from_files(vocab, merges, &config)?,
        (None, Some(tokenizer)) => Tokenizer::from_tokenizer_json(tokenizer, &config)?,
        (None, None) => Tokenizer::clip(&config.pad_token)?,
    })
}
