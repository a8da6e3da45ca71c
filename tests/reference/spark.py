"""Three runs of the model in assets/spark, computed in float32 from its float16 weights.

Writes spark.json, requests as in pipeline.json, and spark.safetensors with `<case>/latents` f32 [1, 16, 8, 8] (final, before
decoding) and `<case>/decoded` f32 [1, 3, 64, 64].
"""

import json
import pathlib

import torch
from diffusers import StableDiffusionPipeline
from safetensors.torch import save_file

import pipeline

MODEL = pathlib.Path(__file__).resolve().parents[2] / "assets/spark"
DEFAULTS = pipeline.DEFAULTS | {"width": 64, "height": 64, "steps": 20, "guidance_scale": 4.0}
REQUESTS = {
    "own-scheduler": {"prompt": "a red apple on a blue background"},
    "negative": {"prompt": "two cats on a yellow background, 3d style", "negative_prompt": "a dog", "scheduler": "ddim"},
    "unguided": {"prompt": "a rocket and a star on a black background", "scheduler": "euler", "steps": 15, "guidance_scale": 1.0},
}


def dump(folder):
    pipe = StableDiffusionPipeline.from_pretrained(MODEL, torch_dtype=torch.float32, safety_checker=None)
    tensors, requests = {}, []
    for name, changes in REQUESTS.items():
        request = DEFAULTS | changes
        tensors[f"{name}/latents"] = pipeline.run(pipe, request)
        tensors[f"{name}/decoded"] = pipeline.decode(pipe, tensors[f"{name}/latents"])
        requests.append({"name": name, **request})
    save_file({key: value.contiguous() for key, value in tensors.items()}, folder / "spark.safetensors")
    lines = ",\n".join(json.dumps(request) for request in requests)
    (folder / "spark.json").write_text(f"[\n{lines}\n]\n")
