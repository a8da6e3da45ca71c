"""Three runs of the shipped model, assets/spark, from its float16 weights in float32.

Writes spark.json, a list of requests, and spark.safetensors with `<case>/noise` f32 [1, c, h, w], standard normal, `<case>/latents`
(final, before decoding) and `<case>/decoded` f32 [1, 3, 8h, 8w].
"""

import json
import pathlib

import diffusers
import torch
from diffusers import StableDiffusionPipeline
from safetensors.torch import save_file

MODEL = pathlib.Path(__file__).resolve().parents[2] / "assets/spark"
REQUESTS = [
    {"prompt": "a red apple on a blue background", "negative_prompt": "", "steps": 20, "guidance_scale": 4.0, "scheduler": None},
    {"prompt": "two cats on a yellow background, 3d style", "negative_prompt": "a dog", "steps": 20, "guidance_scale": 3.0, "scheduler": "DDIMScheduler"},
    {"prompt": "a rocket and a star on a black background, flat style", "negative_prompt": "", "steps": 15, "guidance_scale": 1.0, "scheduler": "EulerDiscreteScheduler"},
]


def dump(folder):
    pipe = StableDiffusionPipeline.from_pretrained(MODEL, torch_dtype=torch.float32, safety_checker=None)
    pipe.set_progress_bar_config(disable=True)
    own, tensors = pipe.scheduler, {}
    for index, request in enumerate(REQUESTS):
        pipe.scheduler = own
        if request["scheduler"]:
            pipe.scheduler = getattr(diffusers, request["scheduler"]).from_config(own.config)
        size = pipe.unet.config.sample_size
        noise = torch.randn(1, pipe.unet.config.in_channels, size, size, generator=torch.Generator().manual_seed(index))
        latents = pipe(
            request["prompt"],
            negative_prompt=request["negative_prompt"],
            num_inference_steps=request["steps"],
            guidance_scale=request["guidance_scale"],
            latents=noise,
            output_type="latent",
        ).images
        with torch.no_grad():
            decoded = pipe.vae.decode(latents / pipe.vae.config.scaling_factor).sample
        tensors |= {f"{index}/noise": noise, f"{index}/latents": latents, f"{index}/decoded": decoded}
    (folder / "spark.json").write_text(json.dumps(REQUESTS, indent=1) + "\n", "utf-8")
    save_file({name: tensor.float().contiguous() for name, tensor in tensors.items()}, folder / "spark.safetensors")
