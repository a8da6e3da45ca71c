//! Captions as tokens.

use std::path::Path;

use burn::tensor::{Int, Tensor, TensorData};
use pyrograph_checkpoint::{Output, TokenizerSource};
use pyrograph_clip::{AddedToken, ClipTextConfig, ClipTextModel, TokenFiles, Tokenizer, TokenizerConfig, Vocabulary};
use pyrograph_scheduler::Generator;
use serde_json::{Value, json};

use super::diffusers::write_json;
use crate::{Dataset, TrainError};

/// The table that an error names.
const TABLE: &str = "text_encoder";

/// A tokenizer that can be written, as transformers' `CLIPTokenizer`.
#[derive(Clone, Debug)]
pub(crate) struct CaptionTokenizer {
    vocabulary: Vocabulary,
    config: TokenizerConfig,
    tokenizer: Tokenizer,
}

impl CaptionTokenizer {
    /// CLIP's own, or the part of it that the captions need, with at most `length` tokens for a text.
    pub(crate) fn new(captions: Option<&Dataset>, length: usize) -> Result<Self, TrainError> {
        let whole = Vocabulary::shipped().map_err(TrainError::table(TABLE))?;
        let vocabulary = match captions {
            Some(dataset) => whole.restricted_to(dataset.captions()).map_err(TrainError::table(TABLE))?,
            None => whole,
        };
        Self::from_parts(vocabulary, TokenizerConfig::default(), length)
    }

    /// The tokenizer of a checkpoint.
    pub(crate) fn open(source: &TokenizerSource, length: usize) -> Result<Self, TrainError> {
        let (vocabulary, config) = match source {
            TokenizerSource::Clip { pad_token } => {
                (Vocabulary::shipped(), TokenizerConfig::default().with_pad_token(pad_token))
            }
            TokenizerSource::Files(files) => {
                let vocabulary = match (&files.vocab_and_merges, &files.tokenizer) {
                    (_, Some(tokenizer)) => Vocabulary::from_tokenizer_json(tokenizer),
                    (Some((vocab, merges)), None) => Vocabulary::from_files(vocab, merges),
                    (None, None) => Vocabulary::shipped(),
                };
                let config = TokenizerConfig::from_files(&TokenFiles {
                    tokenizer_config: files.config.as_deref(),
                    special_tokens_map: files.special_tokens_map.as_deref(),
                    added_tokens: files.added_tokens.as_deref(),
                    tokenizer: files.tokenizer.as_deref(),
                });
                (vocabulary, config.map_err(TrainError::table(TABLE))?)
            }
        };
        Self::from_parts(vocabulary.map_err(TrainError::table(TABLE))?, config, length)
    }

    fn from_parts(vocabulary: Vocabulary, mut config: TokenizerConfig, length: usize) -> Result<Self, TrainError> {
        config.model_max_length = config.model_max_length.min(length);
        let tokenizer = Tokenizer::new(vocabulary.clone(), &config).map_err(TrainError::table(TABLE))?;
        Ok(Self { vocabulary, config, tokenizer })
    }

    /// Gives a text tower the size of the vocabulary and the token at which it reads a text's meaning.
    pub(crate) fn describe(&self, tower: &mut ClipTextConfig) {
        tower.vocab_size = self.tokenizer.vocab_size();
        tower.eos_token_id = self.id(&self.config.eos_token).unwrap_or(tower.eos_token_id);
    }

    /// The other tokens of a text tower's `config.json`.
    pub(crate) fn more_keys(&self) -> Value {
        json!({ "bos_token_id": self.id(&self.config.bos_token), "pad_token_id": self.id(&self.config.pad_token) })
    }

    fn id(&self, token: &AddedToken) -> Option<u32> {
        self.vocabulary.id(&token.content)
    }

    pub(crate) fn encode(&self, caption: &str) -> Result<Vec<u32>, TrainError> {
        Ok(self.tokenizer.encode(caption).map_err(TrainError::table(TABLE))?.ids)
    }

    /// Captions without the tags that are dropped by chance: parts between commas that are not the first.
    pub(crate) fn encode_some(
        &self,
        captions: &[&str],
        tag_dropout: f64,
        generator: &mut Generator,
    ) -> Result<Vec<Vec<u32>>, TrainError> {
        let mut keeps = |_: &&str| tag_dropout <= 0.0 || f64::from(generator.rand(1)[0]) >= tag_dropout;
        let shorten = |caption: &&str| {
            let mut parts = caption.split(',');
            let first = parts.next().into_iter();
            first.chain(parts.filter(&mut keeps)).collect::<Vec<_>>().join(",")
        };
        captions.iter().map(shorten).collect::<Vec<_>>().iter().map(|caption| self.encode(caption)).collect()
    }

    /// Writes `vocab.json`, `merges.txt` and `tokenizer_config.json`.
    pub(crate) fn write(&self, folder: &Path) -> Result<(), TrainError> {
        let TokenizerConfig { bos_token, eos_token, unk_token, pad_token, model_max_length, .. } = &self.config;
        let mut config = json!({
            "tokenizer_class": "CLIPTokenizer",
            "bos_token": bos_token.content, "eos_token": eos_token.content,
            "unk_token": unk_token.content, "pad_token": pad_token.content,
            "model_max_length": model_max_length, "do_lower_case": true, "add_prefix_space": false, "errors": "replace",
        });
        if !self.config.added_tokens.is_empty() {
            config["added_tokens_decoder"] = json!(self.config.added_tokens);
        }
        write_json(&folder.join("tokenizer_config.json"), &config)?;
        let (vocab, merges) = self.vocabulary.to_files();
        Output::save(folder.join("vocab.json"), vocab)?;
        Ok(Output::save(folder.join("merges.txt"), merges)?)
    }
}

/// The states of the captions' tokens; equal captions go through the tower once.
///
/// # Shapes
/// `[captions, tokens, width]`
pub(crate) fn hidden_states(tower: &ClipTextModel, captions: &[Vec<u32>]) -> Tensor<3> {
    let mut unique = captions.to_vec();
    unique.sort_unstable();
    unique.dedup();
    let place = |caption: &Vec<u32>| unique.binary_search(caption).expect("every caption is among them") as i32;
    let places: Vec<i32> = captions.iter().map(place).collect();
    let states = tower.forward(&unique, 0).last_hidden_state;
    let places = Tensor::<1, Int>::from_data(TensorData::new(places, [captions.len()]), &states.device());
    states.select(0, places)
}
