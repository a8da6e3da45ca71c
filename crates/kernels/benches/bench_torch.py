"""Compares the operations with PyTorch on the CPU, row by row and in alternation.

    cargo bench -p pyrograph-kernels --bench operations --no-run
    python crates/kernels/benches/bench_torch.py target/release/deps/operations-<hash> [rows that contain this text]
"""

import os
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

import torch
import torch.nn.functional as F

BUDGET = 0.4  # seconds per shape
LEAST_RUNS = 3
ONE_CORE = "ONE_CORE" in os.environ  # one thread each, and its processor time: for machines that are in use
clock = time.thread_time if ONE_CORE else time.perf_counter


def operation(name, dims):
    if name == "conv2d":
        batch, channels_in, height, width, channels_out, kernel, stride = dims
        x = torch.randn(batch, channels_in, height, width)
        weight, bias = torch.randn(channels_out, channels_in, kernel, kernel), torch.randn(channels_out)
        return lambda: F.conv2d(x, weight, bias, stride, kernel // 2)
    if name in ("linear", "geglu"):
        tokens, d_input, d_output = dims
        x, weight, bias = torch.randn(1, tokens, d_input), torch.randn(d_output, d_input), torch.randn(d_output)
        if name == "linear":
            return lambda: F.linear(x, weight, bias)

        def geglu():
            value, gate = F.linear(x, weight, bias).chunk(2, dim=-1)
            return value * F.gelu(gate)

        return geglu
    if name == "attention":
        batch, heads, tokens, keys, head_dim = dims
        split = lambda n: torch.randn(batch, n, heads * head_dim).view(batch, n, heads, head_dim).transpose(1, 2)
        q, k, v = split(tokens), split(keys), split(keys)
        merged = (batch, tokens, heads * head_dim)
        return lambda: F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(merged)
    if name == "layer_norm":
        x, weight, bias = torch.randn(dims), torch.randn(dims[-1]), torch.randn(dims[-1])
        return lambda: F.layer_norm(x, dims[-1:], weight, bias)
    x, weight, bias = torch.randn(dims), torch.randn(dims[1]), torch.randn(dims[1])
    if name == "group_norm":
        return lambda: F.group_norm(x, 32, weight, bias)
    return lambda: F.silu(F.group_norm(x, 32, weight, bias))


def milliseconds(run):
    run()
    least, runs, start = float("inf"), 0, time.perf_counter()
    while runs < LEAST_RUNS or time.perf_counter() - start < BUDGET:
        begin = clock()
        run()
        least, runs = min(least, clock() - begin), runs + 1
    return least * 1e3


def main():
    if ONE_CORE:
        torch.set_num_threads(1)
    program, wanted = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else ""
    ours_program = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    totals = defaultdict(lambda: [0.0, 0.0])
    for row in Path(__file__).with_name("shapes.csv").read_text().splitlines():
        if row.startswith("#") or wanted not in row:
            continue
        model, name, count, *dims = row.split(",")
        dims = [int(dim) for dim in dims]
        with torch.no_grad():
            theirs = milliseconds(operation(name, dims))
        ours_program.stdin.write(row + "\n")
        ours_program.stdin.flush()
        ours = float(ours_program.stdout.readline().rsplit(",", 1)[1])
        for key in (model, f"{model} {name}"):
            totals[key][0] += int(count) * ours
            totals[key][1] += int(count) * theirs
        print(f"| {model} | {name} | {'x'.join(map(str, dims))} | {count} | {ours:.2f} | {theirs:.2f} | {ours / theirs:.2f} |", flush=True)
    for key, (ours, theirs) in totals.items():
        print(f"| **{key}** | all, times their count | | | {ours:.0f} | {theirs:.0f} | {ours / theirs:.2f} |")


if __name__ == "__main__":
    main()
