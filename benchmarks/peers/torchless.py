"""This project."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from torchless import Bundle

from .worker import THREADS


def prepare(checkpoint: Path, folder: Path, precision: str) -> None:
    """Export one precision."""
    write(checkpoint, folder, precision)


def write(checkpoint: Path, folder: Path, precision: str, calibrate: Path | None = None) -> None:
    """Export one precision; what an export does not write is quantized from float32, which stays beside it."""
    from torchless.export import export

    if precision in ("fp32", "int8"):
        export(str(checkpoint), str(folder), dtype=precision)
    else:
        export(str(checkpoint), str(folder), quantize=precision, calibrate=calibrate)


class Engine:
    """A bundle's generator."""

    def __init__(self, checkpoint: Path, folder: Path, precision: str) -> None:
        self._generator: Any = Bundle.open(folder, threads=THREADS, dtype=precision).generator()

    def inputs(self, tokens: list[list[int]]) -> Any:
        """Ids and a mask of ones."""
        ids = np.array(tokens)
        return ids, np.ones_like(ids)

    def generate(self, inputs: Any, beams: int, new: int) -> Any:
        """Greedy or beam search."""
        return self._generator.generate(
            *inputs, num_beams=beams, do_sample=False, max_new_tokens=new, min_new_tokens=new
        )

    def tokens(self, result: Any, new: int) -> list[list[int]]:
        """What follows the prompt, or the decoder's start token."""
        rows: list[list[int]] = result.sequences[:, -new:].tolist()
        return rows
