"""Compares the speed of training assets/spark with PyTorch on the CPU: the same batches, in alternation, best of some rounds.

A step is forward, backward, clipping by the norm of all gradients, AdamW and the average of the weights.

    cargo bench --workspace --bench throughput --no-run
    python crates/train/benches/bench_torch.py target/release/deps/throughput-<hash> [models that contain this text]

Needs torch and diffusers. On a machine that others use, compare the processor time of one thread each: with PROCESSOR_TIME=1
RAYON_NUM_THREADS=1 OMP_NUM_THREADS=1 in the environment.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel

SPARK = Path(__file__).resolve().parents[3] / "assets/spark"
BATCH = 16
STEPS = 5
ROUNDS = 3
clock = time.process_time if "PROCESSOR_TIME" in os.environ else time.perf_counter
SCHEDULER = DDPMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")


def unet():
    model = UNet2DConditionModel.from_config(UNet2DConditionModel.load_config(SPARK / "unet"))

    def loss():
        original = torch.randn(BATCH, model.config.in_channels, 8, 8)
        text = torch.randn(BATCH, 77, model.config.cross_attention_dim)
        noise, timesteps = torch.randn_like(original), torch.randint(1000, (BATCH,))
        noisy = SCHEDULER.add_noise(original, noise, timesteps)
        return F.mse_loss(model(noisy, timesteps, text).sample, noise)

    return model, loss


def autoencoder():
    model = AutoencoderKL.from_config(AutoencoderKL.load_config(SPARK / "vae"))

    def loss():
        image = torch.randn(BATCH, 3, 64, 64)
        latents = model.encode(image).latent_dist
        error = model.decode(latents.sample()).sample - image
        edges = error.diff(dim=2).abs().mean() + error.diff(dim=3).abs().mean()
        kl = latents.kl().mean() / (model.config.latent_channels * 8 * 8)
        return error.abs().mean() + 0.5 * error.square().mean() + 0.5 * edges + 1e-3 * kl

    return model, loss


MODELS = {"unet": unet, "autoencoder": autoencoder}


def throughput(name):
    model, loss = MODELS[name]()
    weights = list(model.parameters())
    optimizer = torch.optim.AdamW(weights, lr=1e-4, weight_decay=0.01, fused=True)
    average = [weight.detach().clone() for weight in weights]

    def step():
        value = loss()
        optimizer.zero_grad()
        value.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        torch._foreach_lerp_(average, [weight.detach() for weight in weights], 0.001)
        return value.item()

    step()
    start = clock()
    for _ in range(STEPS):
        step()
    return STEPS * BATCH / (clock() - start)


def main():
    program, wanted = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else ""
    ours_program = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ours_throughput(name):
        ours_program.stdin.write(name + "\n")
        ours_program.stdin.flush()
        return float(ours_program.stdout.readline())

    print("| model | ours, images/s | PyTorch, images/s | ratio |\n|---|---|---|---|")
    for name in filter(lambda name: wanted in name, MODELS):
        rounds = [(ours_throughput(name), throughput(name)) for _ in range(ROUNDS)]
        ours, theirs = map(max, zip(*rounds))
        print(f"| {name} | {ours:.1f} | {theirs:.1f} | {ours / theirs:.2f} |", flush=True)


if __name__ == "__main__":
    main()
