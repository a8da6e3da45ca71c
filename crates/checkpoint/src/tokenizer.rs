use serde_json::Value;

use crate::{CheckpointError, Location};

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
        Ok(if has_vocabulary { Self::Files(files) } else { Self::clip(text_encoder["hidden_act"] == "gelu") })
    }

    pub(crate) fn clip(version_2: bool) -> Self {
        Self::Clip { pad_token: if version_2 { "!" } else { "<|endoftext|>" }.to_owned() }
    }
}
