"""Token ids of transformers' CLIPTokenizer with added tokens, for all forms in which a folder stores them.

Writes added_tokens.json, a list of cases: `files` are the contents of files of a `tokenizer` folder beside `vocab.json` and
`merges.txt`, which are CLIP's own; in place of those two, `tokenizer.json` has them where it is among the files, which then
give its `added_tokens` alone. `ids` are those of `PROMPTS`, in their order, with BOS and EOS and without padding.
"""

import json
import pathlib
import tempfile

from transformers import CLIPTokenizer

import vocabulary

PROMPTS = [
    "a <cat-toy> on a table",
    "a<cat-toy>on a table",
    "<cat-toy><cat-toy> <cat-toy>",
    "A <CAT-TOY> AND A <Cat-Toy>",
    "<cat-toy",
    "<cat-toy-2> and <cat-toy> and <cat>",
    "my sksdog, my sks dog, a sks",
    "mysks sks1 sks_ sks-sks",
    "a  <strip>  b <strip>c",
    "caf\u00e9 cafe\u0301 CAF\u00c9",
    "<|startoftext|> a <|endoftext|> b <|ENDOFTEXT|> c",
    "a <mark> b <MARK> c<mark>d",
    "!! a ! b",
    "\u00e4<cat-toy>\u00f6 \u6771<cat-toy>\u4eac",
    "<cat-toy> " * 100,
    "",
]

SPECIAL = {"bos_token": "<|startoftext|>", "eos_token": "<|endoftext|>", "unk_token": "<|endoftext|>", "pad_token": "<|endoftext|>"}
CONFIG = SPECIAL | {"model_max_length": 77, "tokenizer_class": "CLIPTokenizer"}


def token(content, **flags):
    plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": True, "special": False}
    return {"content": content, **plain, **flags}


def special(content, **flags):
    return token(content, **{"normalized": False, "special": True, **flags})


ADDED = {
    "49406": special("<|startoftext|>"),
    "49407": special("<|endoftext|>"),
    "49408": token("<cat-toy>"),
    "49409": token("<cat"),
    "49410": token("<cat-toy-2>", normalized=False),
    "49411": token("sks", single_word=True),
    "49412": token("<strip>", lstrip=True, rstrip=True),
    "49413": token("caf\u00e9"),
    "49414": special("<mark>"),
}
PUBLISHED = {
    "bos_token": special("<|startoftext|>", normalized=True),
    "eos_token": special("<|endoftext|>", normalized=True),
    "unk_token": special("<|endoftext|>", normalized=True),
    "pad_token": "!",
}
CASES = {
    "decoder": {"tokenizer_config.json": CONFIG | {"added_tokens_decoder": ADDED}},
    "decoder-overrides": {
        "tokenizer_config.json": CONFIG | {"added_tokens_decoder": dict(list(ADDED.items())[:3])},
        "special_tokens_map.json": SPECIAL | {"pad_token": "!"},
        "added_tokens.json": {"sks": 49409},
    },
    "added-tokens-json": {
        "tokenizer_config.json": CONFIG,
        "added_tokens.json": {"<cat-toy>": 49408, "sks": 49410, "<cat-toy-2>": 49409, "<mark>": 49411},
    },
    "added-and-special": {
        "tokenizer_config.json": CONFIG | {"additional_special_tokens": ["<mark>"]},
        "added_tokens.json": {"<mark>": 49408, "<cat-toy>": 49409},
    },
    "additional-special": {"tokenizer_config.json": CONFIG | {"additional_special_tokens": ["<mark>", {"__type": "AddedToken", **special("<strip>", rstrip=True)}]}},
    "published-map": {"tokenizer_config.json": CONFIG, "special_tokens_map.json": PUBLISHED, "added_tokens.json": {"<cat-toy>": 49408}},
    "plain-map": {"tokenizer_config.json": {"model_max_length": 77}, "special_tokens_map.json": SPECIAL},
    "tokenizer-json": {
        "tokenizer_config.json": CONFIG,
        "tokenizer.json": [{"id": int(number), **one} for number, one in ADDED.items()],
    },
    "tokenizer-json-and-decoder": {
        "tokenizer_config.json": CONFIG | {"added_tokens_decoder": {"49408": token("<cat-toy>")}},
        "tokenizer.json": [{"id": 49408, **token("<mark>")}],
    },
}


def dump(folder):
    cases = [{"name": name, "files": files, "ids": encode(files)} for name, files in CASES.items()]
    lines = ",\n".join(json.dumps(case) for case in cases)
    text = json.dumps(PROMPTS)
    (folder / "added_tokens.json").write_text(f'{{"prompts": {text}, "cases": [\n{lines}\n]}}\n')


def encode(files):
    tokens, merges = vocabulary.shipped()
    contents = dict(files)
    if "tokenizer.json" in files:
        model = {"type": "BPE", "unk_token": "<|endoftext|>", "continuing_subword_prefix": "", "end_of_word_suffix": "</w>"}
        model |= {"vocab": tokens, "merges": [" ".join(merge) for merge in merges]}
        contents["tokenizer.json"] = {"version": "1.0", "added_tokens": files["tokenizer.json"], "model": model}
    else:
        contents["vocab.json"] = tokens
    with tempfile.TemporaryDirectory() as place:
        place = pathlib.Path(place)
        for name, content in contents.items():
            (place / name).write_text(json.dumps(content))
        if "tokenizer.json" not in files:
            (place / "merges.txt").write_text("#version: 0.2\n" + "".join(f"{left} {right}\n" for left, right in merges))
        tokenizer = CLIPTokenizer.from_pretrained(place)
    return [tokenizer(prompt, max_length=77, truncation=True).input_ids for prompt in PROMPTS]
