use serde_json::Value;

use crate::Error;

/// A length that no text tower has; transformers writes a larger one for a tokenizer without a limit.
const LARGEST_LENGTH: u64 = 65_536;

/// The special tokens and the length of a tokenizer, `tokenizer_config.json` and `special_tokens_map.json` in files.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TokenizerConfig {
    /// Put before the prompt. Default `<|startoftext|>`.
    pub bos_token: String,
    /// Put after the prompt. Default `<|endoftext|>`.
    pub eos_token: String,
    /// Stands for what the vocabulary cannot spell. Default `<|endoftext|>`; CLIP's own vocabulary spells every byte.
    pub unk_token: String,
    /// Fills up to the full length. Default `<|endoftext|>` as in Stable Diffusion 1; Stable Diffusion 2 has `!`.
    pub pad_token: String,
    /// Tokens of an encoding, BOS and EOS included. Default 77; at most the text tower's `max_position_embeddings`.
    pub model_max_length: usize,
}

impl Default for TokenizerConfig {
    fn default() -> Self {
        Self {
            bos_token: "<|startoftext|>".to_owned(),
            eos_token: "<|endoftext|>".to_owned(),
            unk_token: "<|endoftext|>".to_owned(),
            pad_token: "<|endoftext|>".to_owned(),
            model_max_length: 77,
        }
    }
}

impl TokenizerConfig {
    /// Reads the contents of the two files, either of which may be absent. Where both name a token,
    /// `special_tokens_map.json` wins, as in transformers.
    ///
    /// # Errors
    /// When a file is not JSON or a field has another type or size than it should.
    pub fn from_json(tokenizer_config: Option<&str>, special_tokens_map: Option<&str>) -> Result<Self, Error> {
        let mut config = Self::default();
        let files = [("tokenizer_config.json", tokenizer_config), ("special_tokens_map.json", special_tokens_map)];
        for (file, json) in files {
            let Some(json) = json else { continue };
            let json: Value = serde_json::from_str(json).map_err(|source| Error::Json { file, source })?;
            config.read(file, &json)?;
        }
        Ok(config)
    }

    /// The same with another pad token.
    #[must_use]
    pub fn with_pad_token(self, pad_token: &str) -> Self {
        Self { pad_token: pad_token.to_owned(), ..self }
    }

    fn read(&mut self, file: &'static str, json: &Value) -> Result<(), Error> {
        read_token(file, json, "bos_token", &mut self.bos_token)?;
        read_token(file, json, "eos_token", &mut self.eos_token)?;
        read_token(file, json, "unk_token", &mut self.unk_token)?;
        read_token(file, json, "pad_token", &mut self.pad_token)?;
        read_length(file, &json["model_max_length"], &mut self.model_max_length)
    }
}

/// A token is its text, or an object with its text as `content`; null stands for "not said".
fn read_token(file: &'static str, json: &Value, field: &'static str, token: &mut String) -> Result<(), Error> {
    let value = &json[field];
    let text = if value.is_object() { &value["content"] } else { value };
    match text {
        Value::Null if !value.is_object() => Ok(()),
        Value::String(text) if !text.is_empty() => {
            token.clone_from(text);
            Ok(())
        }
        _ => Err(field_error(file, field, value, "a token is a string, or an object with the string `content`")),
    }
}

fn read_length(file: &'static str, value: &Value, length: &mut usize) -> Result<(), Error> {
    match value.as_u64() {
        Some(tokens @ 2..=LARGEST_LENGTH) => *length = tokens as usize,
        None | Some(0 | 1) if !value.is_null() && !value.is_f64() => {
            return Err(field_error(file, "model_max_length", value, "a number from 2 is expected"));
        }
        _ => {}
    }
    Ok(())
}

fn field_error(file: &'static str, field: &'static str, value: &Value, expected: &str) -> Error {
    let value = value.to_string().chars().take(80).collect();
    Error::Field { file, field, value, expected: expected.to_owned() }
}
