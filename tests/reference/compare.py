"""Random requests through the program and through diffusers:
python tests/reference/compare.py --binary target/release/pyrograph --model tests/reference/tiny-sd1 --cases 20

--model is a diffusers folder, or one of the two single files of this folder. Exit code 1 when a case differs by more than --limit.
"""

import argparse
import pathlib
import random
import subprocess
import sys
import tempfile

import numpy
import torch
from diffusers import StableDiffusionPipeline
from PIL import Image
from safetensors.torch import load_file

import pipeline
import tiny

WORDS = (
    "a red apple on blue background two cats with hats lighthouse at dusk watercolour, portrait of an old man (detailed:1.2) "
    "8k photo 1920s café naïve ünïcödé 東京 tower!! don't it's ... snow-covered mountain #1 emoji 🦊 [fox] <|endoftext|> GREEN house"
).split()


def main():
    arguments = parse()
    pipe = load(arguments.model)
    requests = [random_request(random.Random(f"{arguments.seed}/{index}"), pipe) for index in range(arguments.cases)]
    results = []
    for request in requests:
        try:
            expected = pipeline.run(pipe, request)
            if not torch.isfinite(expected).all():
                raise ValueError("latents that are not finite")
        except (AssertionError, IndexError, ValueError) as error:
            print(f"diffusers itself fails, {error!r}:  {describe(request)}", flush=True)
            continue
        latents, pixels = compare(pipe, request, expected, arguments)
        results.append((latents, pixels, request))
        print(f"{latents:9.2e}  {pixels:3}  {describe(request)}", flush=True)
    latents, _, request = max(results, key=lambda result: result[0])
    print(f"worst of {len(results)}: relative L2 {latents:.2e}, pixels {max(result[1] for result in results)}; {describe(request)}")
    sys.exit(latents > arguments.limit)


def parse():
    parser = argparse.ArgumentParser(description="Compares pyrograph with diffusers: relative L2 of the latents, largest pixel difference.")
    parser.add_argument("--binary", type=pathlib.Path, required=True)
    parser.add_argument("--model", type=pathlib.Path, required=True)
    parser.add_argument("--cases", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="f32", choices=["f32", "f16"])
    parser.add_argument("--limit", type=float, default=1e-3)
    return parser.parse_args()


def load(model):
    """The reference in float32, for every type of the files. The tiny folder has no tokenizer, because its vocabulary is the shipped one."""
    if model.is_file():
        builders = {"tiny-sd1.ckpt": tiny.build_sd1, "tiny-sd2.safetensors": tiny.build_sd2}
        with torch.no_grad():
            return pipeline.pipeline_of(builders[model.name]())
    parts = {} if (model / "tokenizer").is_dir() else {"tokenizer": pipeline.tokenizer("<|endoftext|>")}
    variant = "fp16" if any(model.glob("unet/*.fp16*")) else None
    return StableDiffusionPipeline.from_pretrained(model, dtype=torch.float32, variant=variant, safety_checker=None, **parts)


def random_request(choose, pipe):
    side = pipe.unet.config.sample_size * pipe.vae_scale_factor
    sizes = range(max(8, side // 2 // 8 * 8), side + side // 2 + 1, 8)
    scheduler = choose.choice([None, *pipeline.SCHEDULERS])
    return pipeline.DEFAULTS | {
        "prompt": " ".join(choose.choices(WORDS, k=choose.choice([0, 1, 5, 12, 12, 60]))),
        "negative_prompt": " ".join(choose.choices(WORDS, k=choose.choice([0, 0, 4]))),
        "scheduler": scheduler,
        "karras": scheduler in pipeline.KARRAS and choose.random() < 0.3,
        "steps": choose.choice([1, 2, 3, 5, 8, 13, 20, 30]),
        "guidance_scale": choose.choice([1.0, 2.5, 5.0, 7.5, 12.0]),
        "seed": choose.choice([choose.randrange(100), choose.randrange(2**34)]),
        "width": choose.choice(sizes),
        "height": choose.choice(sizes),
        "batch_size": choose.choice([1, 1, 2, 3]),
    }


def compare(pipe, request, expected, arguments):
    """Relative L2 of the final latents and largest difference of a pixel's byte; infinite where the program fails."""
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        done = subprocess.run(command(request, folder, arguments), capture_output=True, text=True)
        if done.returncode != 0:
            print(done.stderr.strip(), file=sys.stderr)
            return float("inf"), 255
        found = load_file(folder / "latents.safetensors")["latents"]
        images = [numpy.asarray(Image.open(file).convert("RGB")) for file in sorted(folder.glob("*.png"))]
    if found.shape != expected.shape or not torch.isfinite(found).all():
        print(f"latents {tuple(found.shape)} instead of {tuple(expected.shape)}, or not finite", file=sys.stderr)
        return float("inf"), 255
    return ((found - expected).norm() / expected.norm()).item(), pixel_difference(pipe, expected, images)


def command(request, folder, arguments):
    options = {
        "--model": arguments.model,
        "--negative-prompt": request["negative_prompt"],
        "--steps": request["steps"],
        "--guidance-scale": request["guidance_scale"],
        "--seed": request["seed"],
        "--width": request["width"],
        "--height": request["height"],
        "--batch-size": request["batch_size"],
        "--device": arguments.device,
        "--dtype": arguments.dtype,
        "--save-latents": folder / "latents.safetensors",
        "--output": folder / "image.png",
    }
    if request["scheduler"] is not None:
        options["--scheduler"] = request["scheduler"]
    if arguments.model.name == "tiny-sd2.safetensors":
        options["--prediction-type"] = "v-prediction"  # a single file does not state it
    words = [str(word) for option in options.items() for word in option]
    return [str(arguments.binary), "txt2img", *words, *(["--karras"] if request["karras"] else []), "--", request["prompt"]]


def pixel_difference(pipe, latents, images):
    expected = pipe.image_processor.postprocess(pipeline.decode(pipe, latents), output_type="pil")
    if len(expected) != len(images):
        print(f"{len(images)} images instead of {len(expected)}", file=sys.stderr)
        return 255
    pairs = zip(expected, images, strict=True)
    return max(int(numpy.abs(numpy.asarray(one).astype(int) - other).max()) for one, other in pairs)


def describe(request):
    changed = {key: value for key, value in request.items() if value != pipeline.DEFAULTS[key] and "prompt" not in key}
    return ", ".join(f"{key} {value}" for key, value in changed.items()) + f", {request['prompt'][:40]!r}"


if __name__ == "__main__":
    main()
