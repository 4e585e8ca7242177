"""onnxruntime-genai: fp32, and the blocks of 8 and 4 bits that its model builder makes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime_genai as og  # type: ignore[import-not-found]

from .worker import THREADS

_BUILDER = "onnxruntime_genai.models.builder"


def prepare(checkpoint: Path, folder: Path, precision: str) -> None:
    """Build from the checkpoint's folder; the precisions are called as the builder calls them.

    Raises:
        subprocess.CalledProcessError: it does not build this architecture; what it said is in the log.
    """
    places = ["-i", str(checkpoint), "-o", str(folder), "-c", str(folder.with_name(f"{folder.name}.cache"))]
    subprocess.run([sys.executable, "-m", _BUILDER, "-p", precision, "-e", "cpu", *places], check=True)


class Engine:
    """A loop over its generator, which keeps the cache."""

    def __init__(self, checkpoint: Path, folder: Path, precision: str) -> None:
        config = og.Config(str(folder))
        options = {"session_options": {"intra_op_num_threads": THREADS}}
        config.overlay(json.dumps({"model": {"decoder": options}}))
        self._model = og.Model(config)

    def inputs(self, tokens: list[list[int]]) -> Any:
        """Ids."""
        return np.array(tokens, np.int32)

    def generate(self, inputs: Any, beams: int, new: int) -> Any:
        """Greedy or beam search; lengths count the prompt."""
        length = inputs.shape[1] + new
        params = og.GeneratorParams(self._model)
        params.set_search_options(
            batch_size=len(inputs), num_beams=beams, do_sample=False, min_length=length, max_length=length
        )
        generator = og.Generator(self._model, params)
        generator.append_tokens(inputs)
        while not generator.is_done():
            generator.generate_next_token()
        return [generator.get_sequence(row)[-new:] for row in range(len(inputs))]

    def tokens(self, result: Any, new: int) -> list[list[int]]:
        """The best hypothesis of each row."""
        return [row.tolist() for row in result]
