//! The tokenizer, compared with `CLIPTokenizer` of transformers; see `tests/reference/clip.py`.

use std::collections::HashMap;
use std::sync::LazyLock;

use proptest::prelude::*;
use pyrograph_clip::{AddedToken, TokenFiles, Tokenizer, TokenizerConfig};
use serde::Deserialize;

#[derive(Deserialize)]
struct Reference {
    prompts: Vec<Prompt>,
}

#[derive(Deserialize)]
struct Prompt {
    prompt: String,
    ids: HashMap<String, Vec<u32>>,
    dropped: HashMap<String, Option<String>>,
}

static CLIP: LazyLock<Tokenizer> = LazyLock::new(|| Tokenizer::clip(&TokenizerConfig::default()).unwrap());

fn assert_reproduced(tokenizer: &Tokenizer, pad_token: &str) {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/reference/clip_tokens.json");
    let reference: Reference = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert!(reference.prompts.len() > 60);
    for Prompt { prompt, ids, dropped } in reference.prompts {
        let encoding = tokenizer.encode(&prompt).unwrap();
        assert_eq!(encoding.ids, ids[pad_token], "{prompt:?}");
        assert_eq!(encoding.dropped, dropped[pad_token], "{prompt:?}");
    }
}

#[test]
fn prompts_are_encoded_as_in_stable_diffusion_1() {
    assert_reproduced(&CLIP, "<|endoftext|>");
}

#[test]
fn prompts_are_encoded_as_in_stable_diffusion_2() {
    let config = TokenizerConfig::default().with_pad_token("!");
    assert_reproduced(&Tokenizer::clip(&config).unwrap(), "!");
}

const VOCAB: &str = r#"{"a":0,"b":1,"a</w>":2,"b</w>":3,"ab</w>":4,"<|startoftext|>":5,"<|endoftext|>":6,"!":9}"#;

fn small(length: usize) -> TokenizerConfig {
    let mut config = TokenizerConfig::default();
    config.model_max_length = length;
    config
}

#[test]
fn files_bring_their_own_vocabulary() {
    let tokenizer = Tokenizer::from_files(VOCAB, "#version: 0.2\na b</w>\n", &small(6)).unwrap();
    assert_eq!(tokenizer.vocab_size(), 10);
    let encoding = tokenizer.encode("AB a b ba").unwrap();
    assert_eq!(encoding.ids, [5, 4, 2, 3, 1, 6]); // "ba" is "b" and "a</w>"
    assert_eq!(encoding.dropped.as_deref(), Some("a"));
}

#[test]
fn tokenizer_json_says_the_same_as_the_two_files() {
    let files = Tokenizer::from_files(VOCAB, "#version: 0.2\na b</w>\n", &small(9)).unwrap();
    for merge in [r#"["a","b</w>"]"#, r#""a b</w>""#] {
        let json = format!(r#"{{"version":"1.0","model":{{"type":"BPE","vocab":{VOCAB},"merges":[{merge}]}}}}"#);
        let single = Tokenizer::from_tokenizer_json(&json, &small(9)).unwrap();
        assert_eq!(single.encode("ab x a!").unwrap(), files.encode("ab x a!").unwrap());
    }
}

fn read(tokenizer_config: &str) -> Result<TokenizerConfig, pyrograph_clip::Error> {
    TokenizerConfig::from_files(&TokenFiles { tokenizer_config: Some(tokenizer_config), ..TokenFiles::default() })
}

#[test]
fn the_special_tokens_map_overrides_the_tokenizer_config() {
    let tokenizer_config =
        r#"{"pad_token": "<|endoftext|>", "model_max_length": 77, "eos_token": {"content": "</s>"}}"#;
    let map = Some(r#"{"pad_token": "!"}"#);
    let files =
        TokenFiles { tokenizer_config: Some(tokenizer_config), special_tokens_map: map, ..TokenFiles::default() };
    let config = TokenizerConfig::from_files(&files).unwrap();
    assert_eq!((config.pad_token.content.as_str(), config.eos_token.content.as_str()), ("!", "</s>"));
    let unlimited = read(r#"{"model_max_length": 1000000000000000019884624838656}"#);
    assert_eq!(unlimited.unwrap(), TokenizerConfig::default());
}

/// The message of the error for these files.
fn refusal(vocab: &str, merges: &str, pad_token: &str) -> String {
    let mut config = small(8);
    config.pad_token = AddedToken::special(pad_token);
    Tokenizer::from_files(vocab, merges, &config).unwrap_err().to_string()
}

#[test]
fn bad_files_are_named() {
    assert!(refusal("{\"a\": 0", "", "!").starts_with("vocab.json: EOF while parsing"));
    assert!(refusal("[1, 2]", "", "!").starts_with("vocab.json: invalid type: sequence"));
    assert!(refusal("{\"a\": -1}", "", "!").starts_with("vocab.json: invalid value"));
    assert!(refusal("{\"a\": 99999999999}", "", "!").starts_with("vocab.json: invalid value"));
    assert_eq!(
        refusal("{\"a\": 0}", "", "!"),
        "vocabulary: the bos_token \"<|startoftext|>\" is missing among its 1 tokens"
    );
    assert_eq!(refusal(VOCAB, "", "?"), "vocabulary: the pad_token \"?\" is missing among its 8 tokens");
    assert_eq!(
        refusal(VOCAB, "#version: 0.2\na b</w>\nab</w>", "!"),
        "merges: line 3, \"ab</w>\": two tokens with a space between are expected"
    );
    assert_eq!(refusal(VOCAB, "a c", "!"), "merges: line 1, \"a c\": both tokens must be in the vocabulary");
    // Merged, they are longer than every token of the vocabulary.
    let long = "<|startoftext|> <|endoftext|>";
    assert_eq!(
        refusal(VOCAB, long, "!"),
        format!("merges: line 1, {long:?}: the joined token must be in the vocabulary")
    );
}

#[test]
fn bad_tokenizer_configs_are_named() {
    let refusal = |json: &str| read(json).unwrap_err().to_string();
    let token = "a token is a string, or an object with the string `content`; its id is a number below 2^32";
    assert_eq!(refusal(r#"{"pad_token": 3}"#), format!("tokenizer_config.json: pad_token is 3, {token}"));
    assert_eq!(refusal(r#"{"eos_token": {}}"#), format!("tokenizer_config.json: eos_token is {{}}, {token}"));
    for length in ["0", "1", "-77", "\"77\""] {
        let message = format!("tokenizer_config.json: model_max_length is {length}, a number from 2 is expected");
        assert_eq!(refusal(&format!("{{\"model_max_length\": {length}}}")), message);
    }
    assert!(refusal("").starts_with("tokenizer_config.json: EOF"));
}

proptest! {
    #[test]
    fn every_text_becomes_77_ids(text in any::<String>()) {
        let encoding = CLIP.encode(&text).unwrap();
        prop_assert_eq!(encoding.ids.len(), 77);
        prop_assert_eq!(encoding.ids[0], 49406);
        prop_assert_eq!(encoding.ids[76], 49407);
        prop_assert!(encoding.ids.iter().all(|&id| (id as usize) < CLIP.vocab_size()));
    }

    /// Truncating a prompt and encoding only the kept part give the same ids.
    #[test]
    fn what_was_dropped_ends_the_text(words in prop::collection::vec("[a-zé!0-9]{1,9}", 60..120)) {
        let text = words.join(" ");
        let encoding = CLIP.encode(&text).unwrap();
        match encoding.dropped {
            None => prop_assert_eq!(encoding.ids[76], 49407),
            Some(dropped) => {
                prop_assert!(text.ends_with(&dropped));
                let kept = CLIP.encode(&text[..text.len() - dropped.len()]).unwrap();
                let same = kept.ids.iter().zip(&encoding.ids).filter(|(left, right)| left == right).count();
                prop_assert!(same >= 70, "only {} of 77 ids are the same", same); // a word that is cut in two has other tokens
            }
        }
    }
}
