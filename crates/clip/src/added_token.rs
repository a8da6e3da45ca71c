//! Tokens that are matched in a text before the rest of it is tokenized.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Error;

/// A token that matches its own text anywhere, such as the tokens that textual inversion and fine-tuning add. If two
/// match at the same position, the longer one is used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct AddedToken {
    /// Its text.
    pub content: String,
    /// Whether it matches only whole words.
    pub single_word: bool,
    /// Whether it includes the white space to its left.
    pub lstrip: bool,
    /// Whether it includes the white space to its right.
    pub rstrip: bool,
    /// Whether it is matched after the text was normalised; upper and lower case are then equal.
    pub normalized: bool,
    /// Whether it is left out when tokens are converted to text.
    pub special: bool,
}

impl AddedToken {
    /// A token that marks a position in the text, such as its end. It is matched in the original text.
    pub fn special(content: impl Into<String>) -> Self {
        let [single_word, lstrip, rstrip, normalized] = [false; 4];
        Self { content: content.into(), single_word, lstrip, rstrip, normalized, special: true }
    }

    /// A user-defined word, in upper or lower case.
    pub fn word(content: impl Into<String>) -> Self {
        Self { normalized: true, special: false, ..Self::special(content) }
    }

    /// The same token, matched in the normalised text or in the original text.
    #[must_use]
    pub fn with_normalized(self, normalized: bool) -> Self {
        Self { normalized, ..self }
    }
}

impl From<AddedToken> for tokenizers::AddedToken {
    fn from(token: AddedToken) -> Self {
        let AddedToken { content, single_word, lstrip, rstrip, normalized, special } = token;
        Self { content, single_word, lstrip, rstrip, normalized, special }
    }
}

/// A token in a file: its text, or an object. Missing fields of an object have the defaults of transformers'
/// `AddedToken`.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Text(String),
    Object {
        content: String,
        #[serde(default)]
        single_word: bool,
        #[serde(default)]
        lstrip: bool,
        #[serde(default)]
        rstrip: bool,
        normalized: Option<bool>,
        special: Option<bool>,
    },
}

/// Reads a token; `None` if it is not a token. `special` is the default where the file does not state it.
pub(crate) fn read_token(value: &Value, special: bool) -> Option<AddedToken> {
    let token = match Written::deserialize(value).ok()? {
        Written::Text(content) => AddedToken::special(content),
        Written::Object { content, single_word, lstrip, rstrip, normalized, special: said } => {
            let special = said.unwrap_or(special);
            AddedToken { content, single_word, lstrip, rstrip, normalized: normalized.unwrap_or(!special), special }
        }
    };
    (!token.content.is_empty()).then_some(token)
}

/// `added_tokens_decoder` of `tokenizer_config.json`: ids to tokens.
pub(crate) fn read_decoder(file: &'static str, value: &Value) -> Result<BTreeMap<u32, AddedToken>, Error> {
    let entries = value.as_object().into_iter().flatten();
    let pair = |(id, token): (&String, &Value)| Some((id.parse().ok()?, read_token(token, false)?));
    entries.map(|entry| pair(entry).ok_or_else(|| wrong(file, "added_tokens_decoder", entry.1))).collect()
}

/// `added_tokens` of `tokenizer.json`: a list of tokens with an `id` each.
pub(crate) fn read_list(file: &'static str, value: &Value) -> Result<BTreeMap<u32, AddedToken>, Error> {
    let pair = |entry: &Value| Some((u32::try_from(entry["id"].as_u64()?).ok()?, read_token(entry, false)?));
    let entries = value.as_array().into_iter().flatten();
    entries.map(|entry| pair(entry).ok_or_else(|| wrong(file, "added_tokens", entry))).collect()
}

/// `added_tokens.json`: texts to ids. Tokens in `special` are matched in the original text.
pub(crate) fn read_ids(
    file: &'static str,
    value: &Value,
    special: impl Fn(&str) -> bool,
) -> Result<BTreeMap<u32, AddedToken>, Error> {
    let token = |text: &String| if special(text) { AddedToken::special(text) } else { AddedToken::word(text) };
    let pair = |(text, id): (&String, &Value)| Some((u32::try_from(id.as_u64()?).ok()?, token(text)));
    let entries = value.as_object().ok_or_else(|| wrong(file, "the file", value))?.iter();
    entries.map(|entry| pair(entry).ok_or_else(|| wrong(file, "added_tokens", entry.1))).collect()
}

pub(crate) fn wrong(file: &'static str, field: &'static str, value: &Value) -> Error {
    let value = value.to_string().chars().take(80).collect();
    let expected =
        "a token is a string, or an object with the string `content`; its id is a number below 2^32".to_owned();
    Error::Field { file, field, value, expected }
}
