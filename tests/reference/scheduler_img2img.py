"""Runs of diffusers' schedulers that begin within their schedule, as its image-to-image pipelines make them, on a toy model.

Writes scheduler_img2img.safetensors. Its metadata entry `index` is JSON: `configs`, a list of scheduler_config.json texts;
`runs`, a list of [algorithm, steps, index of the configuration, eta, kind, strength, problem], where the problem is null,
"empty" (no step is left, and the pipelines return no image) or the exception that diffusers raises. Kinds are those of the
pipelines: "img2img"; "inpaint", which after each call blends the sample with the noisy original, here with a mask of 0.75;
"lcm", which spreads all steps over the strength. Tensors have one row for each run without a problem: `samples` f32 [runs, 12],
every third value of the last sample, and `counts` i32 [runs]. `calls` f32 [sum of the counts of runs that predict epsilon, 4]
has of each call the timestep, the factors of original and noise in add_noise, and the factor of scale_model_input.
"""

import inspect
import itertools
import json
import pathlib
import types

import diffusers
import torch
from safetensors.torch import save_file

from scheduler import BASE, CLASSES, CLIPPING, KARRAS, SHAPE, SOLVERS, SPACINGS, THRESHOLDING, ZERO_SNR, build, toy_model

STRENGTHS = [0.05, 0.3, 0.5, 0.8, 1.0]
STEPS = [4, 10, 25]
PREDICTIONS = ["epsilon", "v_prediction", "sample"]


def runs():
    """(algorithm, steps, configuration, kind, strength, eta)"""
    for algorithm, steps, strength, prediction in itertools.product(CLASSES, STEPS, STRENGTHS, PREDICTIONS):
        config = BASE | {"prediction_type": prediction}
        yield algorithm, steps, config, "img2img", strength
        if algorithm in KARRAS:
            yield algorithm, steps, config | {"use_karras_sigmas": True}, "img2img", strength
    yield from itertools.chain(inpainting(), spacings(), sigma_schedules(), solvers(), ancestral())
    yield from itertools.chain(pseudo_numerical(), limits(), edges(), latent_consistency())


def inpainting():
    for algorithm, steps, strength in itertools.product(CLASSES, STEPS, STRENGTHS[2:]):
        yield algorithm, steps, BASE, "inpaint", strength
        if algorithm in KARRAS:
            yield algorithm, steps, BASE | {"use_karras_sigmas": True}, "inpaint", strength


def spacings():
    for algorithm, spacing, strength in itertools.product(CLASSES, SPACINGS, [0.3, 0.75]):
        yield algorithm, 10, BASE | {"timestep_spacing": spacing}, "img2img", strength
        if algorithm in ZERO_SNR and strength < 0.5:
            config = {"rescale_betas_zero_snr": True, "prediction_type": "v_prediction", "timestep_spacing": spacing}
            yield algorithm, 10, BASE | config, "img2img", strength


def sigma_schedules():
    for algorithm, steps, strength in itertools.product(KARRAS, [1, *STEPS], [0.5, 1.0]):
        for key in ["use_exponential_sigmas", "use_beta_sigmas"]:
            yield algorithm, steps, BASE | {key: True}, "img2img", strength
            yield algorithm, steps, BASE | {key: True, "final_sigmas_type": "sigma_min"}, "img2img", strength
            config = {"prediction_type": "v_prediction", "timestep_spacing": "leading"}
            yield algorithm, steps, BASE | {key: True} | config, "inpaint", strength


def solvers():
    for algorithm, steps, order, strength in itertools.product(SOLVERS, STEPS, [1, 3], [0.5, 0.8]):
        for ends in ({}, {"lower_order_final": False, "final_sigmas_type": "sigma_min"}):
            yield algorithm, steps, BASE | {"solver_order": order} | ends, "img2img", strength
    for steps, strength in itertools.product(STEPS, [0.5, 0.8]):
        yield "unipc", steps, BASE | {"predict_x0": False, "final_sigmas_type": "sigma_min"}, "img2img", strength
        yield "unipc", steps, BASE | {"disable_corrector": [0, 3, 8]}, "img2img", strength
        yield "dpm-solver++", steps, BASE | {"solver_type": "heun", "euler_at_final": True}, "img2img", strength


def ancestral():
    for steps, strength in itertools.product(STEPS, [0.5, 0.8]):
        yield "ddim", steps, BASE, "img2img", strength, 1.0
        yield "ddpm", steps, BASE | {"variance_type": "fixed_large"}, "img2img", strength


def pseudo_numerical():
    """With its Runge-Kutta calls PNDM begins among them."""
    for steps, strength, prediction in itertools.product([4, 5, 10, 25], STRENGTHS, PREDICTIONS[:2]):
        config = BASE | {"skip_prk_steps": False, "prediction_type": prediction}
        yield "pndm", steps, config, "img2img", strength
        yield "pndm", steps, config, "inpaint", strength


def limits():
    for algorithm in THRESHOLDING:
        yield algorithm, 10, BASE | {"thresholding": True, "dynamic_thresholding_ratio": 0.7}, "img2img", 0.5
    for algorithm in CLIPPING:
        yield algorithm, 10, BASE | {"clip_sample": True, "clip_sample_range": 0.5}, "img2img", 0.5


def edges():
    """Strengths that make nearly a whole step more, or none."""
    cases = [(50, 0.58), (49, 1 / 49), (1, 1.0), (1, 0.99), (10, 0.0)]
    for algorithm, (steps, strength) in itertools.product(CLASSES, cases):
        yield algorithm, steps, BASE, "img2img", strength


def latent_consistency():
    for steps, strength in itertools.product([1, 4, 8, 25], STRENGTHS):
        yield "lcm", steps, BASE, "lcm", strength
    yield "lcm", 4, BASE | {"original_inference_steps": 24}, "lcm", 0.7


def first_timesteps(scheduler, steps, kind, strength):
    if kind == "lcm":
        scheduler.set_timesteps(steps, strength=strength)
        return scheduler.timesteps
    scheduler.set_timesteps(steps)
    pipeline = types.SimpleNamespace(scheduler=scheduler)
    return diffusers.StableDiffusionImg2ImgPipeline.get_timesteps(pipeline, steps, strength, "cpu")[0]


def run(scheduler, steps, kind, strength, eta):
    """The final sample and the data of the calls; nothing if no step is left."""
    timesteps = first_timesteps(scheduler, steps, kind, strength)
    if len(timesteps) == 0:
        return None
    arguments = inspect.signature(scheduler.step).parameters
    generator = torch.Generator("cpu").manual_seed(7)
    options = {"generator": generator} if "generator" in arguments else {}
    options |= {"eta": eta} if "eta" in arguments else {}
    original = torch.randn(SHAPE, generator=torch.Generator("cpu").manual_seed(8))
    noise = torch.randn(SHAPE, generator=generator)
    from_noise = kind == "inpaint" and strength == 1.0
    sample = noise * scheduler.init_noise_sigma if from_noise else scheduler.add_noise(original, noise, timesteps[:1])
    calls = []
    for i, timestep in enumerate(timesteps):
        factors = scheduler.add_noise(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0]), timesteps[i : i + 1])
        scale = scheduler.scale_model_input(torch.ones(1), timestep)
        calls.append(torch.cat([timestep.float().reshape(1), factors, scale]))
        output = toy_model(scheduler.scale_model_input(sample, timestep), timestep)
        sample = scheduler.step(output, timestep, sample, **options).prev_sample
        if kind == "inpaint":
            last = i + 1 == len(timesteps)
            known = original if last else scheduler.add_noise(original, noise, timesteps[i + 1 : i + 2])
            sample = 0.25 * known + 0.75 * sample
    return sample, torch.stack(calls)


def dump(folder):
    diffusers.utils.logging.set_verbosity_error()
    configs, index, samples, counts, calls = [], [], [], [], []
    for algorithm, steps, config, kind, strength, *rest in runs():
        text = json.dumps(config)
        if text not in configs:
            configs.append(text)
        eta = rest[0] if rest else 0.0
        entry = [algorithm, steps, configs.index(text), eta, kind, strength]
        try:
            result = run(build(algorithm, config, False), steps, kind, strength, eta)
            index.append(entry + ["empty" if result is None else None])
        except (NotImplementedError, ValueError) as error:
            result = None
            index.append(entry + [f"{type(error).__name__}: {error}"])
        if result:
            assert result[0].isfinite().all(), entry + [text]
            samples.append(result[0].flatten()[::3].clone())
            counts.append(len(result[1]))
            if config.get("prediction_type", "epsilon") == "epsilon":
                calls.append(result[1])
    tensors = {"samples": torch.stack(samples), "calls": torch.cat(calls)}
    tensors["counts"] = torch.tensor(counts, dtype=torch.int32)
    metadata = {"configs": configs, "runs": index}
    save_file(tensors, pathlib.Path(folder) / "scheduler_img2img.safetensors", {"index": json.dumps(metadata)})
