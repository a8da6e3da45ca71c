"""Compares the speed of training with PyTorch on the CPU: the same models and batches, in alternation, best of some rounds.

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

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel

BATCH = 16
STEPS = 5
ROUNDS = 3
clock = time.process_time if "PROCESSOR_TIME" in os.environ else time.perf_counter
SCHEDULER = DDPMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")


def unet(latents, text_width, **config):
    channels, height, width = latents
    model = UNet2DConditionModel(
        sample_size=height,
        in_channels=channels,
        out_channels=channels,
        layers_per_block=1,
        cross_attention_dim=text_width,
        attention_head_dim=8,
        norm_num_groups=16,
        **config,
    )

    def loss():
        original, text = torch.randn(BATCH, *latents), torch.randn(BATCH, 77, text_width)
        noise, timesteps = torch.randn_like(original), torch.randint(1000, (BATCH,))
        noisy = SCHEDULER.add_noise(original, noise, timesteps)
        return F.mse_loss(model(noisy, timesteps, text).sample, noise)

    return model, loss


def unet_16():
    return unet(
        (4, 16, 16),
        64,
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        block_out_channels=(48, 96, 128),
    )


def unet_8():
    return unet(
        (16, 8, 8),
        96,
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        block_out_channels=(96, 160),
    )


def autoencoder():
    model = AutoencoderKL(
        down_block_types=["DownEncoderBlock2D"] * 3,
        up_block_types=["UpDecoderBlock2D"] * 3,
        block_out_channels=(16, 32, 64),
        norm_num_groups=2,
        sample_size=64,
    )

    def loss():
        image = torch.randn(BATCH, 3, 64, 64)
        latents = model.encode(image).latent_dist
        error = model.decode(latents.sample()).sample - image
        edges = error.diff(dim=2).abs().mean() + error.diff(dim=3).abs().mean()
        kl = latents.kl().mean() / (4 * 16 * 16)
        return error.abs().mean() + 0.5 * error.square().mean() + 0.5 * edges + 1e-3 * kl

    return model, loss


MODELS = {"unet-16": unet_16, "unet-8": unet_8, "autoencoder": autoencoder}


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
