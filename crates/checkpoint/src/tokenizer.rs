use serde::Deserialize;
use serde_json::Value;

use crate::{CheckpointError, Location, Note, read_config};

/// Where a checkpoint's tokenizer comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenizerSource {
    /// The contents of its files.
    Files(TokenizerFiles),
    /// CLIP's own vocabulary, which every Stable Diffusion uses, with this token to fill up short prompts.
    Clip {
        /// `<|endoftext|>` for Stable Diffusion 1, `!` for 2.
        pad_token: String,
    },
}

/// The contents of a `tokenizer` folder. `vocab_and_merges` or `tokenizer` is there; where both are, `tokenizer` counts, as in
/// transformers 5.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenizerFiles {
    /// `vocab.json` and `merges.txt`.
    pub vocab_and_merges: Option<(String, String)>,
    /// `tokenizer.json`, which newer versions of transformers write instead of or beside them.
    pub tokenizer: Option<String>,
    /// `tokenizer_config.json`.
    pub config: Option<String>,
    /// `special_tokens_map.json`.
    pub special_tokens_map: Option<String>,
    /// `added_tokens.json`, tokens beside those of `vocab.json`.
    pub added_tokens: Option<String>,
}

impl TokenizerSource {
    /// Reads a `tokenizer` folder; where it has no vocabulary, or is not there, CLIP's own, in the variant that the text
    /// encoder's configuration tells.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn open(folder: impl Into<Location>, text_encoder: &Value) -> Result<Self, CheckpointError> {
        let folder = folder.into();
        let read = |file: &str| folder.join(file).read_text_if_any();
        let files = TokenizerFiles {
            vocab_and_merges: read("vocab.json")?.zip(read("merges.txt")?),
            tokenizer: read("tokenizer.json")?,
            config: read("tokenizer_config.json")?,
            special_tokens_map: read("special_tokens_map.json")?,
            added_tokens: read("added_tokens.json")?,
        };
        let has_vocabulary = files.vocab_and_merges.is_some() || files.tokenizer.is_some();
        if let (false, Some(_)) = (has_vocabulary, read("vocab.json")?) {
            return Err(CheckpointError::missing(folder.path(), "has vocab.json, but no merges.txt"));
        }
        Ok(if has_vocabulary { Self::Files(files) } else { Self::clip(text_encoder["hidden_act"] == "gelu") })
    }

    /// Whose vocabulary it is, where it is not the checkpoint's own, and the keys of its configuration that have no effect.
    ///
    /// # Errors
    /// When the configuration asks for something that is not implemented.
    pub(crate) fn notes(&self) -> Result<Vec<Note>, CheckpointError> {
        let config = match self {
            Self::Clip { pad_token } => return Ok(vec![Note::ClipVocabulary { pad_token: pad_token.clone() }]),
            Self::Files(files) => files.config.as_deref().map(serde_json::from_str),
        };
        match config {
            Some(Ok(config @ Value::Object(_))) => {
                Ok(read_config::<ReadElsewhere>("tokenizer/tokenizer_config.json", "CLIPTokenizer", &config)?.1)
            }
            // What reads the configuration says that it is none.
            _ => Ok(Vec::new()),
        }
    }

    pub(crate) fn clip(version_2: bool) -> Self {
        Self::Clip { pad_token: if version_2 { "!" } else { "<|endoftext|>" }.to_owned() }
    }
}

/// A configuration of which nothing is read yet.
#[derive(Deserialize)]
struct ReadElsewhere {}
