"""Whole runs of StableDiffusionPipeline on the tiny checkpoints: every scheduler, and every option of a request.

Writes pipeline.json, a list of requests, and pipeline.safetensors with `<case>/latents` f32 [n, 4, h/2, w/2] (final, before
decoding), and for some cases `<case>/noise` (standard normal, as drawn from the seed) and `<case>/decoded` f32 [n, 3, h, w].
"""

import functools
import json

import diffusers
import torch
from diffusers import StableDiffusionPipeline
from safetensors.torch import save_file
from transformers import CLIPTokenizer

import tiny
import vocabulary

# name on the command line: (class, settings)
SCHEDULERS = {
    "ddpm": ("DDPMScheduler", {}),
    "ddim": ("DDIMScheduler", {}),
    "pndm": ("PNDMScheduler", {}),
    "lms": ("LMSDiscreteScheduler", {}),
    "euler": ("EulerDiscreteScheduler", {}),
    "euler-ancestral": ("EulerAncestralDiscreteScheduler", {}),
    "heun": ("HeunDiscreteScheduler", {}),
    "dpm-solver++": ("DPMSolverMultistepScheduler", {"algorithm_type": "dpmsolver++"}),
    "dpm-solver++-sde": ("DPMSolverMultistepScheduler", {"algorithm_type": "sde-dpmsolver++"}),
    "unipc": ("UniPCMultistepScheduler", {}),
    "lcm": ("LCMScheduler", {}),
    "deis": ("DEISMultistepScheduler", {}),
    "kdpm2": ("KDPM2DiscreteScheduler", {}),
    "kdpm2-ancestral": ("KDPM2AncestralDiscreteScheduler", {}),
}
KARRAS = ("lms", "euler", "heun", "dpm-solver++", "dpm-solver++-sde", "unipc", "deis", "kdpm2", "kdpm2-ancestral")
LONG = "a very long sentence about a river, " * 14  # more than 77 tokens

DEFAULTS = {
    "prompt": "a lighthouse at dusk, watercolour",
    "negative_prompt": "",
    "scheduler": None,  # the model's own
    "karras": False,
    "steps": 5,
    "guidance_scale": 7.5,
    "guidance_rescale": 0.0,
    "seed": 42,
    "width": 16,
    "height": 16,
    "batch_size": 1,
    "clip_skip": None,
}
SPECIAL = {
    "own-scheduler": {"steps": 20},
    "one-step": {"scheduler": "ddim", "steps": 1},
    "one-step-dpm": {"scheduler": "dpm-solver++", "steps": 1},
    "thirty-steps": {"scheduler": "dpm-solver++", "steps": 30, "guidance_scale": 5.0},
    "unguided": {"guidance_scale": 1.0, "negative_prompt": "is not looked at", "scheduler": "euler"},
    "negative": {"negative_prompt": "blurry, low quality", "scheduler": "unipc", "steps": 7},
    "rescaled": {"guidance_rescale": 0.7, "scheduler": "ddim", "negative_prompt": "night"},
    "batch": {"batch_size": 2, "scheduler": "euler-ancestral", "width": 24, "height": 32, "noise": True, "decoded": True},
    "wide": {"width": 48, "height": 8, "scheduler": "pndm", "steps": 3, "noise": True},
    "large-seed": {"seed": 2**32 + 5, "scheduler": "lms", "noise": True},
    "clip-skip": {"clip_skip": 1, "scheduler": "deis"},
    "empty-prompt": {"prompt": "", "negative_prompt": "!", "scheduler": "heun", "steps": 4},
    "long-prompt": {"prompt": LONG, "scheduler": "ddim", "steps": 4},
    "unicode": {"prompt": "Überraschung:  a\tcafe\u0301 in 2024, 東京 (détail:1.3)!!", "scheduler": "ddim", "steps": 4},
    "decoded": {"scheduler": "ddim", "steps": 8, "width": 32, "height": 24, "seed": 0, "decoded": True},
}
GUIDANCE = (7.5, 3.0, 5.5)


def dump(folder):
    tensors, requests = {}, []
    for model in (tiny.build_sd1(), tiny.build_sd2()):
        pipe = pipeline_of(model)
        for name, request in cases(model["name"]).items():
            wanted = {key: request.pop(key, False) for key in ("noise", "decoded")}
            latents = run(pipe, request)
            assert torch.isfinite(latents).all() and 0.1 < latents.std() < 30, f"{name}: spread {latents.std()}"
            tensors[f"{name}/latents"] = latents
            if wanted["noise"]:
                tensors[f"{name}/noise"] = noise(pipe, request)
            if wanted["decoded"]:
                tensors[f"{name}/decoded"] = decode(pipe, latents)
            requests.append({"name": name, "model": f"tiny-{model['name']}", **request})
    save_file({key: value.contiguous() for key, value in tensors.items()}, folder / "pipeline.safetensors")
    lines = ",\n".join(json.dumps(request) for request in requests)
    (folder / "pipeline.json").write_text(f"[\n{lines}\n]\n")


def cases(model):
    """Every scheduler alone, then with Karras sigmas where it knows them, then one request for each option."""
    found = {}
    for index, scheduler in enumerate(SCHEDULERS):
        changes = {"scheduler": scheduler, "steps": 4 + 3 * index % 8, "seed": index, "guidance_scale": GUIDANCE[index % 3]}
        found[f"{model}-{scheduler}"] = DEFAULTS | changes
        if scheduler in KARRAS:
            found[f"{model}-{scheduler}-karras"] = DEFAULTS | changes | {"karras": True, "steps": 6 + index % 3}
    return found | {f"{model}-{name}": DEFAULTS | changes for name, changes in SPECIAL.items()}


def pipeline_of(model):
    # For clip_skip this diffusers looks for the inner module that transformers has dissolved since 5.6. A plain attribute, since a
    # module cannot be registered in itself.
    object.__setattr__(model["text_encoder"], "text_model", model["text_encoder"])
    return StableDiffusionPipeline(
        unet=model["unet"],
        vae=model["vae"],
        text_encoder=model["text_encoder"],
        tokenizer=tokenizer(model["pad_token"]),
        scheduler=tiny.scheduler_of(model),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


@functools.cache
def tokenizer(pad_token):
    """CLIP's own, with another pad token."""
    tokens, merges = vocabulary.shipped()
    return CLIPTokenizer(vocab=tokens, merges=merges, pad_token=pad_token, model_max_length=77)


def run(pipe, request):
    """The final latents of one request; the scheduler is switched as a user of diffusers would."""
    pipe.set_progress_bar_config(disable=True)
    own = pipe.scheduler
    pipe.scheduler = scheduler_of(own, request)
    try:
        return pipe(
            prompt=request["prompt"],
            negative_prompt=request["negative_prompt"],
            num_inference_steps=request["steps"],
            guidance_scale=request["guidance_scale"],
            guidance_rescale=request["guidance_rescale"],
            width=request["width"],
            height=request["height"],
            num_images_per_prompt=request["batch_size"],
            generator=generators(request),
            clip_skip=request["clip_skip"],
            output_type="latent",
        ).images
    finally:
        pipe.scheduler = own


def generators(request):
    """One per image; an image then does not depend on the size of its batch."""
    return [torch.Generator("cpu").manual_seed(request["seed"] + image) for image in range(request["batch_size"])]


def scheduler_of(own, request):
    if request["scheduler"] is None:
        return own
    class_name, settings = SCHEDULERS[request["scheduler"]]
    karras = {"use_karras_sigmas": True} if request["karras"] else {}
    return getattr(diffusers, class_name).from_config(own.config, **settings, **karras)


def noise(pipe, request):
    """The first noise that the pipeline draws, before init_noise_sigma."""
    factor = pipe.vae_scale_factor
    shape = (1, 4, request["height"] // factor, request["width"] // factor)
    return torch.cat([torch.randn(shape, generator=generator) for generator in generators(request)])


@torch.no_grad()
def decode(pipe, latents):
    """The autoencoder's image, about -1 to 1 and not yet clamped."""
    return pipe.vae.decode(latents / pipe.vae.config.scaling_factor).sample
