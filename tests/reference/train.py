"""Losses of one training step and their gradients, with the weights of the cases `sd1` of unet.safetensors and `kl` of
vae.safetensors.

It also has two images and their distance: `metrics/<name>`.
Writes train.safetensors: `<case>/input/<name>`, `<case>/output/loss`, `<case>/gradients/<name or state-dict key>`, all float32.
"""

import json

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
from diffusers.models.autoencoders.vae import VectorQuantizer
from diffusers.training_utils import compute_snr
from safetensors.torch import load_file, save_file
from transformers.models.clip.modeling_clip import image_text_contrastive_loss

TIMESTEPS = torch.tensor([3, 400, 950])
# case: (prediction type, the most that the signal-to-noise ratio counts)
DENOISING = {"epsilon": ("epsilon", None), "epsilon_min_snr": ("epsilon", 5), "v_min_snr": ("v_prediction", 5), "sample": ("sample", None)}


def dump(folder):
    generator = torch.Generator().manual_seed(20)
    randn = lambda *shape: torch.randn(shape, generator=generator)
    tensors = {"rand": torch.rand(20, generator=torch.Generator().manual_seed(5))}
    tensors |= denoising(folder, randn) | autoencoder(folder, randn) | quantizer(randn) | contrastive(randn) | metrics(generator) | discriminator(randn)
    save_file({name: tensor.detach().float().contiguous() for name, tensor in tensors.items()}, folder / "train.safetensors")


def denoising(folder, randn):
    model = saved(UNet2DConditionModel, folder, "unet", "sd1")
    inputs = {"original": randn(3, 4, 8, 8), "noise": randn(3, 4, 8, 8), "text": randn(3, 7, 5)}
    tensors = {f"denoising/input/{name}": tensor for name, tensor in inputs.items()}
    for case, (prediction, gamma) in DENOISING.items():
        scheduler = DDPMScheduler(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012, prediction_type=prediction)
        noisy = scheduler.add_noise(inputs["original"], inputs["noise"], TIMESTEPS)
        target = {
            "epsilon": inputs["noise"],
            "v_prediction": scheduler.get_velocity(inputs["original"], inputs["noise"], TIMESTEPS),
            "sample": inputs["original"],
        }[prediction]
        losses = F.mse_loss(model(noisy, TIMESTEPS, inputs["text"]).sample, target, reduction="none").mean((1, 2, 3))
        if gamma:
            snr = compute_snr(scheduler, TIMESTEPS)
            losses = losses * snr.clamp(max=gamma) / (snr + 1 if prediction == "v_prediction" else snr)
        tensors |= step(case, losses.mean(), dict(model.named_parameters()))
    return tensors


def autoencoder(folder, randn):
    model = saved(AutoencoderKL, folder, "vae", "kl")
    image, noise = randn(2, 3, 12, 16).clamp(-1, 1), randn(2, 4, 6, 8)
    latents = model.encode(image).latent_dist
    decoded = model.decode(latents.mean + latents.std * noise).sample
    edges = sum(F.l1_loss(decoded.diff(dim=axis), image.diff(dim=axis)) for axis in (2, 3))
    loss = F.l1_loss(decoded, image) + 0.5 * F.mse_loss(decoded, image) + 0.5 * edges + 1e-3 * latents.kl().mean() / latents.mean[0].numel()
    tensors = {"autoencoder/input/image": image, "autoencoder/input/noise": noise}
    return tensors | step("autoencoder", loss, dict(model.named_parameters()))


def quantizer(randn):
    model = VectorQuantizer(12, 3, beta=0.25, legacy=False, sane_index_shape=True)
    with torch.no_grad():
        model.embedding.weight.copy_(randn(12, 3))
    x, direction = randn(2, 3, 4, 5).requires_grad_(), randn(2, 3, 4, 5)
    values, loss, (_, _, indices) = model(x)
    tensors = {"vq/input/x": x, "vq/input/direction": direction, "vq/input/embedding": model.embedding.weight.clone()}
    tensors |= {"vq/output/values": values, "vq/output/indices": indices}
    return tensors | step("vq", loss + (values * direction).sum(), {"x": x, "embedding": model.embedding.weight})


def contrastive(randn):
    inputs = {"images": randn(5, 8), "texts": randn(5, 8), "logit_scale": torch.tensor([1.2])}
    unit = lambda x: x / x.norm(dim=-1, keepdim=True)
    inputs = {name: tensor.requires_grad_() for name, tensor in inputs.items()}
    loss = image_text_contrastive_loss(unit(inputs["texts"]) @ unit(inputs["images"]).T * inputs["logit_scale"].exp())
    return {f"contrastive/input/{name}": tensor for name, tensor in inputs.items()} | step("contrastive", loss, inputs)


class PatchDiscriminator(torch.nn.Module):
    """pix2pix's, with group normalisation: two halvings, eight channels to begin with."""

    def __init__(self):
        super().__init__()
        conv = lambda channels_in, channels_out, stride: torch.nn.Conv2d(channels_in, channels_out, 4, stride, 1)
        self.convs = torch.nn.ModuleList([conv(3, 8, 2), conv(8, 16, 2), conv(16, 1, 1)])
        self.norms = torch.nn.ModuleList([torch.nn.GroupNorm(8, 16)])

    def forward(self, x):
        x = F.leaky_relu(self.convs[0](x), 0.2)
        return self.convs[2](F.leaky_relu(self.norms[0](self.convs[1](x)), 0.2))


def discriminator(randn):
    model = PatchDiscriminator()
    with torch.no_grad():
        for weight in model.parameters():
            weight.copy_(0.2 * randn(*weight.shape))
    image, decoded = randn(2, 3, 12, 16), randn(2, 3, 12, 16).requires_grad_()
    parameters = dict(model.named_parameters())
    hinge = (F.relu(1 - model(image)).mean() + F.relu(1 + model(decoded)).mean()) / 2
    tensors = {f"discriminator/weights/{name}": weight for name, weight in parameters.items()}
    tensors |= {"discriminator/input/image": image, "discriminator/input/decoded": decoded}
    return tensors | step("discriminator", hinge, parameters) | step("generator", -model(decoded).mean(), {"decoded": decoded})


def step(case, loss, parameters):
    gradients = torch.autograd.grad(loss, parameters.values())
    return {f"{case}/output/loss": loss.reshape(1)} | {f"{case}/gradients/{name}": g for name, g in zip(parameters, gradients)}


def saved(kind, folder, file, case):
    config = json.loads((folder / f"{file}.json").read_text())[case]["config"]
    model = kind.from_config(config)
    prefix = f"{case}/weights/"
    weights = load_file(folder / f"{file}.safetensors")
    model.load_state_dict({name.removeprefix(prefix): t.float() for name, t in weights.items() if name.startswith(prefix)})
    return model


def metrics(generator):
    """PSNR and SSIM (Gaussian window of 11 pixels, deviation 1.5, population variance, where the window fits)."""
    a = torch.randint(0, 256, (3, 20, 24), generator=generator).double()
    b = (a + 40 * torch.randn(a.shape, generator=generator)).round().clamp(0, 255)
    x = torch.arange(11, dtype=torch.float64) - 5
    window = torch.exp(-(x**2) / (2 * 1.5**2))
    window = (window / window.sum()).outer(window / window.sum())[None, None]
    blur = lambda image: F.conv2d(image[:, None], window)
    mean_a, mean_b = blur(a), blur(b)
    var_a, var_b, cov = blur(a * a) - mean_a**2, blur(b * b) - mean_b**2, blur(a * b) - mean_a * mean_b
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    ssim = (2 * mean_a * mean_b + c1) * (2 * cov + c2) / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))
    psnr = 20 * torch.log10(255 / F.mse_loss(a, b).sqrt())
    return {"metrics/a": a, "metrics/b": b, "metrics/psnr": psnr[None], "metrics/ssim": ssim.mean()[None]}
