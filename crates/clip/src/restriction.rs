use std::collections::{BTreeSet, HashMap};

use crate::vocabulary::{SPECIAL, byte_symbols};
use crate::{Error, Tokenizer, TokenizerConfig, Vocabulary};

/// The mark of a word's last symbol.
const END: &str = "</w>";

impl Vocabulary {
    /// Reduces the vocabulary to the merges that the words of `texts` need. These words keep their tokens; all others
    /// are split into smaller tokens, down to bytes. A model of few words does not need rows for the forty thousand
    /// other tokens.
    ///
    /// # Errors
    /// Returns an error if the BPE library fails on a text. No such text is known.
    pub fn restricted_to<'a>(&self, texts: impl IntoIterator<Item = &'a str>) -> Result<Self, Error> {
        let tokenizer = Tokenizer::new(self.clone(), &TokenizerConfig::default())?;
        let mut words = BTreeSet::new();
        for text in texts {
            let spelled = tokenizer.tokens(text)?.concat();
            words.extend(spelled.split_inclusive(END).map(str::to_owned));
        }
        let pairs = self.merges.iter().map(|(left, right)| (left.as_str(), right.as_str()));
        let ranks: HashMap<(&str, &str), usize> = pairs.zip(0..).collect();
        let mut used = BTreeSet::new();
        words.iter().for_each(|word| spell(word, &ranks, &mut used));
        let merges: Vec<_> = used.into_iter().map(|rank| self.merges[rank].clone()).collect();
        let joined = merges.iter().map(|(left, right)| format!("{left}{right}"));
        let bytes = byte_symbols().map(String::from).chain(byte_symbols().map(|symbol| format!("{symbol}{END}")));
        let mut tokens: Vec<String> = Vec::new();
        let mut seen = BTreeSet::new();
        for token in bytes.chain(joined).chain(SPECIAL.map(str::to_owned)) {
            if seen.insert(token.clone()) {
                tokens.push(token);
            }
        }
        Ok(Self { ids: tokens.into_iter().zip(0..).collect(), merges })
    }
}

/// Byte-pair encoding of one word, `hello</w>`: merges the pair with the lowest rank until none is left, and records
/// the ranks.
fn spell(word: &str, ranks: &HashMap<(&str, &str), usize>, used: &mut BTreeSet<usize>) {
    let letters = word.strip_suffix(END).unwrap_or(word);
    let mut symbols: Vec<String> = letters.chars().map(String::from).collect();
    if let Some(last) = symbols.last_mut() {
        last.push_str(&word[letters.len()..]);
    }
    let rank = |pair: &[String]| ranks.get(&(pair[0].as_str(), pair[1].as_str())).copied();
    while let Some(lowest) = symbols.windows(2).filter_map(rank).min() {
        used.insert(lowest);
        let mut joined: Vec<String> = Vec::with_capacity(symbols.len());
        let mut rest = symbols.as_slice();
        while let [first, others @ ..] = rest {
            let joins = rest.len() > 1 && rank(&rest[..2]) == Some(lowest);
            joined.push(if joins { format!("{first}{}", others[0]) } else { first.clone() });
            rest = &others[usize::from(joins)..];
        }
        symbols = joined;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The words keep their tokens, and other words can still be encoded.
    #[test]
    fn a_restricted_vocabulary_spells_its_words_as_before() {
        let texts = ["a red apple on a blue background, flat style", "two soccer balls, it's 3d", "ümläute"];
        let whole = Vocabulary::shipped().unwrap();
        let part = whole.restricted_to(texts).unwrap();
        assert!(part.len() < 650, "{} tokens", part.len());
        let config = TokenizerConfig::default();
        let (vocab, merges) = part.to_files();
        let whole = Tokenizer::new(whole, &config).unwrap();
        let part = Tokenizer::from_files(&vocab, &merges, &config).unwrap();
        for text in texts {
            assert_eq!(part.tokens(text).unwrap(), whole.tokens(text).unwrap());
        }
        let strange = "xylophone";
        assert_eq!(part.tokens(strange).unwrap().concat(), whole.tokens(strange).unwrap().concat());
        assert!(part.tokens(strange).unwrap().len() > whole.tokens(strange).unwrap().len());
    }
}
