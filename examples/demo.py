"""Answer with the shipped checkpoints where torch is not installed: ``python -m examples.demo FOLDER``."""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any

from .samples import SAMPLES, Sample, expected, metrics


def main() -> None:
    """Show that torch cannot be imported, then every sample's answers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundles", type=Path, help="folder of the exported samples")
    bundles: Path = parser.parse_args().bundles
    _show_environment()
    start = time.perf_counter()
    torchless = importlib.import_module("torchless")
    print(f"import torchless, with numpy and tokenizers: {1000 * (time.perf_counter() - start):.0f} ms\n")
    for sample in SAMPLES:
        start = time.perf_counter()
        answer = torchless.pipeline(sample.task, bundles / sample.checkpoint, **sample.options)
        if sys.stdout.isatty() and getattr(answer, "streams", False):
            _stream(sample, answer)
            continue
        answers = [answer(item) for item in sample.inputs]
        _show(sample, answers, time.perf_counter() - start)


def _show_environment() -> None:
    installed = sorted({str(distribution.metadata["Name"]) for distribution in metadata.distributions()})
    print(f"installed: {', '.join(installed)}")
    try:
        importlib.import_module("torch")
    except ImportError as error:
        print(f"import torch: {error}")
    else:
        raise SystemExit("torch can be imported here, so this would show nothing: use an environment without it")


def _stream(sample: Sample, answer: Any) -> None:
    """Write the texts as they are made."""
    print(f"{_title(sample)}; as it is made")
    for item in sample.inputs:
        print(f"  {_line(item)}\n   ", end="", flush=True)
        for piece in answer.stream(item):
            print(piece, end="", flush=True)
        print()
    print()


def _title(sample: Sample) -> str:
    numbers = ", ".join(f"{name} {value:.3f}" for name, value in metrics(sample.checkpoint).items() if value <= 1)
    return f"{sample.task} with {sample.checkpoint} (held out: {numbers})"


def _show(sample: Sample, answers: list[Any], seconds: float) -> None:
    print(f"{_title(sample)}; loaded and answered in {seconds:.2f} s")
    for item, answer in zip(sample.inputs, answers, strict=True):
        print(f"  {_line(item)}")
        for part in answer if isinstance(answer, list) else [answer]:
            print(f"    {_line({key: value for key, value in part.items() if key != 'sequence'})}")
    print()


def _line(value: Any) -> str:
    if isinstance(value, dict):
        return "  ".join(f"{key}={_line(part)}" for key, part in value.items())
    if isinstance(value, list):
        return " ".join(map(_line, value))
    if isinstance(value, Path):
        said = expected().get(value.name)
        return value.name + (f" ({said})" if said else "")
    return f"{value:.4f}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    main()
