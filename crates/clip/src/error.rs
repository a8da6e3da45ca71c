use serde::de::DeserializeOwned;
use tokenizers::Error as BpeError;

/// An error in a tokenizer's files, in a configuration, or in a prompt.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A tokenizer file or `config.json` is not JSON of the expected form.
    #[error("{file}: {cause}")]
    Json {
        /// The name that diffusers gives the file.
        file: &'static str,
        /// The parser's error, with line and column.
        cause: serde_json::Error,
    },
    /// A line of the merges is not two tokens whose concatenation is a token.
    #[error("merges: line {line}, {text:?}: {reason}")]
    Merge {
        /// Counted from 1, the `#version` line included.
        line: usize,
        /// The line.
        text: String,
        /// The correct form.
        reason: &'static str,
    },
    /// A special token has no id in the vocabulary.
    #[error("vocabulary: the {role} {token:?} is missing among its {size} tokens")]
    MissingToken {
        /// `bos_token`, `eos_token`, `unk_token` or `pad_token`.
        role: &'static str,
        /// The token.
        token: String,
        /// Tokens in the vocabulary.
        size: usize,
    },
    /// A field of a configuration is out of range.
    #[error("{file}: {field} is {value}, {expected}")]
    Field {
        /// The name that diffusers gives the file.
        file: &'static str,
        /// The field's name in that file.
        field: &'static str,
        /// Its value in the file.
        value: String,
        /// The values that are possible.
        expected: String,
    },
    /// The shipped merges could not be unpacked.
    #[error("the CLIP vocabulary inside the program: {cause}")]
    Shipped {
        /// The error of the decompression.
        cause: std::io::Error,
    },
    /// The BPE library returned an error for a text or a vocabulary.
    #[error("tokenizer: {0}")]
    Bpe(BpeError),
}

/// Reads a configuration; an error names the path of the key.
pub(crate) fn parse<T: DeserializeOwned>(file: &'static str, json: &str) -> Result<T, Error> {
    let parsed = serde_path_to_error::deserialize(&mut serde_json::Deserializer::from_str(json));
    parsed.map_err(|error| Error::Json { file, cause: serde::de::Error::custom(error) })
}
