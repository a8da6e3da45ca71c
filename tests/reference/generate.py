"""Remakes every dump of this folder: python tests/reference/generate.py [--only PART ...] [--folder FOLDER].

Each part is a module beside this one with `def dump(folder)`. It writes its own files and seeds its own generators;
each part can therefore be made without the others.
"""

import argparse
import importlib
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
SCHEDULERS = ["scheduler", "scheduler_img2img", "scheduler_keys"]
PARTS = ["models", "tiny", "pipeline", *SCHEDULERS, "clip", "clip_model", "checkpoint", "train", "spark", "configuration", "added_tokens", "images"]
LIMIT = 10_000_000  # bytes of all dumps together


def main():
    parser = argparse.ArgumentParser(description="Remakes the reference tensors with huggingface diffusers.")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--folder", type=pathlib.Path, default=HERE)
    arguments = parser.parse_args()
    sys.path.insert(0, str(HERE))
    make_deterministic()
    for part in arguments.only:
        print(f"{part} ...", flush=True)
        importlib.import_module(part).dump(arguments.folder)
    report_size(arguments.folder)


def make_deterministic():
    import torch

    torch.manual_seed(0)
    torch.set_num_threads(1)  # sums are split by threads, so their last digit depends on the count
    torch.use_deterministic_algorithms(True)


def report_size(folder):
    dumped = [file for file in folder.rglob("*") if file.is_file() and file.suffix not in {".py", ".md", ".pyc"}]
    total = sum(file.stat().st_size for file in dumped)
    print(f"{len(dumped)} files, {total / 1e6:.2f} MB")
    if total > LIMIT:
        sys.exit(f"the dumps are larger than {LIMIT / 1e6:.0f} MB together")


if __name__ == "__main__":
    main()
