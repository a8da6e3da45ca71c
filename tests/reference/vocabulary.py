"""CLIP's published vocabulary, from the merges that the crate `clip` ships."""

import gzip
import pathlib

MERGES = pathlib.Path(__file__).resolve().parents[2] / "crates/clip/assets/merges.txt.gz"


def shipped():
    """The tokens with their ids, in their order, and the merges: `vocab.json` and `merges.txt` as published."""
    lines = gzip.decompress(MERGES.read_bytes()).decode().splitlines()
    merges = [tuple(line.split(" ")) for line in lines if " " in line]
    tokens = byte_symbols()
    tokens += [symbol + "</w>" for symbol in tokens] + ["".join(merge) for merge in merges]
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    assert len(tokens) == 49408
    return dict(zip(tokens, range(49408))), merges


def byte_symbols():
    """A character for every byte: printable bytes stand for themselves, the others are mapped above Latin-1."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    return [chr(byte) for byte in printable] + [chr(256 + index) for index in range(256 - len(printable))]
