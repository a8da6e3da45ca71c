"""Whole runs of diffusers' schedulers on a toy model, and the noise of torch's generator.

Writes scheduler.safetensors. Its metadata entry `index` is JSON: `configs`, a list of scheduler_config.json texts; `runs`, a
list of [algorithm, steps, index of the configuration, eta, whether StableDiffusionPipeline's constructor corrects it];
`noise`, a list of [seed, draws]. Tensors, one row per run or one after the other:
`samples` f32 [runs, 36], `init_noise_sigmas` f32 [runs], `timesteps` f32 [sum of the counts], `timestep_counts` i32 [runs],
`noisy` f32 [runs, 4] (the first values of add_noise at half the run), and `noise` f32 with at most the first and last 20 values of each draw.
"""

import inspect
import itertools
import json
import pathlib
import tempfile

import diffusers
import torch
from safetensors.torch import save_file

CLASSES = {
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
KARRAS = ["lms", "euler", "heun", "dpm-solver++", "dpm-solver++-sde", "unipc", "deis", "kdpm2", "kdpm2-ancestral"]
# diffusers raises for these; there is nothing to compare with.
NO_SAMPLE_PREDICTION = ["pndm", "euler-ancestral", "kdpm2", "kdpm2-ancestral"]
ZERO_SNR = ["ddpm", "ddim", "lcm", "euler", "euler-ancestral", "dpm-solver++", "dpm-solver++-sde", "unipc"]
THRESHOLDING = ["ddpm", "ddim", "lcm", "dpm-solver++", "dpm-solver++-sde", "unipc", "deis"]
CLIPPING = ["ddpm", "ddim", "lcm", "heun"]
SOLVERS = ["dpm-solver++", "dpm-solver++-sde", "unipc", "deis"]

STEPS = [1, 2, 3, 4, 5, 10, 14, 15, 20, 30]
FEW = [1, 4, 10, 20]
SPACINGS = ["leading", "trailing", "linspace"]
LATENT = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
BASE = LATENT | {"steps_offset": 1, "clip_sample": False, "set_alpha_to_one": False, "skip_prk_steps": True}
SHAPE = (2, 2, 3, 3)


def runs():
    """(algorithm, steps, configuration, eta, corrected)"""
    for algorithm, steps, spacing in itertools.product(CLASSES, STEPS, SPACINGS):
        for prediction in predictions(algorithm):
            config = BASE | {"timestep_spacing": spacing, "prediction_type": prediction}
            yield algorithm, steps, config
            if algorithm in KARRAS:
                yield algorithm, steps, config | {"use_karras_sigmas": True}
    for options in (defaults, limits, ancestral, solvers, schedules, constructor):
        yield from options()


def predictions(algorithm):
    return ["epsilon", "v_prediction"] + ([] if algorithm in NO_SAMPLE_PREDICTION else ["sample"])


def defaults():
    """The defaults of a class for missing settings."""
    for algorithm, steps in itertools.product(CLASSES, [4, 10]):
        yield algorithm, steps, {"skip_prk_steps": True}
        yield algorithm, steps, LATENT | {"skip_prk_steps": True, "unknown_key": [1, "two"]}
    for steps in [4, 5, 10, 15, 30]:
        yield "pndm", steps, LATENT
        for spacing, prediction in itertools.product(SPACINGS, ["epsilon", "v_prediction"]):
            yield "pndm", steps, BASE | {"skip_prk_steps": False, "timestep_spacing": spacing, "prediction_type": prediction}


def limits():
    for algorithm, steps, prediction in itertools.product(THRESHOLDING, FEW, ["epsilon", "v_prediction", "sample"]):
        config = BASE | {"thresholding": True, "prediction_type": prediction}
        yield algorithm, steps, config
        yield algorithm, steps, config | {"dynamic_thresholding_ratio": 0.7, "sample_max_value": 1.5}
    for algorithm, steps, prediction in itertools.product(CLIPPING, FEW, ["epsilon", "v_prediction", "sample"]):
        yield algorithm, steps, BASE | {"clip_sample": True, "clip_sample_range": 0.5, "prediction_type": prediction}


def ancestral():
    for steps, eta, spacing in itertools.product([1, 4, 10, 20], [0.3, 1.0], SPACINGS):
        yield "ddim", steps, BASE | {"timestep_spacing": spacing}, eta
        yield "ddim", steps, BASE | {"timestep_spacing": spacing, "set_alpha_to_one": True}, eta
    # fixed_large_log is NaN in diffusers.
    for steps, variance, spacing in itertools.product(FEW, ["fixed_small", "fixed_small_log", "fixed_large"], SPACINGS):
        yield "ddpm", steps, BASE | {"variance_type": variance, "timestep_spacing": spacing}
    for steps, options in itertools.product(FEW, [{"timestep_scaling": 0.01}, {"original_inference_steps": 24}]):
        yield "lcm", steps, BASE | options


def solvers():
    types = {"unipc": ["bh1", "bh2"], "deis": ["logrho"]}
    for algorithm, steps, order in itertools.product(SOLVERS, STEPS, [1, 2, 3]):
        if (algorithm, steps, order) == ("deis", 30, 3):
            continue  # Its float32 coefficients are 1.2e-5 away from its own result with float64 sigmas.
        for solver_type in types.get(algorithm, ["midpoint", "heun"]):
            for ends in ({}, {"lower_order_final": False}):
                config = BASE | {"solver_order": order, "solver_type": solver_type} | ends
                # With the final sigma at zero, UniPC needs the low order in the end, and bh1 is NaN in any case.
                if algorithm == "unipc" and (ends or solver_type == "bh1"):
                    config |= {"final_sigmas_type": "sigma_min"}
                yield algorithm, steps, config
                if algorithm != "deis" and order < 3:
                    yield algorithm, steps, config | {"final_sigmas_type": "sigma_min", "prediction_type": "v_prediction"}
        if algorithm != "unipc":
            yield algorithm, steps, BASE | {"solver_order": order, "use_karras_sigmas": True}
    for steps, order, solver_type in itertools.product([4, 10, 20], [1, 2, 3], ["bh1", "bh2"]):
        for prediction in ["epsilon", "v_prediction", "sample"]:
            config = {"predict_x0": False, "final_sigmas_type": "sigma_min", "prediction_type": prediction}
            yield "unipc", steps, BASE | config | {"solver_order": order, "solver_type": solver_type}
        yield "unipc", steps, BASE | {"solver_order": order, "disable_corrector": [0, 2]}
    for steps in STEPS:
        yield "dpm-solver++", steps, BASE | {"euler_at_final": True, "final_sigmas_type": "sigma_min"}
        yield "euler", steps, BASE | {"final_sigmas_type": "sigma_min"}
        # Settings of another class.
        yield "dpm-solver++", steps, BASE | {"algorithm_type": "deis", "solver_type": "logrho"}
        yield "unipc", steps, BASE | {"algorithm_type": "sde-dpmsolver++", "solver_type": "heun"}
        yield "deis", steps, BASE | {"algorithm_type": "dpmsolver++", "solver_type": "midpoint"}


def schedules():
    for algorithm, steps, spacing in itertools.product(ZERO_SNR, FEW, SPACINGS):
        config = BASE | {"rescale_betas_zero_snr": True, "prediction_type": "v_prediction", "timestep_spacing": spacing}
        yield algorithm, steps, config
        if algorithm in KARRAS:
            yield algorithm, steps, config | {"use_karras_sigmas": True}
    cosine = BASE | {"beta_schedule": "squaredcos_cap_v2", "prediction_type": "v_prediction"}
    linear = BASE | {"beta_schedule": "linear", "num_train_timesteps": 500}
    trained = BASE | {"trained_betas": [0.01 + 0.002 * i for i in range(40)], "num_train_timesteps": 40}
    for algorithm, steps in itertools.product(CLASSES, FEW):
        # The last level of this schedule is sigma = 20000. From there float32 keeps diffusers' PNDM and the samplers that
        # work in sigma 1e-4 to 2e-3 away from their own float64 results; these begin lower.
        yield algorithm, steps, cosine | {"timestep_spacing": "leading"}
        if algorithm in ["ddpm", "ddim", *SOLVERS[:3]]:
            yield algorithm, steps, cosine | {"timestep_spacing": "trailing"}
        yield algorithm, steps, linear
        yield algorithm, steps, trained | {"original_inference_steps": 20}
    for algorithm, steps in itertools.product(SOLVERS[:3], [1, 2, 3]):
        # With more steps two timesteps of DPM-Solver++ are the same, and diffusers raises.
        yield algorithm, steps, cosine | {"use_karras_sigmas": True}
    for steps, spacing in itertools.product(FEW, SPACINGS):
        yield "dpm-solver++", steps, cosine | {"lambda_min_clipped": -5.1, "timestep_spacing": spacing}
        yield "dpm-solver++", steps, BASE | {"lambda_min_clipped": -1.0, "timestep_spacing": spacing}


def constructor():
    """Runs as a pipeline makes them that has loaded the file and then switched to another scheduler."""
    for own, algorithm in itertools.product(["ddim", "pndm", "ddpm", "euler"], ["ddim", "ddpm", "pndm", "heun", "euler"]):
        for explicit in ({}, {"steps_offset": 0, "clip_sample": True, "skip_prk_steps": True}):
            config = LATENT | {"_class_name": CLASSES[own][0], "timestep_spacing": "leading"} | explicit
            yield algorithm, 5, config, 0.0, True


def build(algorithm, config, corrected):
    name, options = CLASSES[algorithm]
    scheduler_class = getattr(diffusers, name)
    if not corrected:
        return scheduler_class.from_config(config | options)
    own = as_loaded_by_pipeline(config)
    return own if type(own) is scheduler_class else scheduler_class.from_config(own.config, **options)


def as_loaded_by_pipeline(config):
    """The scheduler after StableDiffusionPipeline.__init__, which needs nothing else for this."""
    with tempfile.TemporaryDirectory() as folder:
        pathlib.Path(folder, "scheduler_config.json").write_text(json.dumps(config))
        scheduler = getattr(diffusers, config["_class_name"]).from_pretrained(folder)
    pipeline = diffusers.StableDiffusionPipeline(None, None, None, None, scheduler, None, None, requires_safety_checker=False)
    return pipeline.scheduler


def toy_model(sample, timestep):
    """Smooth and bounded, of few operations, with a fixed image in it."""
    image = torch.tensor([0.06 * (i * 7 % 11 - 5) for i in range(sample.numel())]).reshape(sample.shape)
    weight = 0.25 + 0.0005 * float(timestep)
    return image + sample / (sample.abs() + 1.0) * weight


def run(scheduler, steps, eta):
    scheduler.set_timesteps(steps)
    arguments = inspect.signature(scheduler.step).parameters
    generator = torch.Generator("cpu").manual_seed(7)
    options = {"generator": generator} if "generator" in arguments else {}
    options |= {"eta": eta} if "eta" in arguments else {}
    sample = torch.randn(SHAPE, generator=generator) * scheduler.init_noise_sigma
    for timestep in scheduler.timesteps:
        output = toy_model(scheduler.scale_model_input(sample, timestep), timestep)
        sample = scheduler.step(output, timestep, sample, **options).prev_sample
    return sample


def add_noise(scheduler, steps):
    """At the start of the step in the middle. The index is set as pipelines do that begin within a run."""
    scheduler.set_timesteps(steps)
    index = len(scheduler.timesteps) // 4 * 2
    if hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(index)
    original, noise = (torch.randn(SHAPE, generator=torch.Generator("cpu").manual_seed(seed)) for seed in (8, 9))
    return scheduler.add_noise(original, noise, scheduler.timesteps[index : index + 1])


def noise_draws():
    for seed, count in itertools.product([0, 5, 2**32 + 5, 42, 2**63], [1, 2, 15, 16, 17, 31, 100, 16384]):
        yield seed, [count]
    yield 1234, [3, 20, 2, 5, 16, 1, 1, 47, 8]


def noise_values(seed, draws):
    generator = torch.Generator("cpu").manual_seed(seed)
    values = [torch.randn(count, generator=generator) for count in draws]
    return torch.cat([draw if len(draw) <= 40 else torch.cat([draw[:20], draw[-20:]]) for draw in values])


def dump(folder):
    diffusers.utils.logging.set_verbosity_error()
    configs, index, rows, timesteps = [], [], {"samples": [], "noisy": [], "init_noise_sigmas": []}, []
    for algorithm, steps, config, *rest in runs():
        eta, corrected = (rest + [0.0, False][len(rest) :])
        text = json.dumps(config)
        if text not in configs:
            configs.append(text)
        index.append([algorithm, steps, configs.index(text), eta, corrected])
        scheduler = build(algorithm, config, corrected)
        sample = run(scheduler, steps, eta)
        assert sample.isfinite().all(), index[-1] + [text]
        rows["samples"].append(sample.flatten())
        rows["noisy"].append(add_noise(scheduler, steps).flatten()[:4])
        rows["init_noise_sigmas"].append(torch.as_tensor(scheduler.init_noise_sigma, dtype=torch.float32))
        timesteps.append(scheduler.timesteps.to(torch.float32))
    tensors = {name: torch.stack(row) for name, row in rows.items()}
    tensors["timesteps"] = torch.cat(timesteps)
    tensors["timestep_counts"] = torch.tensor([len(row) for row in timesteps], dtype=torch.int32)
    tensors["noise"] = torch.cat([noise_values(seed, draws) for seed, draws in noise_draws()])
    metadata = {"configs": configs, "runs": index, "noise": list(noise_draws())}
    save_file(tensors, pathlib.Path(folder) / "scheduler.safetensors", {"index": json.dumps(metadata)})
