"""Forward passes of UNet2DConditionModel, AutoencoderKL and AutoencoderTiny: one small case per setting that changes them.

Writes unet.safetensors + unet.json and vae.safetensors + vae.json. Tensors are named `<case>/weights/<state-dict key>` (f16),
`<case>/input/<name>` and `<case>/output/<name>` (f32); the JSON maps the case to its diffusers config and a note.
"""

import json

import torch
from diffusers import AutoencoderKL, AutoencoderTiny, UNet2DConditionModel
from safetensors.torch import save_file

CROSS_BLOCKS = {
    "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
}
SMALL_UNET = {
    "sample_size": 8,
    "block_out_channels": (4, 8),
    "layers_per_block": 1,
    "attention_head_dim": 2,
    "cross_attention_dim": 5,
    "norm_num_groups": 2,
    **CROSS_BLOCKS,
}
SMALL_KL = {
    "block_out_channels": (4, 8),
    "down_block_types": ("DownEncoderBlock2D",) * 2,
    "up_block_types": ("UpDecoderBlock2D",) * 2,
    "layers_per_block": 1,
    "norm_num_groups": 2,
    "sample_size": 16,
}

# case: (note, changes to SMALL_UNET, latent sizes (height, width), timesteps)
UNET_CASES = {
    "sd1": ("as SD 1.x with two levels", {}, [(8, 8), (4, 12)], [500, 0]),
    "quiet": ("sd1 with variances near the epsilons of the normalisations (1e-5, in transformers 1e-6)", {}, [(8, 8)], [999]),
    "four_levels": (
        "as SD 1.x with four levels and sizes that do not halve evenly",
        {
            "block_out_channels": (4, 4, 8, 8),
            "down_block_types": ("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
            "up_block_types": ("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
        },
        [(5, 3), (9, 7), (8, 8)],
        [981, 21, 1],
    ),
    "sd2": (
        "as SD 2.x: linear projections, heads per level, upcast attention",
        {"use_linear_projection": True, "attention_head_dim": (1, 4), "upcast_attention": True},
        [(8, 8)],
        [741],
    ),
    "only_cross_attention": (
        "self-attention replaced by cross-attention in the second level",
        {
            "only_cross_attention": (False, True),
            "down_block_types": ("CrossAttnDownBlock2D",) * 2,
            "up_block_types": ("CrossAttnUpBlock2D",) * 2,
        },
        [(8, 8)],
        [301],
    ),
    "inpainting": ("nine input channels", {"in_channels": 9}, [(8, 8)], [121]),
    "timestep": (
        "sine before cosine, frequency shift, fractional timesteps",
        {"flip_sin_to_cos": False, "freq_shift": 1},
        [(8, 8), (6, 8)],
        [250.5, 998.75],
    ),
    "deep_transformer": ("two layers per block, two transformer blocks per attention", {"transformer_layers_per_block": 2, "layers_per_block": 2}, [(8, 8)], [441]),
    "convolutional": (
        "attention in the middle block only, another epsilon",
        {"down_block_types": ("DownBlock2D",) * 2, "up_block_types": ("UpBlock2D",) * 2, "norm_eps": 1e-3},
        [(8, 8)],
        [601],
    ),
    "distilled": ("as BK-SDM without a middle block", {"mid_block_type": None}, [(8, 8)], [401]),
}

# case: (note, changes to SMALL_KL, image size (height, width))
KL_CASES = {
    "kl": ("as SD 1.x with two levels", {}, (12, 16)),
    "kl_odd": (
        "three levels, an image that does not halve evenly",
        {
            "block_out_channels": (4, 4, 8),
            "down_block_types": ("DownEncoderBlock2D",) * 3,
            "up_block_types": ("UpDecoderBlock2D",) * 3,
            "layers_per_block": 2,
        },
        (13, 19),
    ),
    "kl_shift": (
        "as SD 3: shift factor, no 1x1 convolutions around the latents, 16 latent channels",
        {
            "latent_channels": 16,
            "scaling_factor": 1.5305,
            "shift_factor": 0.0609,
            "use_quant_conv": False,
            "use_post_quant_conv": False,
        },
        (8, 8),
    ),
    "kl_no_attention": ("no attention in the middle blocks", {"mid_block_add_attention": False}, (8, 12)),
}
TINY = {
    "encoder_block_out_channels": (8, 8, 8),
    "decoder_block_out_channels": (8, 8, 8),
    "num_encoder_blocks": (1, 2, 2),
    "num_decoder_blocks": (2, 2, 1),
}


def dump(folder):
    with torch.no_grad():
        save(folder, "unet", [unet_case(seed, name) for seed, name in enumerate(UNET_CASES, start=100)])
        kl = [kl_case(seed, name) for seed, name in enumerate(KL_CASES, start=200)]
        save(folder, "vae", kl + [tiny_case(300)])


def unet_case(seed, name):
    note, changes, sizes, timesteps = UNET_CASES[name]
    model = fill(UNet2DConditionModel(**{**SMALL_UNET, **changes}), seed)
    if name == "quiet":
        hush(model)
    generator = torch.Generator().manual_seed(seed)
    tensors = weights_of(model)
    for index, ((height, width), timestep) in enumerate(zip(sizes, timesteps, strict=True)):
        sample = torch.randn(2, model.config.in_channels, height, width, generator=generator)
        text = torch.randn(2, 5, model.config.cross_attention_dim, generator=generator)
        output = model(sample, timestep, text).sample
        check_depends_on_text(model, sample, timestep, text, output)
        tensors[f"input/sample.{index}"] = sample  # [batch, channels, height, width]
        tensors[f"input/encoder_hidden_states.{index}"] = text  # [batch, tokens, dim]
        tensors[f"output/sample.{index}"] = output
    return name, {"note": note, "config": config_of(model), "timesteps": timesteps}, tensors


def kl_case(seed, name):
    note, changes, (height, width) = KL_CASES[name]
    model = fill(AutoencoderKL(**{**SMALL_KL, **changes}), seed)
    generator = torch.Generator().manual_seed(seed)
    image = torch.rand(2, 3, height, width, generator=generator) * 2 - 1
    posterior = model.encode(image).latent_dist
    noise = torch.randn(posterior.mean.shape, generator=generator)
    sampled = posterior.mean + posterior.std * noise
    shift, scale = model.config.shift_factor or 0.0, model.config.scaling_factor
    latents = (sampled - shift) * scale  # the input that a pipeline gives to the UNet
    tensors = weights_of(model) | {
        "input/image": image,
        "input/noise": noise,
        "output/mean": posterior.mean,
        "output/logvar": posterior.logvar,
        "output/mode": posterior.mode(),
        "output/sample": sampled,
        "output/latents": latents,
        "output/decoded": model.decode(latents / scale + shift).sample,
    }
    return name, {"note": note, "config": config_of(model)}, tensors


def tiny_case(seed):
    model = fill(AutoencoderTiny(**TINY), seed)
    generator = torch.Generator().manual_seed(seed)
    image = torch.rand(2, 3, 12, 16, generator=generator) * 2 - 1
    latents = 3 * torch.randn(2, 4, 3, 4, generator=generator)  # beyond 3, so that the decoder's tanh bends them
    tensors = weights_of(model) | {
        "input/image": image,
        "input/latents": latents,
        "output/latents": model.encode(image).latents,
        "output/decoded": model.decode(latents).sample,
    }
    return "tiny", {"note": "TAESD with two halvings", "config": config_of(model)}, tensors


def fill(model, seed):
    """Random weights that float16 represents exactly. Normalisations get weights and biases too, because their defaults hide mistakes."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in sorted(model.named_parameters()):
        value = torch.randn(parameter.shape, generator=generator)
        if parameter.dim() >= 2:
            value /= parameter[0].numel() ** 0.5  # keeps the variance
        else:
            value = 0.2 * value + name.endswith("weight")  # a bias around 0, or a normalisation's weight around 1
        parameter.data.copy_(value.half().float())
    return model.eval().requires_grad_(False)


def hush(model):
    """Makes every sum of the residual stream small, which shows a normalisation with the wrong epsilon."""
    loud = ("conv_in", "conv2", "conv_shortcut", "proj_out", "samplers.0.conv")
    for name, parameter in model.named_parameters():
        if name.rpartition(".")[0].endswith(loud):
            parameter.copy_((parameter * 0.01).half().float())


def check_depends_on_text(model, sample, timestep, text, output):
    spread = output.std().item()
    change = (model(sample, timestep, text.roll(1, 0)).sample - output).std().item()
    assert 0.1 < spread < 10, f"outputs of spread {spread} hide mistakes"
    assert change > 0.01 * spread, f"the text changes {change} of {spread} only"


def weights_of(model):
    return {f"weights/{name}": value.half() for name, value in model.state_dict().items()}


def config_of(model):
    return json.loads(model.to_json_string())


def save(folder, part, cases):
    tensors = {f"{name}/{key}": value.contiguous() for name, _, of_case in cases for key, value in of_case.items()}
    save_file(tensors, folder / f"{part}.safetensors")
    entries = {name: entry for name, entry, _ in cases}
    (folder / f"{part}.json").write_text(json.dumps(entries, indent=1) + "\n")
