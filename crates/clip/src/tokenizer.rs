use std::fmt;

use tokenizers::SplitDelimiterBehavior;
use tokenizers::models::bpe::BPE;
use tokenizers::normalizers::{Lowercase, NFC, Replace, Sequence as Normalizers};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::sequence::Sequence as PreTokenizers;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};

use crate::vocabulary::Vocabulary;
use crate::{AddedToken, Error, TokenizerConfig};

/// Words, contractions, single digits, and sequences of other characters. White space separates them and is removed.
const WORDS: &str = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+";

/// CLIP's lower-case byte-level BPE ([Radford et al.](https://arxiv.org/abs/2103.00020)). It gives the same ids as
/// `CLIPTokenizer` of transformers.
#[derive(Clone)]
pub struct Tokenizer {
    bpe: tokenizers::Tokenizer,
    bos: u32,
    eos: u32,
    pad: u32,
    max_length: usize,
    vocab_size: usize,
}

/// The tokens of a prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoding {
    /// BOS, the prompt's tokens, EOS, padding: always the tokenizer's full length.
    pub ids: Vec<u32>,
    /// The end of the prompt, as it was written, if the prompt was too long.
    pub dropped: Option<String>,
}

impl Tokenizer {
    /// A tokenizer with the vocabulary of every published CLIP, for checkpoints without one.
    ///
    /// # Errors
    /// Returns an error if a special token of `config` is not in the vocabulary.
    pub fn clip(config: &TokenizerConfig) -> Result<Self, Error> {
        Self::new(Vocabulary::shipped()?, config)
    }

    /// From the contents of `vocab.json` and `merges.txt`.
    ///
    /// # Errors
    /// Returns an error if a file is malformed, a merge names unknown tokens, or a special token is not in the
    /// vocabulary.
    pub fn from_files(vocab_json: &str, merges_txt: &str, config: &TokenizerConfig) -> Result<Self, Error> {
        Self::new(Vocabulary::from_files(vocab_json, merges_txt)?, config)
    }

    /// From the vocabulary and the merges in the contents of `tokenizer.json`. Its added tokens belong to `config`.
    /// transformers reads nothing else of it.
    ///
    /// # Errors
    /// The errors of [`Self::from_files`].
    pub fn from_tokenizer_json(tokenizer_json: &str, config: &TokenizerConfig) -> Result<Self, Error> {
        Self::new(Vocabulary::from_tokenizer_json(tokenizer_json)?, config)
    }

    /// From a vocabulary with merges, to which the tokens of `config` are added.
    ///
    /// # Errors
    /// Returns an error if a special token of `config` is not in the vocabulary.
    pub fn new(mut vocabulary: Vocabulary, config: &TokenizerConfig) -> Result<Self, Error> {
        vocabulary.add(config);
        let size = vocabulary.ids.len();
        let id = |role, token: &AddedToken| {
            let missing = || Error::MissingToken { role, token: token.content.clone(), size };
            vocabulary.ids.get(&token.content).copied().ok_or_else(missing)
        };
        let bos = id("bos_token", &config.bos_token)?;
        let eos = id("eos_token", &config.eos_token)?;
        let pad = id("pad_token", &config.pad_token)?;
        id("unk_token", &config.unk_token)?;
        let vocab_size = vocabulary.ids.values().max().map_or(0, |&largest| largest as usize + 1);
        let bpe = byte_pair_encoder(vocabulary, config).map_err(Error::Bpe)?;
        Ok(Self { bpe, bos, eos, pad, max_length: config.model_max_length.max(2), vocab_size })
    }

    /// The tokens of a text as strings, without BOS and EOS.
    ///
    /// # Errors
    /// The errors of [`Self::encode`].
    pub fn tokens(&self, text: &str) -> Result<Vec<String>, Error> {
        Ok(self.bpe.encode(text, false).map_err(Error::Bpe)?.get_tokens().to_vec())
    }

    /// Encodes one prompt. If the prompt is too long, its first `model_max_length - 2` tokens are kept.
    ///
    /// # Errors
    /// Returns an error if the BPE library fails on the text. No such text is known.
    pub fn encode(&self, prompt: &str) -> Result<Encoding, Error> {
        let tokens = self.bpe.encode(prompt, false).map_err(Error::Bpe)?;
        let kept = tokens.len().min(self.max_length - 2);
        let dropped = tokens.get_offsets().get(kept).map(|&(start, _)| text_from(prompt, start));
        let mut ids = Vec::with_capacity(self.max_length);
        ids.push(self.bos);
        ids.extend(&tokens.get_ids()[..kept]);
        ids.push(self.eos);
        ids.resize(self.max_length, self.pad);
        Ok(Encoding { ids, dropped })
    }

    /// The largest id plus one; at most the text tower's `vocab_size`.
    pub fn vocab_size(&self) -> usize {
        self.vocab_size
    }
}

impl fmt::Debug for Tokenizer {
    /// Leaves the vocabulary out.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { bos, eos, pad, max_length, vocab_size, bpe: _ } = self;
        let mut fields = formatter.debug_struct("Tokenizer");
        fields.field("bos", bos).field("eos", eos).field("pad", pad);
        fields.field("max_length", max_length).field("vocab_size", vocab_size).finish_non_exhaustive()
    }
}

/// The parts of transformers' `CLIPTokenizer`, in the same order.
fn byte_pair_encoder(vocabulary: Vocabulary, config: &TokenizerConfig) -> tokenizers::Result<tokenizers::Tokenizer> {
    let model = BPE::builder()
        .vocab_and_merges(vocabulary.ids, vocabulary.merges)
        .end_of_word_suffix("</w>".to_owned())
        .unk_token(config.unk_token.content.clone())
        .build()?;
    let one_space = Replace::new(tokenizers::normalizers::replace::ReplacePattern::Regex(r"\s+".to_owned()), " ")?;
    let words = Split::new(SplitPattern::Regex(WORDS.to_owned()), SplitDelimiterBehavior::Removed, true)?;
    let bytes = ByteLevel::default().add_prefix_space(false);
    let mut bpe = tokenizers::Tokenizer::new(model);
    bpe.with_normalizer(Some(Normalizers::new(vec![NFC.into(), one_space.into(), Lowercase.into()])))?;
    bpe.with_pre_tokenizer(Some(PreTokenizers::new(vec![words.into(), bytes.into()])));
    bpe.add_tokens(config.found_tokens().cloned().map(Into::into))?;
    Ok(bpe)
}

/// `text` from byte `start`. An offset inside a character, where a token is a part of it, is moved to the beginning of
/// the character.
fn text_from(text: &str, start: usize) -> String {
    text[text.floor_char_boundary(start)..].trim().to_owned()
}
