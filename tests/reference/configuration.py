"""Runs of tiny-sd1 with other configuration files: rules of diffusers and transformers that span several files.

Writes configuration.json, a list of cases, and configuration.safetensors with `<case>/latents` f32 (final, before decoding). A case
changes files of a copy of tiny-sd1: `files` maps a path to a JSON merge patch (RFC 7396: null removes a key; a file that is not there
is made). Where `embeddings` is above 0, the token table has that many more rows: row i is `linspace(-0.3, 0.3) * (i + 1)`.
Every case is one prompt, 4 steps, guidance 7.5, seed 1; without `size` the model's own size is used.
"""

import copy
import json
import logging
import pathlib
import shutil
import tempfile

import torch
from diffusers import StableDiffusionPipeline
from safetensors.torch import load_file, save_file

import vocabulary

HERE = pathlib.Path(__file__).resolve().parent
SCHEDULER, UNET, INDEX = "scheduler/scheduler_config.json", "unet/config.json", "model_index.json"
TOY = "a <cat-toy> on a table"


def scheduler_class(name):
    return {INDEX: {"scheduler": ["diffusers", name]}}


def token(content, special=False):
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": not special, "special": special}
    return {"content": content, **flags}


CASES = {
    # The index names the class of a scheduler; `_class_name` of its own file does not count.
    "index-ddim": {"files": scheduler_class("DDIMScheduler")},
    "index-euler": {"files": scheduler_class("EulerDiscreteScheduler")},
    "index-dpm-solver": {"files": scheduler_class("DPMSolverMultistepScheduler")},
    "nameless-scheduler": {"files": {SCHEDULER: {"_class_name": None}}},
    # An unknown key has no effect, and neither has a key of another class.
    "keys-of-other-classes": {"files": {SCHEDULER: {"use_beta_sigmas": True, "variance_type": "learned_range", "sigma_min": 0.5}}},
    "default-values": {"files": {SCHEDULER: {"_use_default_values": ["beta_schedule"]}}},
    "karras-by-index": {
        "files": {**scheduler_class("EulerDiscreteScheduler"), SCHEDULER: {"use_karras_sigmas": True, "timestep_spacing": "trailing"}},
    },
    "unknown-pipeline-key": {"files": {INDEX: {"pyrograph": {"steps": 20, "guidance_scale": 3.0}}}},
    # The constructor of the pipeline corrects the sizes of old files.
    "size-32-of-0.6": {"files": {UNET: {"sample_size": 32, "_diffusers_version": "0.6.0"}}, "size": None},
    "size-12-of-0.9": {"files": {UNET: {"sample_size": 12, "_diffusers_version": "0.9.0.dev0"}}, "size": None},
    "size-8-of-0.10": {"files": {UNET: {"sample_size": 8, "_diffusers_version": "0.10.0"}}, "size": None},
    "size-without-version": {"files": {UNET: {"sample_size": 8, "_diffusers_version": None}}, "size": None},
    "size-list": {"files": {UNET: {"sample_size": [8, 12]}}, "size": None},
    "size-list-of-0.6": {"files": {UNET: {"sample_size": [8, 12], "_diffusers_version": "0.6.0"}}, "size": None},
    # Two names of one activation.
    "swish": {"files": {UNET: {"act_fn": "swish"}, "vae/config.json": {"act_fn": "swish"}}},
    # Added tokens.
    "added-tokens-json": {
        "prompt": TOY, "embeddings": 1,
        "files": {"tokenizer/added_tokens.json": {"<cat-toy>": 49408}, "text_encoder/config.json": {"vocab_size": 49409}},
    },
    "added-tokens-decoder": {
        "prompt": TOY, "embeddings": 2,
        "files": {
            "tokenizer/tokenizer_config.json": {"added_tokens_decoder": {
                "49406": token("<|startoftext|>", True), "49407": token("<|endoftext|>", True),
                "49408": token("<cat-toy>"), "49409": token("<cat"),
            }},
            "text_encoder/config.json": {"vocab_size": 49410},
        },
    },
    "special-token": {
        "prompt": TOY, "embeddings": 1,
        "files": {
            "tokenizer/tokenizer_config.json": {"additional_special_tokens": ["<cat-toy>"]},
            "text_encoder/config.json": {"vocab_size": 49409},
        },
    },
}


def dump(folder):
    logging.getLogger("diffusers").setLevel(logging.ERROR)
    tensors, cases = {}, []
    for name, changes in CASES.items():
        case = {"name": name, "prompt": "a red cat on a table", "size": [16, 16], "embeddings": 0, **copy.deepcopy(changes)}
        with tempfile.TemporaryDirectory() as place:
            model = pathlib.Path(place) / "model"
            shutil.copytree(HERE / "tiny-sd1", model)
            make(model, case)
            tensors[f"{name}/latents"] = run(model, case)
        cases.append(case)
    save_file({key: value.contiguous() for key, value in tensors.items()}, folder / "configuration.safetensors")
    lines = ",\n".join(json.dumps(case) for case in cases)
    (folder / "configuration.json").write_text(f"[\n{lines}\n]\n")


def make(model, case):
    """The folder of a case. tiny-sd1 has no tokenizer; here its files are written."""
    (model / "tokenizer").mkdir()
    tokens, merges = vocabulary.shipped()
    (model / "tokenizer/vocab.json").write_text(json.dumps(tokens))
    (model / "tokenizer/merges.txt").write_text("#version: 0.2\n" + "".join(f"{left} {right}\n" for left, right in merges))
    special = {"bos_token": "<|startoftext|>", "eos_token": "<|endoftext|>", "unk_token": "<|endoftext|>", "pad_token": "<|endoftext|>"}
    (model / "tokenizer/tokenizer_config.json").write_text(json.dumps(special | {"model_max_length": 77, "tokenizer_class": "CLIPTokenizer"}))
    for path, patch in case["files"].items():
        file = model / path
        old = json.loads(file.read_text()) if file.is_file() else {}
        new = {key: value for key, value in (old | patch).items() if value is not None or key not in patch}
        file.write_text(json.dumps(new))
    add_rows(model / "text_encoder/model.safetensors", case["embeddings"])


def add_rows(file, count):
    tensors = load_file(file)
    key = "text_model.embeddings.token_embedding.weight"
    rows = [torch.linspace(-0.3, 0.3, tensors[key].shape[1]) * (row + 1) for row in range(count)]
    tensors[key] = torch.cat([tensors[key], *(row[None].half() for row in rows)])
    save_file(tensors, file, metadata={"format": "pt"})


def run(model, case):
    pipe = StableDiffusionPipeline.from_pretrained(model, torch_dtype=torch.float32, safety_checker=None)
    pipe.set_progress_bar_config(disable=True)
    size = dict(zip(("width", "height"), case["size"])) if case["size"] else {}
    generator = torch.Generator("cpu").manual_seed(1)
    return pipe(case["prompt"], num_inference_steps=4, guidance_scale=7.5, generator=generator, output_type="latent", **size).images
