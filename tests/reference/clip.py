"""Token ids and text tower outputs of transformers.

Writes clip_tokens.json: the SHA-256 of the vocabulary and, for a list of prompts, the 77 ids under the pad tokens of Stable
Diffusion 1 and 2. Writes clip.safetensors and clip.json, small text towers with random weights: the tensors are named
`<case>/weights/<state-dict key>` (f16), `<case>/last_hidden_state/<clip_skip>` and `<case>/pooled_output` (f32), the JSON maps
the case to its config and its ids.

`python clip.py --merges bpe_simple_vocab_16e6.txt.gz merges.txt.gz` makes the merges that pyrograph ships.
`python clip.py --resblock FOLDER OUTPUT` writes a check against a real OpenCLIP block, see `write_resblock`.
"""

import gzip
import hashlib
import json
import pathlib
import sys

import torch
from safetensors.torch import load_file, save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

import vocabulary

LONG = "a very long sentence about a river, " * 14  # more than 77 tokens

PROMPTS = [
    "",
    " ",
    "a photo of a cat",
    "A PHOTO of a CaT",
    "  a   photo\tof\na\r\n cat \u00a0 on\u3000a\u2003mat  ",
    "cat!",
    "cat! dog!! bird!!! !",
    "wow !? !!! ... --- ,,, ;;; :::",
    "(a:1.2) [b] {c} ((d)) a:b|c \\(e\\)",
    "don't you're we've I'm they'll he'd it's 's 'S DON'T",
    "dogs' o'clock rock'n'roll 'quoted' “curly” ‘it’s’",
    "0 12 2024 3.14159 1,000,000 4k 8K 1st",
    "٣ 三 Ⅷ ½ ² ①",
    "caf\u00e9 na\u00efve r\u00e9sum\u00e9",
    "cafe\u0301 nai\u0308ve re\u0301sume\u0301",
    "e\u0301\u0323 \u1ea1\u0302 \u212b \u2126 \u1e9b\u0323",
    "İstanbul ISPARTA ıspanak I\u0307",
    "straße STRASSE ẞ",
    "ﬁne ﬂower ﬃ ＦＵＬＬ width ｶﾀｶﾅ",
    "ΟΔΥΣΣΕΥΣ ὈΔΥΣΣΕΎΣ ς σ",
    "ПРИВЕТ мир Ёлка",
    "日本語の浮世絵、富士山。",
    "中文 水墨画 山水",
    "한국어 \u1112\u1161\u11ab\u1100\u1173\u11af",
    "مرحبا بالعالم \u200f العربية",
    "नमस्ते दुनिया",
    "ไทย ภาษา",
    "עִבְרִית שלום",
    "🔥 fire 🐱🐶",
    "👨‍👩‍👧‍👦 👍🏽 🇫🇷 ❤️ ☺",
    "𝕳𝖊𝖑𝖑𝖔 𝓌ℴ𝓇𝓁𝒹 𐐀𐐨",
    "zero\u200bwidth\u200cjoin\u200der\ufeffbom\u2060word",
    "soft\u00adhyphen non\u2011breaking",
    "bell\u0007 null\u0000 esc\u001b[0m del\u007f unit\u001fsep",
    "next\u0085line form\ffeed vert\vtab line\u2028sep para\u2029sep",
    "\ufffd \ue000 \U000f0000 \uffff \U0010ffff",
    "<|startoftext|> a cat <|endoftext|> a dog",
    "<|STARTOFTEXT|> a cat <|ENDOFTEXT|> a dog",
    "cat<|endoftext|>dog<|startoftext|>",
    "< |endoftext| > <|endoftext <|pad|> <|end of text|>",
    "cat</w> </w> a</w>b",
    "snake_case kebab-case CamelCase a+b=c x^2 50% $5 #hash @user",
    "https://example.com/a?b=c&d=e#f user@example.org",
    "&amp; &lt;b&gt; &#39; <b>bold</b>",
    "masterpiece, best quality, (highly detailed:1.3), 8k, trending on artstation",
    "a\u0300\u0301\u0302\u0303\u0304 zalgo t\u0336e\u0336x\u0336t",
    "\u0301 leading mark",
    "Ǆ ǅ ǆ Ŀ ŉ ẖ",
    "\u1e9e\u0130\u212a\u0149",
    "x" * 100,
    "supercalifragilisticexpialidocious pneumonoultramicroscopicsilicovolcanoconiosis",
    "ab" * 300,
    "!" * 90,
    "1" * 74,
    "1" * 75,
    "1" * 76,
    "a " * 75 + "<|endoftext|>",
    LONG,
    LONG.upper() + "é" * 40,
    "🔥" * 60,
    "the quick brown fox jumps over the lazy dog. " * 9 + "END",
    "\n\n\n",
    "'",
    "''' \"\"\" ```",
    "a'b 'd 'll 've'm",
    "ça va ? où êtes-vous ? ÆØÅ æøå ŒUVRE",
]

SMALL = {
    "vocab_size": 100,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 77,
    "bos_token_id": 98,
    "eos_token_id": 99,
    "pad_token_id": 99,
}

# case: (note, changes to SMALL, tokens of a prompt, pad id)
TOWERS = {
    "sd1": ("as SD 1.x: quick_gelu, padded with EOS, a wrong eos_token_id 2", {"eos_token_id": 2}, 77, 99),
    "sd2": (
        "as SD 2.x: gelu, padded with 0; the eps is large enough to matter",
        {"hidden_act": "gelu", "hidden_size": 24, "num_attention_heads": 2, "num_hidden_layers": 3, "layer_norm_eps": 1e-2},
        77,
        0,
    ),
    "short": (
        "one head, one narrow block, few positions and fewer tokens",
        {"hidden_size": 10, "intermediate_size": 64, "num_attention_heads": 1, "max_position_embeddings": 12},
        9,
        99,
    ),
    "no_eos": ("no EOS in the prompt: the first token is pooled", {"hidden_size": 16, "eos_token_id": 97}, 16, 0),
}


def dump(folder):
    dump_tokens(folder)
    dump_towers(folder)


def dump_tokens(folder):
    tokens, merges = vocabulary.shipped()
    tokenizers = {pad: tokenizer(tokens, merges, pad) for pad in ("<|endoftext|>", "!")}
    prompts = [
        {"prompt": prompt, "ids": {pad: encode(one, prompt) for pad, one in tokenizers.items()}, **cut_off(tokenizers, prompt)}
        for prompt in PROMPTS
    ]
    digest = hashlib.sha256("".join(f"{token}\n" for token in tokens).encode()).hexdigest()
    write_json(folder / "clip_tokens.json", {"vocabulary_sha256": digest, "prompts": prompts})


def tokenizer(vocabulary, merges, pad):
    """As published: BOS, EOS and UNK are AddedTokens with `normalized`, the pad token is a string."""
    from transformers import AddedToken

    def special(text):
        return AddedToken(text, normalized=True, special=True)

    bos, eos = special("<|startoftext|>"), special("<|endoftext|>")
    return CLIPTokenizer(vocabulary, merges, unk_token=eos, bos_token=bos, eos_token=eos, pad_token=pad, model_max_length=77)


def encode(tokenizer, prompt):
    return tokenizer(prompt, padding="max_length", max_length=77, truncation=True).input_ids


def cut_off(tokenizers, prompt):
    """The end of the prompt after 75 tokens, as it was written, by pad token."""
    offsets = {pad: one(prompt, add_special_tokens=False, return_offsets_mapping=True).offset_mapping for pad, one in tokenizers.items()}
    return {"dropped": {pad: prompt[at[75][0] :].strip() if len(at) > 75 else None for pad, at in offsets.items()}}


@torch.no_grad()
def dump_towers(folder):
    tensors, cases = {}, {}
    for number, (case, (note, changes, length, pad)) in enumerate(TOWERS.items()):
        torch.manual_seed(number)
        model = CLIPTextModel(CLIPTextConfig(**{**SMALL, **changes})).eval()
        randomise(model)
        ids = batch(length, pad)
        tensors |= {f"{case}/weights/{key}": value.half() for key, value in model.state_dict().items()}
        tensors |= {f"{case}/{key}": value for key, value in run(model, ids).items()}
        cases[case] = {"note": note, "config": model.config.to_diff_dict() | {**SMALL, **changes}, "ids": ids.tolist()}
    save_file(tensors, folder / "clip.safetensors")
    write_json(folder / "clip.json", cases)


def randomise(model):
    """Random enough that attention is not uniform and no norm is the identity, and exact in f16."""
    for key, value in model.named_parameters():
        scale = 1.0 if "embedding" in key else 1.5 * value.shape[-1] ** -0.5
        noise = torch.randn_like(value) * (0.3 if value.dim() == 1 else scale)
        value.copy_((noise + ("norm" in key and key.endswith("weight"))).half())


def batch(length, pad):
    """Two prompts: BOS, some tokens (one of them 2), EOS (99), padding; the second has no padding."""
    short = [98, 5, 2, 41, 7, 99]
    full = [98, *torch.randint(3, 97, (length - 2,)).tolist(), 99]
    return torch.tensor([short + [pad] * (length - len(short)), full])


def run(model, ids):
    """The computation of diffusers' encode_prompt with clip_skip; 0 is its None."""
    output = model(ids, output_hidden_states=True)
    outputs = {
        f"last_hidden_state/{skip}": model.final_layer_norm(output.hidden_states[-(skip + 1)]).contiguous()
        for skip in range(min(3, len(output.hidden_states)))
    }
    assert torch.equal(outputs["last_hidden_state/0"], output.last_hidden_state)
    return outputs | {"pooled_output": output.pooler_output.contiguous()}


def write_json(path, value):
    path.write_text(json.dumps(value, separators=(",", ":")).replace('{"prompt"', '\n{"prompt"') + "\n", "utf-8")


def write_merges(source, target):
    """The first line of the source is a title; CLIP ends at 49408 tokens = 2 * 256 bytes + 48894 merges + 2 special ones."""
    lines = gzip.decompress(pathlib.Path(source).read_bytes()).decode().split("\n")[1:48895]
    pathlib.Path(target).write_bytes(gzip.compress("".join(f"{line}\n" for line in lines).encode(), 9, mtime=0))


@torch.no_grad()
def write_resblock(source, target):
    """A tower of one real block, the last of OpenCLIP ViT-H in Stable Diffusion 2, and its output on a real input.

    `source` has stable_diffusion_sd2_ldm_base.safetensors (f16, with `...resblocks.23.*`) and sd2_resblock23_reference.npz (`x`,
    `y` [77, 1024]), which are too large for the repository. The tower sees `x` as position embeddings and zeros as token
    embeddings; its final norm has gain 1 and offset 0. Then
    `cargo run --release -p pyrograph-clip --example resblock TARGET` prints the distance.
    """
    import numpy

    reference = numpy.load(pathlib.Path(source) / "sd2_resblock23_reference.npz")
    block = load_file(pathlib.Path(source) / "stable_diffusion_sd2_ldm_base.safetensors")
    prefix = "cond_stage_model.model.transformer.resblocks.23."
    block = {key.removeprefix(prefix): value.float() for key, value in block.items() if key.startswith(prefix)}
    renamed = {"ln_1": "layer_norm1", "ln_2": "layer_norm2", "attn.out_proj": "self_attn.out_proj", "mlp.c_fc": "mlp.fc1", "mlp.c_proj": "mlp.fc2"}
    layer = {f"{ours}.{part}": block[f"{theirs}.{part}"] for theirs, ours in renamed.items() for part in ("weight", "bias")}
    for part in ("weight", "bias"):
        chunks = block[f"attn.in_proj_{part}"].chunk(3)
        layer |= {f"self_attn.{name}_proj.{part}": chunk.contiguous() for name, chunk in zip("qkv", chunks)}
    tensors = {f"weights/encoder.layers.0.{key}": value for key, value in layer.items()}
    tensors["weights/embeddings.token_embedding.weight"] = torch.zeros(2, 1024)
    tensors["weights/embeddings.position_embedding.weight"] = torch.from_numpy(reference["x"]).contiguous()
    tensors["weights/final_layer_norm.weight"] = torch.ones(1024)
    tensors["weights/final_layer_norm.bias"] = torch.zeros(1024)
    y = torch.from_numpy(reference["y"])
    save_file(tensors | {"y": torch.nn.functional.layer_norm(y, (1024,))}, target)


if __name__ == "__main__":
    {"--merges": write_merges, "--resblock": write_resblock}[sys.argv[1]](*sys.argv[2:])
