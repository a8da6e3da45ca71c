"""Pickles that torch.save writes, and the shapes of the published models in the latent-diffusion layout."""

import hashlib
import json
import sys
import types

import numpy
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel


def dump(folder):
    tensors = some_tensors()
    torch.save(tensors, folder / "checkpoint_zip.pt")
    save_stream(tensors, folder / "checkpoint_stream.pt")
    torch.save(lightning_checkpoint(), folder / "checkpoint_lightning.ckpt")
    flat = {key: value.clone().contiguous() for key, value in flatten(tensors)}
    save_file(flat, folder / "checkpoint_values.safetensors")
    for version in ("sd1", "sd2"):
        file = folder / f"checkpoint_{version}.json"
        file.write_text(json.dumps(published(folder, version), indent=None, separators=(",", ":")) + "\n")


# --- pickles ---


def some_tensors():
    """Every element type of weights, views that share a storage, strides, a scalar, an empty tensor, and nested containers."""
    generator = torch.Generator().manual_seed(5)
    random = lambda *shape: torch.randn(shape, generator=generator)
    shared = random(4, 6)
    return {
        "single": random(3, 5),
        "half": random(7).half(),
        "bfloat": random(2, 3).bfloat16(),
        "double": random(2, 2).double(),
        "long": torch.arange(-3, 4),
        "transposed": random(4, 6).t(),
        "permuted": random(2, 3, 4).permute(2, 0, 1),
        "row": shared[2],
        "block": shared[1:3, 2:5],
        "scalar": torch.tensor(0.25),
        "empty": torch.zeros(0, 3),
        "parameter": torch.nn.Parameter(random(2)),
        "nested": {"list": [random(2), {"deep": random(1)}], 7: random(3)},
    }


def save_stream(tensors, file):
    """The format before PyTorch 1.6 names storages by their addresses. An existing file with equal contents is therefore kept."""
    if file.exists():
        old = dict(flatten(torch.load(file)))
        if all(key in old and torch.equal(old[key], value) for key, value in flatten(tensors)):
            return
    torch.save(tensors, file, _use_new_zipfile_serialization=False)


def flatten(value, name=""):
    if isinstance(value, torch.Tensor):
        yield name, value.detach()
    elif isinstance(value, (dict, list)):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from flatten(item, f"{name}.{key}" if name else str(key))


def lightning_checkpoint():
    """The state that pytorch-lightning 1.4 wrote around the weights of Stable Diffusion 1: a class as a key, an object, numpy numbers."""
    name = "pytorch_lightning.callbacks.model_checkpoint"
    callback = type("ModelCheckpoint", (), {"__module__": name})
    packages = ["pytorch_lightning", "pytorch_lightning.callbacks", name]
    sys.modules |= {package: types.ModuleType(package) for package in packages}
    sys.modules[name].ModelCheckpoint = callback
    instance = callback()
    instance.best_score = numpy.float64(0.5)
    return {
        "epoch": 4,
        "global_step": 875000,
        "pytorch-lightning_version": "1.4.2",
        "state_dict": {"weight": torch.tensor([1.0, 2.0])},
        "callbacks": {callback: {"monitor": "val/loss", "best_model_score": torch.tensor(0.5), "self": instance}},
        "optimizer_states": [{"state": {0: {"exp_avg": torch.tensor([3.0])}}, "param_groups": [{"lr": numpy.float32(1e-4), "seed": 2**70}]}],
        "lr_schedulers": [],
    }


# --- published models ---

UNET = {
    "sd1": {
        "sample_size": 64, "cross_attention_dim": 768, "attention_head_dim": 8, "use_linear_projection": False,
    },
    "sd2": {
        "sample_size": 96, "cross_attention_dim": 1024, "attention_head_dim": [5, 10, 20, 20], "use_linear_projection": True,
    },
}  # the keys of the published unet/config.json that are not diffusers' defaults
VAE = {
    "sample_size": 512,
    "block_out_channels": [128, 256, 512, 512],
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
    "latent_channels": 4,
    "layers_per_block": 2,
}
TEXT = {
    "sd1": {
        "hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12, "hidden_act": "quick_gelu",
    },
    "sd2": {
        "hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 23, "num_attention_heads": 16, "hidden_act": "gelu",
    },
}


def published(folder, version):
    """Names and shapes of the single file, and the configurations that its reader must find."""
    with torch.device("meta"):
        unet = UNet2DConditionModel(**UNET[version])
        vae = AutoencoderKL(**VAE)
        text = CLIPTextModel(CLIPTextConfig(vocab_size=49408, max_position_embeddings=77, **TEXT[version]))
    shapes = {f"unet_{key}": list(value.shape) for key, value in unet.state_dict().items()}
    shapes |= {f"vae_{key}": list(value.shape) for key, value in vae.state_dict().items()}
    shapes |= {f"te_text_model.{key.removeprefix('text_model.')}": list(value.shape) for key, value in text.state_dict().items()}
    return {
        "short_hash_of_tiny_sd2": hashlib.sha256((folder / "tiny-sd2.safetensors").read_bytes()).hexdigest()[:10],
        "shapes": ldm_shapes(json.loads((folder / "sd-keymaps" / f"stable_diffusion_{version}.json").read_text()), shapes),
        "unet": config(unet.config, unet_keys()),
        "vae": config(vae.config, [*VAE, "in_channels", "out_channels", "norm_num_groups", "scaling_factor", "act_fn"]),
        "text_encoder": config(text.config.to_dict(), [*TEXT[version], "vocab_size", "max_position_embeddings", "layer_norm_eps"]),
    }


def ldm_shapes(keymap, shapes):
    names = keymap["ldm_diffusers_keymap"]
    found = {ldm: keymap["ldm_diffusers_shape_map"].get(ldm, [shapes.get(name)])[0] for ldm, name in names.items()}
    for ldm, operation in keymap["ldm_diffusers_operator_map"].items():
        parts = [shapes[name] for name in operation["cat"]]
        found[ldm] = [sum(part[0] for part in parts), *parts[0][1:]]
    assert None not in found.values()
    return found


def unet_keys():
    blocks = ["block_out_channels", "layers_per_block", "down_block_types", "mid_block_type", "up_block_types", "transformer_layers_per_block"]
    norms = ["norm_num_groups", "norm_eps", "act_fn", "flip_sin_to_cos", "freq_shift", "center_input_sample", "downsample_padding"]
    return [*UNET["sd1"], "in_channels", "out_channels", "mid_block_scale_factor", "only_cross_attention", *blocks, *norms]


def config(values, keys):
    return {key: values[key] for key in keys}
