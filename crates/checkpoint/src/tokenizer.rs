use serde::Deserialize;
use serde_json::Value;

use crate::{CheckpointError, Location, Note, read_config};

/// The source of a checkpoint's tokenizer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenizerSource {
    /// The contents of its files.
    Files(TokenizerFiles),
    /// CLIP's own vocabulary, which every Stable Diffusion uses, with the token that pads short prompts.
    Clip {
        /// `<|endoftext|>` for Stable Diffusion 1, `!` for 2.
        pad_token: String,
    },
}

/// The contents of a `tokenizer` folder. At least one of `vocab_and_merges` and `tokenizer` is set; if both are,
/// `tokenizer` is used, as in transformers 5.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenizerFiles {
    /// `vocab.json` and `merges.txt`.
    pub vocab_and_merges: Option<(String, String)>,
    /// `tokenizer.json`, which newer versions of transformers write instead of them or in addition.
    pub tokenizer: Option<String>,
    /// `tokenizer_config.json`.
    pub config: Option<String>,
    /// `special_tokens_map.json`.
    pub special_tokens_map: Option<String>,
    /// `added_tokens.json`, tokens in addition to those of `vocab.json`.
    pub added_tokens: Option<String>,
}

impl TokenizerSource {
    /// Reads a `tokenizer` folder. If it is missing or has no vocabulary, CLIP's own vocabulary is used, in the variant
    /// that the configuration of the text encoder selects.
    ///
    /// # Errors
    /// Returns an error if a file cannot be read.
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

    /// Notes: CLIP's own vocabulary, if it is used, and the keys of the configuration that have no effect.
    ///
    /// # Errors
    /// Returns an error if the configuration asks for something that is not implemented.
    pub(crate) fn notes(&self) -> Result<Vec<Note>, CheckpointError> {
        let config = match self {
            Self::Clip { pad_token } => return Ok(vec![Note::ClipVocabulary { pad_token: pad_token.clone() }]),
            Self::Files(files) => files.config.as_deref().map(serde_json::from_str),
        };
        match config {
            Some(Ok(config @ Value::Object(_))) => {
                Ok(read_config::<ReadElsewhere>("tokenizer/tokenizer_config.json", "CLIPTokenizer", &config)?.1)
            }
            // The reader of the configuration reports that it is not a JSON object.
            _ => Ok(Vec::new()),
        }
    }

    pub(crate) fn clip(version_2: bool) -> Self {
        Self::Clip { pad_token: if version_2 { "!" } else { "<|endoftext|>" }.to_owned() }
    }
}

/// A configuration without fields: other code reads its keys.
#[derive(Deserialize)]
struct ReadElsewhere {}
