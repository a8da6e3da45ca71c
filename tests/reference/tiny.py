"""Two complete checkpoints with random weights: tiny-sd1 (folder and .ckpt) and tiny-sd2.safetensors (LDM layout).

The folder is laid out as the published SD 1.5 (old attention names in the VAE, `text_model.` prefix, int64 `position_ids`), the
single files as the original latent-diffusion code wrote them. All weights are float16 and no size but the vocabulary is real.
"""

import json
import re

import torch
from diffusers import AutoencoderKL, DDIMScheduler, PNDMScheduler, UNet2DConditionModel
from diffusers.loaders import single_file_utils
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel

from models import fill

WIDTH = {"sd1": 6, "sd2": 4}  # of the text tower: 49408 token vectors are most of what these files weigh
TEXT = {
    "vocab_size": 49408,
    "num_attention_heads": 1,
    "num_hidden_layers": 2,
    "max_position_embeddings": 77,
    "bos_token_id": 0,  # as published: with eos_token_id 2 the pooled output is taken at the largest token id
    "eos_token_id": 2,
    "pad_token_id": 1,
}
UNET = {
    "sample_size": 8,
    "block_out_channels": (32, 32),
    "layers_per_block": 1,
    "norm_num_groups": 32,
}
VAE = {
    "sample_size": 16,
    "block_out_channels": (32, 32),
    "down_block_types": ("DownEncoderBlock2D",) * 2,
    "up_block_types": ("UpDecoderBlock2D",) * 2,
    "layers_per_block": 1,
    "norm_num_groups": 32,
    "scaling_factor": 0.18215,
}
SCHEDULE = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "trained_betas": None,
    "set_alpha_to_one": False,
    "steps_offset": 1,
    "skip_prk_steps": True,
    "clip_sample": False,
}  # published files of SD 1 and 2 have no timestep_spacing, so each scheduler takes its own default


def dump(folder):
    with torch.no_grad():
        sd1, sd2 = build_sd1(), build_sd2()
        write_folder(sd1, folder / "tiny-sd1")
        check_folder(sd1, folder / "tiny-sd1")
        single1, single2 = single_file(sd1), single_file(sd2)
        check_single_file(sd1, single1)
        check_single_file(sd2, single2)
        torch.save(training_state(single1), folder / "tiny-sd1.ckpt")
        save_file(single2, folder / "tiny-sd2.safetensors", metadata={"format": "pt"})


def build_sd1():
    return {
        "name": "sd1",
        "unet": see_noise(fill(UNet2DConditionModel(
            **UNET,
            cross_attention_dim=WIDTH["sd1"],
            attention_head_dim=8,
            down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        ), 11)),
        "vae": fill(AutoencoderKL(**VAE), 12),
        "text_encoder": fill(text_tower(WIDTH["sd1"], "quick_gelu"), 13),
        "scheduler": {"_class_name": "PNDMScheduler", "_diffusers_version": "0.6.0", **SCHEDULE},
        "pad_token": "<|endoftext|>",
    }


def build_sd2():
    """Attention on both levels. The upsampler's key in the single file is therefore `.2.conv`, where SD 1 here has `.1.conv`."""
    return {
        "name": "sd2",
        "unet": fill(UNet2DConditionModel(
            **UNET,
            cross_attention_dim=WIDTH["sd2"],
            attention_head_dim=(1, 1),
            use_linear_projection=True,
            down_block_types=("CrossAttnDownBlock2D",) * 2,
            up_block_types=("CrossAttnUpBlock2D",) * 2,
        ), 21),
        "vae": fill(AutoencoderKL(**VAE), 22),
        "text_encoder": fill(text_tower(WIDTH["sd2"], "gelu"), 23),
        "scheduler": {
            "_class_name": "DDIMScheduler",
            "_diffusers_version": "0.8.0",
            **SCHEDULE,
            "prediction_type": "v_prediction",
        },
        "pad_token": "!",
    }


def see_noise(unet):
    """Adds a path from the latents to the output, and weight to the text. Otherwise the predicted noise would be unrelated to the
    noise in the latents, and every text would give noise. silu(x) - silu(-x) = x leads the path through the last activation."""
    shortcut = unet.up_blocks[-1].resnets[-1].conv_shortcut.weight
    skipped = shortcut.shape[1] - unet.conv_in.out_channels  # where the output of conv_in begins in the concatenation
    for channel in range(4):
        for sign, hidden in ((1, channel), (-1, channel + 4)):
            unet.conv_in.weight[hidden, channel, 1, 1] += 4 * sign
            shortcut[hidden, skipped + hidden, 0, 0] += 2
            unet.conv_out.weight[channel, hidden, 1, 1] += 1.25 * sign
    for name, parameter in unet.named_parameters():
        if name.endswith("attn2.to_out.0.weight"):
            parameter *= 8
        parameter.copy_(parameter.half().float())
    return unet


def text_tower(width, activation):
    return CLIPTextModel(CLIPTextConfig(**TEXT, hidden_size=width, intermediate_size=4 * width, hidden_act=activation))


def scheduler_of(model):
    classes = {"PNDMScheduler": PNDMScheduler, "DDIMScheduler": DDIMScheduler}
    return classes[model["scheduler"]["_class_name"]].from_config(model["scheduler"])


# --- the folder ---


def write_folder(model, folder):
    for part in ("unet", "vae"):
        model[part].save_config(folder / part)
        save_half(published_names(part, model[part]), folder / part / "diffusion_pytorch_model.safetensors")
    model["text_encoder"].config.save_pretrained(folder / "text_encoder")
    save_half(published_names("text_encoder", model["text_encoder"]), folder / "text_encoder" / "model.safetensors")
    write_json(model["scheduler"], folder / "scheduler" / "scheduler_config.json")
    write_json(
        {
            "_class_name": "StableDiffusionPipeline",
            "_diffusers_version": "0.6.0",
            "feature_extractor": [None, None],
            "requires_safety_checker": False,
            "safety_checker": [None, None],
            "scheduler": ["diffusers", model["scheduler"]["_class_name"]],
            "text_encoder": ["transformers", "CLIPTextModel"],
            "tokenizer": ["transformers", "CLIPTokenizer"],
            "unet": ["diffusers", "UNet2DConditionModel"],
            "vae": ["diffusers", "AutoencoderKL"],
        },
        folder / "model_index.json",
    )


def published_names(part, module):
    """State dict with the names that the files of SD 1.5 have."""
    state = module.state_dict()
    if part == "vae":
        old = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
        return {re.sub(r"(to_q|to_k|to_v|to_out\.0)(?=\.)", lambda found: old[found[0]], key): state[key] for key in state}
    if part == "text_encoder":
        named = {"text_model." + key.removeprefix("text_model."): value for key, value in state.items()}
        return named | {"text_model.embeddings.position_ids": torch.arange(77)[None]}
    return state


def check_folder(model, folder):
    """diffusers and transformers read back what was written."""
    readers = {"unet": UNet2DConditionModel, "vae": AutoencoderKL, "text_encoder": CLIPTextModel}
    for part, reader in readers.items():
        check_same(model[part].state_dict(), reader.from_pretrained(folder / part, dtype=torch.float32).state_dict())


# --- the single file ---


def single_file(model):
    """The model in the names and shapes of the latent-diffusion code, and some of the further tensors that its files have."""
    unet, vae = model["unet"], model["vae"]
    text = text_names_sd1 if model["name"] == "sd1" else text_names_sd2
    betas = torch.linspace(SCHEDULE["beta_start"] ** 0.5, SCHEDULE["beta_end"] ** 0.5, 1000, dtype=torch.float64) ** 2
    state = {f"model.diffusion_model.{ldm_unet_key(key, unet.config)}": value for key, value in unet.state_dict().items()}
    state |= dict(ldm_vae_tensor(key, value, vae.config) for key, value in vae.state_dict().items())
    state |= text(model["text_encoder"])
    state |= {"model_ema.diffusion_modelout2bias": unet.conv_out.bias + 1}
    state = half(state)
    state |= {"betas": betas.float(), "alphas_cumprod": torch.cumprod(1 - betas, 0).float()}
    return state | {"model_ema.decay": torch.tensor(0.9999), "model_ema.num_updates": torch.tensor(470000, dtype=torch.int32)}


def ldm_unet_key(key, config):
    outer = {
        "time_embedding.linear_1": "time_embed.0",
        "time_embedding.linear_2": "time_embed.2",
        "conv_in": "input_blocks.0.0",
        "conv_norm_out": "out.0",
        "conv_out": "out.2",
    }
    module, _, parameter = key.rpartition(".")
    if module in outer:
        return f"{outer[module]}.{parameter}"
    if key.startswith("mid_block."):
        place, inner = re.fullmatch(r"mid_block\.(\w+\.\d)\.(.*)", key).groups()
        return f"middle_block.{['resnets.0', 'attentions.0', 'resnets.1'].index(place)}.{ldm_inner(inner)}"
    return ldm_block_key(*re.fullmatch(r"(down|up)_blocks\.(\d+)\.(\w+)\.(\d+)\.(.*)", key).groups(), config)


def ldm_block_key(way, block, kind, layer, inner, config):
    """The layers of all blocks are numbered in one sequence. A down block counts its downsampler as a layer; an up block has one more layer."""
    row = int(block) * (config.layers_per_block + 1) + int(layer)
    if kind == "downsamplers":
        return f"input_blocks.{row + config.layers_per_block + 1}.0.op.{inner.removeprefix('conv.')}"
    if kind == "upsamplers":
        attention = config.up_block_types[int(block)].startswith("CrossAttn")
        return f"output_blocks.{row + config.layers_per_block}.{2 if attention else 1}.{inner}"
    name = f"input_blocks.{row + 1}" if way == "down" else f"output_blocks.{row}"
    return f"{name}.{0 if kind == 'resnets' else 1}.{ldm_inner(inner)}"


def ldm_inner(key):
    names = {
        "norm1": "in_layers.0",
        "conv1": "in_layers.2",
        "time_emb_proj": "emb_layers.1",
        "norm2": "out_layers.0",
        "conv2": "out_layers.3",
        "conv_shortcut": "skip_connection",
    }
    module, _, parameter = key.rpartition(".")
    return f"{names.get(module, module)}.{parameter}"


def ldm_vae_tensor(key, value, config):
    """Decoder blocks are numbered from the image inwards, and the attention's projections are 1x1 convolutions."""
    last = len(config.block_out_channels) - 1
    key = re.sub(r"up_blocks\.(\d+)", lambda found: f"up.{last - int(found[1])}", key)
    key = re.sub(r"mid_block\.resnets\.(\d)", lambda found: f"mid.block_{int(found[1]) + 1}", key)
    for ours, theirs in {
        "down_blocks.": "down.",
        "resnets.": "block.",
        "downsamplers.0": "downsample",
        "upsamplers.0": "upsample",
        "conv_shortcut": "nin_shortcut",
        "mid_block.attentions.0": "mid.attn_1",
        "group_norm": "norm",
        "to_out.0": "proj_out",
        "to_": "",
        "conv_norm_out": "norm_out",
    }.items():
        key = key.replace(ours, theirs)
    if re.search(r"attn_1\.(q|k|v|proj_out)\.weight", key):
        value = value[:, :, None, None]
    return f"first_stage_model.{key}", value


def text_names_sd1(text_encoder):
    return {f"cond_stage_model.transformer.{key}": value for key, value in published_names("text_encoder", text_encoder).items()}


def text_names_sd2(text_encoder):
    """OpenCLIP's tower: fused projections, and one block more than Stable Diffusion 2 uses (with large weights, which show its use)."""
    state = {key.removeprefix("text_model."): value for key, value in text_encoder.state_dict().items()}
    width, depth = text_encoder.config.hidden_size, text_encoder.config.num_hidden_layers
    blocks = [open_clip_block({key[len(f"encoder.layers.{i}."):]: value for key, value in state.items()
                               if key.startswith(f"encoder.layers.{i}.")}) for i in range(depth)]
    blocks.append({key: (3 * value).flip(0) for key, value in blocks[0].items()})
    named = {
        "positional_embedding": state["embeddings.position_embedding.weight"],
        "token_embedding.weight": state["embeddings.token_embedding.weight"],
        "ln_final.weight": state["final_layer_norm.weight"],
        "ln_final.bias": state["final_layer_norm.bias"],
        "text_projection": torch.eye(width),
        "logit_scale": torch.tensor(4.6052),
    }
    named |= {f"transformer.resblocks.{i}.{key}": value for i, block in enumerate(blocks) for key, value in block.items()}
    return {f"cond_stage_model.model.{key}": value for key, value in named.items()}


def open_clip_block(layer):
    names = {"self_attn.out_proj": "attn.out_proj", "layer_norm1": "ln_1", "layer_norm2": "ln_2", "mlp.fc1": "mlp.c_fc", "mlp.fc2": "mlp.c_proj"}
    block = {f"{theirs}.{kind}": layer[f"{ours}.{kind}"] for ours, theirs in names.items() for kind in ("weight", "bias")}
    for kind in ("weight", "bias"):
        block[f"attn.in_proj_{kind}"] = torch.cat([layer[f"self_attn.{which}_proj.{kind}"] for which in "qkv"])
    return block


def training_state(state):
    """The state that the training program of the original code wrote around the weights."""
    around = {"epoch": 0, "global_step": 470000, "pytorch-lightning_version": "1.4.2"}
    return around | {"state_dict": state, "callbacks": {}, "optimizer_states": [], "lr_schedulers": []}


def check_single_file(model, state):
    """diffusers' own reader of single files finds the same tensors under our names."""
    unet, vae, text_encoder = model["unet"], model["vae"], model["text_encoder"]
    check_same(unet.state_dict(), single_file_utils.convert_ldm_unet_checkpoint(state, dict(unet.config)))
    check_same(vae.state_dict(), single_file_utils.convert_ldm_vae_checkpoint(state, dict(vae.config)))
    if model["name"] == "sd1":
        text = single_file_utils.convert_ldm_clip_checkpoint(state)
    else:
        text = single_file_utils.convert_open_clip_checkpoint(text_encoder, state)
    plain = lambda tensors: {key.removeprefix("text_model."): value for key, value in tensors.items()}
    check_same(plain(text_encoder.state_dict()), plain(text))


def check_same(expected, found):
    for key, value in expected.items():
        assert key in found, f"{key} is missing"
        assert torch.equal(value, found[key].float()), f"{key} differs"


def half(state):
    return {key: (value.half() if value.is_floating_point() else value).contiguous() for key, value in state.items()}


def save_half(state, file):
    save_file(half(state), file, metadata={"format": "pt"})


def write_json(value, file):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(value, indent=2) + "\n")
