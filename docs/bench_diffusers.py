"""The comparison of docs/benchmarks.md: the cost of one UNet call of a full-size Stable Diffusion 1.5 in diffusers on the CPU.

    python docs/bench_diffusers.py make FOLDER [--dtype f16]         writes the model with seeded random weights
    python docs/bench_diffusers.py measure FOLDER [--threads 2]                       prints seconds and peak memory as JSON

Needs the packages of tests/reference/requirements.txt. The folder takes 4.3 GB in f32 and 2.1 GB in f16.
"""

import argparse
import json
import pathlib
import resource
import sys
import time

import torch
from diffusers import AutoencoderKL, PNDMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests/reference"))
import vocabulary  # noqa: E402

DTYPES = {"f32": torch.float32, "f16": torch.float16}

UNET = {
    "sample_size": 64,
    "in_channels": 4,
    "out_channels": 4,
    "block_out_channels": (320, 640, 1280, 1280),
    "layers_per_block": 2,
    "cross_attention_dim": 768,
    "attention_head_dim": 8,
    "down_block_types": ("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
    "up_block_types": ("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
}
VAE = {
    "sample_size": 512,
    "block_out_channels": (128, 256, 512, 512),
    "layers_per_block": 2,
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "scaling_factor": 0.18215,
}
TEXT = {
    "vocab_size": 49408,
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "hidden_act": "quick_gelu",
    "projection_dim": 768,
    "bos_token_id": 0,
    "eos_token_id": 2,
    "pad_token_id": 1,
}
SCHEDULER = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "skip_prk_steps": True,
    "set_alpha_to_one": False,
    "steps_offset": 1,
}


def main():
    parser = argparse.ArgumentParser(description="Measures diffusers on a full-size Stable Diffusion 1.5.")
    commands = parser.add_subparsers(dest="command", required=True)
    maker = commands.add_parser("make")
    maker.add_argument("folder", type=pathlib.Path)
    maker.add_argument("--dtype", choices=DTYPES, default="f16")
    measurer = commands.add_parser("measure")
    measurer.add_argument("folder", type=pathlib.Path)
    measurer.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    if arguments.command == "make":
        make(arguments.folder, DTYPES[arguments.dtype])
    else:
        print(json.dumps(measure(arguments.folder, arguments.threads), indent=2))


def make(folder, dtype):
    """torch's own initialisation keeps all activations near 1 or below, so float16 holds them."""
    torch.manual_seed(0)
    tokens, merges = vocabulary.shipped()
    pipeline = StableDiffusionPipeline(
        unet=UNet2DConditionModel(**UNET),
        vae=AutoencoderKL(**VAE),
        text_encoder=CLIPTextModel(CLIPTextConfig(**TEXT)),
        tokenizer=CLIPTokenizer(vocab=tokens, merges=merges, model_max_length=77),
        scheduler=PNDMScheduler(**SCHEDULER),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.to(dtype).save_pretrained(folder)


@torch.no_grad()
def measure(folder, threads, repetitions=3):
    """One call in float32 at 64x64 latents, batch 2 (guidance): a warm-up, then the fastest of three."""
    torch.set_num_threads(threads)
    begin = time.perf_counter()
    unet = UNet2DConditionModel.from_pretrained(folder, subfolder="unet", dtype=torch.float32).eval()
    loaded = time.perf_counter() - begin
    after_loading = peak_memory()
    generator = torch.Generator().manual_seed(0)
    latents = torch.randn(2, 4, 64, 64, generator=generator)
    text = torch.randn(2, 77, 768, generator=generator)
    seconds = []
    for _ in range(1 + repetitions):
        begin = time.perf_counter()
        output = unet(latents, 500, text).sample
        seconds.append(time.perf_counter() - begin)
    assert torch.isfinite(output).all()
    return {
        "torch": torch.__version__,
        "threads": threads,
        "load_seconds": round(loaded, 2),
        "unet_seconds": round(min(seconds[1:]), 3),
        "unet_seconds_all": [round(value, 3) for value in seconds],
        "peak_mib_after_loading": after_loading,
        "peak_mib": peak_memory(),
        "output_std": round(output.std().item(), 4),
    }


def peak_memory():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024  # Linux counts KiB


if __name__ == "__main__":
    main()
