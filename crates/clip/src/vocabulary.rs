use std::fmt;
use std::io::Read;

use flate2::read::GzDecoder;
use serde::Deserialize;
use serde_json::{Map, Value};
use tokenizers::models::bpe::{Merges, Vocab};

use crate::{Error, TokenizerConfig};

/// CLIP's merges, see `assets/README.md`.
const SHIPPED: &[u8] = include_bytes!("../assets/merges.txt.gz");

/// The tokens before and after every text.
pub(crate) const SPECIAL: [&str; 2] = ["<|startoftext|>", "<|endoftext|>"];

/// Tokens with their ids, and the pairs that byte-pair encoding merges, most frequent first.
#[derive(Clone)]
pub struct Vocabulary {
    pub(crate) ids: Vocab,
    pub(crate) merges: Merges,
}

impl Vocabulary {
    /// The vocabulary of every published CLIP: 49,408 tokens.
    ///
    /// # Errors
    /// Returns an error if the shipped file cannot be decompressed. No platform is known where this happens.
    pub fn shipped() -> Result<Self, Error> {
        let mut text = String::new();
        GzDecoder::new(SHIPPED).read_to_string(&mut text).map_err(|cause| Error::Shipped { cause })?;
        let merges: Vec<_> = text.lines().filter_map(|line| line.split_once(' ')).collect();
        let tokens = byte_symbols()
            .map(String::from)
            .chain(byte_symbols().map(|symbol| format!("{symbol}</w>")))
            .chain(merges.iter().map(|(left, right)| format!("{left}{right}")))
            .chain(SPECIAL.map(str::to_owned));
        let ids = tokens.zip(0..).collect();
        let merges = merges.into_iter().map(|(left, right)| (left.to_owned(), right.to_owned())).collect();
        Ok(Self { ids, merges })
    }

    /// From the contents of `vocab.json` (token to id) and `merges.txt` (two tokens per line).
    ///
    /// # Errors
    /// Returns an error if a file is malformed, or a merge names unknown tokens.
    pub fn from_files(vocab_json: &str, merges_txt: &str) -> Result<Self, Error> {
        let ids = serde_json::from_str(vocab_json).map_err(|cause| Error::Json { file: "vocab.json", cause })?;
        let merges = merges_txt.lines().enumerate().filter(|(_, text)| !text.starts_with("#version"));
        let merges = merges.map(|(index, text)| parse_merge(index + 1, text, &ids)).collect::<Result<_, _>>()?;
        Ok(Self { ids, merges })
    }

    /// From the contents of `tokenizer.json`, the only file that transformers 5 writes.
    ///
    /// # Errors
    /// The errors of [`Self::from_files`].
    pub fn from_tokenizer_json(json: &str) -> Result<Self, Error> {
        let file: TokenizerJson =
            serde_json::from_str(json).map_err(|cause| Error::Json { file: "tokenizer.json", cause })?;
        let TokenizerJson { model: BpeJson { vocab: ids, merges } } = file;
        let lines = merges.into_iter().map(MergeJson::into_line).enumerate();
        let merges = lines.map(|(index, text)| parse_merge(index + 1, &text, &ids)).collect::<Result<_, _>>()?;
        Ok(Self { ids, merges })
    }

    /// Adds the tokens of `config`, which no merge produces: first those with an id of their own, then the others with
    /// the next ids.
    pub(crate) fn add(&mut self, config: &TokenizerConfig) {
        for (&id, token) in &config.added_tokens {
            self.ids.entry(token.content.clone()).or_insert(id);
        }
        for token in &config.extra_special_tokens {
            let next = self.ids.values().max().map_or(0, |largest| largest.saturating_add(1));
            self.ids.entry(token.content.clone()).or_insert(next);
        }
    }

    /// The number of tokens.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there are no tokens.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// The id of a token.
    pub fn id(&self, token: &str) -> Option<u32> {
        self.ids.get(token).copied()
    }

    /// The contents of `vocab.json` and of `merges.txt`.
    pub fn to_files(&self) -> (String, String) {
        let tokens: Map<String, Value> = self.ids.iter().map(|(token, id)| (token.clone(), (*id).into())).collect();
        let merges: String = self.merges.iter().map(|(left, right)| format!("{left} {right}\n")).collect();
        (Value::from(tokens).to_string(), format!("#version: 0.2\n{merges}"))
    }
}

impl fmt::Debug for Vocabulary {
    /// Leaves the tokens out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Vocabulary({} tokens)", self.len())
    }
}

/// A character for every byte, in the order of their ids. Printable bytes come first and stand for themselves; the
/// others are mapped above Latin-1 (Radford et al., "Language Models are Unsupervised Multitask Learners").
pub(crate) fn byte_symbols() -> impl Iterator<Item = char> {
    let moved = (0..256 - 188).filter_map(|index| char::from_u32(256 + index));
    ('!'..='~').chain('¡'..='¬').chain('®'..='ÿ').chain(moved)
}

/// The BPE library trusts the merges, and panics if they produce a token longer than the longest of the vocabulary.
fn parse_merge(line: usize, text: &str, ids: &Vocab) -> Result<(String, String), Error> {
    let fail = |reason| Error::Merge { line, text: text.chars().take(80).collect(), reason };
    let (left, right) = text.split_once(' ').ok_or_else(|| fail("two tokens with a space between are expected"))?;
    if !ids.contains_key(left) || !ids.contains_key(right) {
        return Err(fail("both tokens must be in the vocabulary"));
    }
    if !ids.contains_key(&format!("{left}{right}")) {
        return Err(fail("the joined token must be in the vocabulary"));
    }
    Ok((left.to_owned(), right.to_owned()))
}

#[derive(Deserialize)]
struct TokenizerJson {
    model: BpeJson,
}

#[derive(Deserialize)]
struct BpeJson {
    vocab: Vocab,
    merges: Vec<MergeJson>,
}

/// Before tokenizers 0.20 a merge was one string.
#[derive(Deserialize)]
#[serde(untagged)]
enum MergeJson {
    Line(String),
    Pair(String, String),
}

impl MergeJson {
    fn into_line(self) -> String {
        match self {
            Self::Line(line) => line,
            Self::Pair(left, right) => format!("{left} {right}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;

    /// The digest that `tests/reference/clip.py` computes of the published `vocab.json`.
    #[test]
    fn the_shipped_vocabulary_is_the_published_one() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/reference/clip_tokens.json");
        let reference: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let vocabulary = Vocabulary::shipped().unwrap();
        let mut tokens: Vec<_> = vocabulary.ids.iter().map(|(token, id)| (id, token)).collect();
        tokens.sort();
        assert!(tokens.iter().enumerate().all(|(row, (id, _))| row == **id as usize));
        let text: String = tokens.iter().map(|(_, token)| format!("{token}\n")).collect();
        let digest: String = Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(digest, reference["vocabulary_sha256"].as_str().unwrap());
    }
}
