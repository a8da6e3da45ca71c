use std::collections::BTreeMap;

use serde_json::Value;

use crate::added_token::{read_decoder, read_ids, read_list, read_token, wrong};
use crate::{AddedToken, Error};

/// Longer than any text tower allows; transformers writes a larger number for a tokenizer without a limit.
const LARGEST_LENGTH: u64 = 65_536;

/// The file whose tokens are all special.
const MAP: &str = "special_tokens_map.json";

/// The length of a tokenizer, its special tokens, and the tokens that are not in its vocabulary.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TokenizerConfig {
    /// The token before the prompt. Default `<|startoftext|>`.
    pub bos_token: AddedToken,
    /// The token after the prompt. Default `<|endoftext|>`.
    pub eos_token: AddedToken,
    /// The token for text outside of the vocabulary. Default `<|endoftext|>`; CLIP's own vocabulary covers every byte.
    pub unk_token: AddedToken,
    /// The token that pads to the full length. Default `<|endoftext|>` as in Stable Diffusion 1; Stable Diffusion 2
    /// uses `!`.
    pub pad_token: AddedToken,
    /// Tokens of an encoding, BOS and EOS included. Default 77; at most the text tower's `max_position_embeddings`.
    pub model_max_length: usize,
    /// Tokens by id that are matched before the rest of a text is tokenized. Default: only the special tokens above.
    pub added_tokens: BTreeMap<u32, AddedToken>,
    /// Further special tokens. A token that is neither in the vocabulary nor in `added_tokens` gets the next id.
    /// Default: none.
    pub extra_special_tokens: Vec<AddedToken>,
}

/// The contents of the files in a `tokenizer` folder that define tokens. Each is optional.
#[derive(Clone, Copy, Debug, Default)]
pub struct TokenFiles<'a> {
    /// `tokenizer_config.json`.
    pub tokenizer_config: Option<&'a str>,
    /// `special_tokens_map.json`.
    pub special_tokens_map: Option<&'a str>,
    /// `added_tokens.json`.
    pub added_tokens: Option<&'a str>,
    /// `tokenizer.json`.
    pub tokenizer: Option<&'a str>,
}

impl Default for TokenizerConfig {
    /// The defaults of Stable Diffusion 1: the pad token is matched in the original text, the others in the normalised
    /// text. `<|ENDOFTEXT|>` is therefore a special token, unless it is the pad token.
    fn default() -> Self {
        let normalized = |content| AddedToken::special(content).with_normalized(true);
        Self {
            bos_token: normalized("<|startoftext|>"),
            eos_token: normalized("<|endoftext|>"),
            unk_token: normalized("<|endoftext|>"),
            pad_token: AddedToken::special("<|endoftext|>"),
            model_max_length: 77,
            added_tokens: BTreeMap::new(),
            extra_special_tokens: Vec::new(),
        }
    }
}

impl TokenizerConfig {
    /// Reads the files as transformers does (`PreTrainedTokenizerBase._from_pretrained`). If `tokenizer_config.json`
    /// has an `added_tokens_decoder`, the other files are not read. Otherwise, `special_tokens_map.json` overrides the
    /// special tokens of `tokenizer_config.json`, and `added_tokens.json` and `tokenizer.json` define further tokens.
    ///
    /// # Errors
    /// Returns an error if a file is not JSON, or a field has the wrong type or size.
    pub fn from_files(files: &TokenFiles<'_>) -> Result<Self, Error> {
        let mut config = Self::default();
        let own = parse("tokenizer_config.json", files.tokenizer_config)?;
        config.read("tokenizer_config.json", &own)?;
        if !own["added_tokens_decoder"].is_null() {
            config.added_tokens = read_decoder("tokenizer_config.json", &own["added_tokens_decoder"])?;
            return Ok(config);
        }
        config.read(MAP, &parse(MAP, files.special_tokens_map)?)?;
        if let json @ Value::Object(_) = parse("added_tokens.json", files.added_tokens)? {
            let special = |text: &str| config.special_tokens().any(|token| token.content == text);
            config.added_tokens = read_ids("added_tokens.json", &json, special)?;
        }
        let tokenizer = parse("tokenizer.json", files.tokenizer)?;
        config.added_tokens.extend(read_list("tokenizer.json", &tokenizer["added_tokens"])?);
        Ok(config)
    }

    /// The same configuration with another pad token.
    #[must_use]
    pub fn with_pad_token(self, pad_token: &str) -> Self {
        Self { pad_token: AddedToken::special(pad_token), ..self }
    }

    /// The tokens with a role.
    pub(crate) fn special_tokens(&self) -> impl Iterator<Item = &AddedToken> {
        let named = [&self.bos_token, &self.eos_token, &self.unk_token, &self.pad_token];
        named.into_iter().chain(&self.extra_special_tokens)
    }

    /// All tokens that are matched before the rest of a text is tokenized. If two have the same text, the later one is
    /// used.
    pub(crate) fn found_tokens(&self) -> impl Iterator<Item = &AddedToken> {
        let added = |token: &&AddedToken| self.added_tokens.values().any(|added| added.content == token.content);
        self.added_tokens.values().chain(self.special_tokens().filter(move |token| !added(token)))
    }

    fn read(&mut self, file: &'static str, json: &Value) -> Result<(), Error> {
        read_named(file, json, "bos_token", &mut self.bos_token)?;
        read_named(file, json, "eos_token", &mut self.eos_token)?;
        read_named(file, json, "unk_token", &mut self.unk_token)?;
        read_named(file, json, "pad_token", &mut self.pad_token)?;
        read_length(file, &json["model_max_length"], &mut self.model_max_length)?;
        for field in ["extra_special_tokens", "additional_special_tokens"] {
            let tokens = json[field].as_array().into_iter().flatten();
            let tokens = tokens.map(|token| read_token(token, true).ok_or_else(|| wrong(file, field, token)));
            let tokens: Vec<_> = tokens.collect::<Result<_, _>>()?;
            self.extra_special_tokens.extend(tokens.into_iter().map(|token| AddedToken { special: true, ..token }));
        }
        Ok(())
    }
}

/// Null if there is no file.
fn parse(file: &'static str, json: Option<&str>) -> Result<Value, Error> {
    json.map_or(Ok(Value::Null), |json| serde_json::from_str(json).map_err(|cause| Error::Json { file, cause }))
}

/// Reads a special token; null leaves it unchanged.
fn read_named(file: &'static str, json: &Value, field: &'static str, token: &mut AddedToken) -> Result<(), Error> {
    if !json[field].is_null() {
        let read = read_token(&json[field], file == MAP).ok_or_else(|| wrong(file, field, &json[field]))?;
        *token = AddedToken { special: true, ..read };
    }
    Ok(())
}

fn read_length(file: &'static str, value: &Value, length: &mut usize) -> Result<(), Error> {
    match value.as_u64() {
        Some(tokens @ 2..=LARGEST_LENGTH) => *length = tokens as usize,
        None | Some(0 | 1) if !value.is_null() && !value.is_f64() => {
            let expected = "a number from 2 is expected".to_owned();
            return Err(Error::Field { file, field: "model_max_length", value: value.to_string(), expected });
        }
        _ => {}
    }
    Ok(())
}
