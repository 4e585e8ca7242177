"""On a GPU: this project against torch, eager, with SDPA and compiled; text, pictures and sound, once and generating.

``make gpu`` runs it after the tests that need a GPU, in an environment of its own, and it writes results/gpu.json.
``python -m benchmarks.gpu --device cpu --small`` shows on any machine that all of it works, and writes nothing.

A time is from arrays in the processor's memory to arrays there, the device's work finished; the contenders take turns,
and a number is the median over all turns. With random weights there is no end of a text: all decode as many tokens.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from torchless.errors import QuantizationWarning
from torchless.export import export
from torchless.quantize import quantize
from torchless.session import Array

from .measure import versions, write
from .peers import gpu_models, gpu_torch, gpu_torchless

FOLDER = Path(__file__).parents[1] / "build" / "benchmarks-gpu"
Contender = gpu_torch.Torch | gpu_torchless.Torchless


@dataclass(frozen=True)
class Cell:
    """What is timed: a model, rows of an input of so many tokens, beams, and new tokens (0: one run of an encoder)."""

    model: str
    batch: int
    length: int = 0
    beams: int = 0
    new: int = 0


CELLS = (
    *(Cell("bert", batch, length) for batch, length in ((1, 32), (1, 128), (8, 128), (32, 128), (32, 512))),
    *(Cell("vit", batch) for batch in (1, 8, 32)),
    *(Cell("gpt2", batch, length, beams, 64) for length in (32, 512) for batch in (1, 8) for beams in (1, 4)),
    *(Cell("bart", batch, 512, beams, 64) for batch in (1, 8) for beams in (1, 4)),
    *(Cell("whisper", batch, 0, beams, 64) for batch in (1, 8) for beams in (1, 4)),
)
KINDS = ("torchless", "torch eager", "torch sdpa", "torch compile")
DTYPES = ("fp32", "fp16")


def main() -> None:
    """Time every cell, and write the rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda", help="cuda, cuda:1; cpu: only to see whether it works")
    parser.add_argument("--small", action="store_true", help="small models, few tokens")
    parser.add_argument("--models", nargs="+", default=list(gpu_models.MODELS), choices=list(gpu_models.MODELS))
    parser.add_argument("--contenders", nargs="+", default=list(KINDS), choices=list(KINDS))
    parser.add_argument("--turns", type=int, default=10)
    asked = parser.parse_args()
    measured = asked.device != "cpu" and not asked.small
    rows: list[dict[str, Any]] = []
    for model in asked.models:
        checkpoint, bundle = prepare(model, small=asked.small)
        for cell in chosen(model, small=asked.small):
            timed = time_cell(cell, list(contenders(asked.contenders, checkpoint, bundle, asked.device)), asked.turns)
            print(*timed, sep="\n", flush=True)
            rows += timed
    if measured:
        notes = {"driver": driver(), "gpu_packages": versions(("onnxruntime-gpu", "nvidia-cudnn-cu13"))}
        print(write("gpu", rows, unit="ms", turns=asked.turns, gpu=gpu_torch.describe(asked.device), **notes))
    else:
        print("nothing is written: these are no measurements of a GPU")


def chosen(model: str, *, small: bool) -> list[Cell]:
    """A model's cells; of a small model its first and last, with little to do."""
    cells = [cell for cell in CELLS if cell.model == model]
    if not small:
        return cells
    return [replace(cells[at], batch=2, length=min(cells[at].length, 16), new=min(cells[at].new, 4)) for at in (0, -1)]


def prepare(model: str, *, small: bool) -> tuple[Path, Path]:
    """A model's checkpoint and its bundle with both dtypes, made where they are missing."""
    folder = FOLDER / f"{model}{'-small' if small else ''}"
    checkpoint, bundle = folder / "checkpoint", folder / "bundle"
    if not (folder / "ready").is_file():
        print(f"{model}: writing and exporting", flush=True)
        gpu_models.write(model, checkpoint, small=small)
        export(checkpoint, bundle, overwrite=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", QuantizationWarning)  # about speed on this machine's processor
            quantize(bundle, "fp16", recommend=False)
        (folder / "ready").touch()
    return checkpoint, bundle


def contenders(
    kinds: Sequence[str], checkpoint: Path, bundle: Path, device: str
) -> Iterator[tuple[str, str, Callable[[], Contender]]]:
    """Name, dtype, and what opens each."""
    for dtype, kind in product(DTYPES, kinds):
        if kind == "torchless":
            yield kind, dtype, partial(gpu_torchless.Torchless, bundle, dtype, device)
        else:
            yield kind, dtype, partial(gpu_torch.Torch, checkpoint, kind.removeprefix("torch "), dtype, device)


def time_cell(
    cell: Cell, opened: Sequence[tuple[str, str, Callable[[], Contender]]], turns: int
) -> list[dict[str, Any]]:
    """A row for each contender: milliseconds, and how far its answer is from the first torch's in float32."""
    feeds = gpu_models.inputs(cell.model, cell.batch, cell.length)
    calls: dict[tuple[str, str], Callable[[], Array]] = {}
    rows, answers = {}, {}
    for kind, dtype, make in opened:
        key = (kind, dtype)
        rows[key] = {**asdict(cell), "contender": kind, "dtype": dtype}
        try:
            contender = make()
            call = (
                partial(contender.generate, feeds, cell.beams, cell.new) if cell.new else partial(contender.run, feeds)
            )
            answers[key] = call()  # compiles, captures, searches algorithms
            calls[key] = call
        except Exception as error:  # a peer that cannot do it is a result as well
            if kind == "torchless":
                raise
            rows[key]["error"] = f"{type(error).__name__}: {error}"[:300]
    for key, times in take_turns(calls, turns).items():
        low, middle, high = (round(value, 3) for value in statistics.quantiles(times, n=4, method="inclusive"))
        rows[key] |= {"ms": middle, "ms_25": low, "ms_75": high}
        rows[key] |= agreement(answers[key], answers.get(("torch eager", "fp32")), generated=bool(cell.new))
    return list(rows.values())


def take_turns(calls: dict[tuple[str, str], Callable[[], Array]], turns: int) -> dict[tuple[str, str], list[float]]:
    """Milliseconds of each call; in every turn it runs once untimed, so that clocks are up, and twice timed."""
    times: dict[tuple[str, str], list[float]] = {key: [] for key in calls}
    for _ in range(turns):
        for key, call in calls.items():
            call()
            for _ in range(2):
                start = time.perf_counter()
                call()
                times[key].append(1e3 * (time.perf_counter() - start))
    return times


def agreement(found: Array, wanted: Array | None, *, generated: bool) -> dict[str, float]:
    """The least of a row's first tokens that are the same; or the largest difference, of the largest output."""
    if wanted is None:
        return {}
    if not generated:
        return {"difference": float(np.abs(found - wanted).max() / np.abs(wanted).max())}
    same = np.cumprod(found == wanted, axis=1)
    return {"same_tokens": int(same.sum(axis=1).min())}


def driver() -> str | None:
    """The version of NVIDIA's driver."""
    try:
        command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[0]
    except (OSError, subprocess.SubprocessError, IndexError):
        return None


if __name__ == "__main__":
    main()
