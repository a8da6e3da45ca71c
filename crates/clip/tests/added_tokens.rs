//! Added tokens, compared with `CLIPTokenizer` of transformers; see `tests/reference/added_tokens.py`.

use pyrograph_clip::{AddedToken, Error, TokenFiles, Tokenizer, TokenizerConfig, Vocabulary};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
struct Reference {
    prompts: Vec<String>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    files: Value,
    ids: Vec<Vec<u32>>,
}

/// The tokenizer from these files and CLIP's own vocabulary.
fn open(files: &Value) -> Result<Tokenizer, Error> {
    let text = |name: &str| files.get(name).map(Value::to_string);
    let (vocab, merges) = Vocabulary::shipped()?.to_files();
    let tokenizer = files.get("tokenizer.json").map(|added_tokens| {
        let vocab: Value = serde_json::from_str(&vocab).expect("JSON");
        let merges: Vec<&str> = merges.lines().skip(1).collect();
        json!({"added_tokens": added_tokens, "model": {"type": "BPE", "vocab": vocab, "merges": merges}}).to_string()
    });
    let config = TokenizerConfig::from_files(&TokenFiles {
        tokenizer_config: text("tokenizer_config.json").as_deref(),
        special_tokens_map: text("special_tokens_map.json").as_deref(),
        added_tokens: text("added_tokens.json").as_deref(),
        tokenizer: tokenizer.as_deref(),
    })?;
    match tokenizer {
        Some(json) => Tokenizer::from_tokenizer_json(&json, &config),
        None => Tokenizer::from_files(&vocab, &merges, &config),
    }
}

#[test]
fn added_tokens_are_found_as_in_transformers() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/reference/added_tokens.json");
    let Reference { prompts, cases } = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert!(cases.len() > 8);
    for Case { name, files, ids } in cases {
        let tokenizer = open(&files).unwrap_or_else(|error| panic!("{name}: {error}"));
        for (prompt, expected) in prompts.iter().zip(ids) {
            let found = tokenizer.encode(prompt).unwrap().ids;
            assert_eq!(found[..expected.len()], expected, "{name}: {prompt:?}");
        }
    }
}

/// A token has the id in the file, even if the ids before it are unused.
#[test]
fn ids_may_leave_gaps() {
    let tokenizer = open(&json!({"added_tokens.json": {"<far>": 50_000}})).unwrap();
    assert_eq!(tokenizer.encode("a <far> b").unwrap().ids[..5], [49_406, 320, 50_000, 321, 49_407]);
    assert_eq!(tokenizer.vocab_size(), 50_001);
}

/// A special token may be one of the added ones.
#[test]
fn special_tokens_may_be_added_tokens() {
    let files = json!({"tokenizer_config.json": {"pad_token": "<pad>"}, "added_tokens.json": {"<pad>": 49_408}});
    assert_eq!(open(&files).unwrap().encode("a").unwrap().ids[3..5], [49_408, 49_408]);
    let error = open(&json!({"tokenizer_config.json": {"pad_token": "<pad>"}})).unwrap_err();
    assert!(matches!(error, Error::MissingToken { role: "pad_token", .. }), "{error}");
}

#[test]
fn bad_tokens_are_named() {
    let wrong = [
        ("tokenizer_config.json", json!({"added_tokens_decoder": {"x": "<a>"}}), "added_tokens_decoder"),
        ("tokenizer_config.json", json!({"added_tokens_decoder": {"49408": 3}}), "added_tokens_decoder"),
        ("tokenizer_config.json", json!({"additional_special_tokens": [""]}), "additional_special_tokens"),
        ("added_tokens.json", json!({"<a>": -1}), "added_tokens"),
        ("added_tokens.json", json!({"<a>": "49408"}), "added_tokens"),
        ("tokenizer.json", json!([{"content": "<a>"}]), "added_tokens"),
    ];
    for (file, content, field) in wrong {
        match open(&json!({ file: content })) {
            Err(Error::Field { file: named, field: found, .. }) => assert_eq!((named, found), (file, field)),
            other => panic!("{file}: {other:?}"),
        }
    }
}

#[test]
fn a_token_says_how_it_is_written() {
    let plain = AddedToken::word("<cat-toy>");
    assert!(plain.normalized && !plain.special);
    assert!(!AddedToken::special("<cat-toy>").normalized);
}
