"""The keys that each scheduler of diffusers takes from its configuration, with their defaults.

Writes scheduler_keys.json: class -> key -> default, for the classes of `pipeline.py`; an infinite default is null.
"""

import inspect
import json
import math

import diffusers

import pipeline


def dump(folder):
    classes = sorted({name for name, _ in pipeline.SCHEDULERS.values()})
    keys = {name: defaults(getattr(diffusers, name)) for name in classes}
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(known)}" for name, known in keys.items())
    (folder / "scheduler_keys.json").write_text(f"{{\n{lines}\n}}\n")


def defaults(scheduler):
    parameters = inspect.signature(scheduler.__init__).parameters
    return {name: finite(parameter.default) for name, parameter in parameters.items() if name not in ("self", "kwargs")}


def finite(value):
    return None if isinstance(value, float) and math.isinf(value) else value
