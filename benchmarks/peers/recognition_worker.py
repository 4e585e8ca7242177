"""The process of one contender of recognition; commands and answers are lines of JSON, as in :mod:`.worker`.

``python -m benchmarks.peers.recognition_worker CONTENDER CHECKPOINT FOLDER`` in the contender's own environment.
Commands:

- ``{"do": "prepare"}``: convert the checkpoint into the folder, once, for later processes.
- ``{"do": "load"}``: open what was prepared; answers with the works that it can do, seconds and versions.
- ``{"do": "run", "work": "speech", "inputs": PATH, "least": 0.2}``: do it until that many seconds have passed, once at
  least; answers with the median of the seconds, and ``"texts"`` or the path of an ``"array"``.
- ``{"do": "memory"}``: the most memory that the process has held so far, in MiB.

A work is a function of what the inputs' file holds: an array (batch, ...), or for a picture its path. Its answer is a
text for each row, or an array. The end of the input ends the process.
"""

from __future__ import annotations

import importlib
import json
import statistics
import sys
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from ..measure import versions
from .process import Suite
from .worker import THREADS, Contender, peak, take_output

__all__ = ["NEW_TOKENS", "RECOGNITION", "THREADS", "Works", "model_type"]

Works: TypeAlias = dict[str, Callable[[Any], Any]]

NEW_TOKENS = 64
CONTENDERS = {
    "torchless fp32": Contender("torchless", "fp32"),
    "torch fp32": Contender("transformers", "fp32"),
    "torch-compile fp32": Contender("torch_compile", "fp32"),
    "numpy fp32": Contender("transformers_numpy", "fp32"),
    "openvino fp32": Contender("openvino", "fp32"),
    "optimum fp32": Contender("optimum", "fp32"),
    "ctranslate2 fp32": Contender("ctranslate2", "fp32"),
    "faster-whisper fp32": Contender("faster_whisper", "fp32"),
    "onnx-asr fp32": Contender("onnx_asr", "fp32"),
    "torchless int8": Contender("torchless", "int8"),
    "torchless int8-static": Contender("torchless", "int8-static"),
    "openvino int8": Contender("openvino", "int8"),
    "optimum int8": Contender("optimum", "int8"),
    "optimum int8-static": Contender("optimum", "int8-static"),
    "ctranslate2 int8": Contender("ctranslate2", "int8"),
    "faster-whisper int8": Contender("faster_whisper", "int8"),
    "onnx-asr int8": Contender("onnx_asr", "int8"),
}
RECOGNITION = Suite(
    CONTENDERS,
    f"{__package__}.recognition_worker",
    f"{__package__}.recognition_models",
    Path(__file__).with_name("recognition"),
)
_PACKAGES = (
    "torch", "transformers", "optimum", "optimum-onnx", "optimum-intel", "onnxruntime", "openvino", "nncf",
    "ctranslate2", "faster-whisper", "onnx-asr", "numpy", "pillow",
)  # fmt: skip


def main() -> None:
    """Answer commands until the input ends."""
    contender, checkpoint, folder = CONTENDERS[sys.argv[1]], Path(sys.argv[2]), Path(sys.argv[3])
    answers = take_output()
    module = importlib.import_module(f".recognition.{contender.engine}", __package__)
    works: Works = {}
    for line in sys.stdin:
        command = json.loads(line)
        answer: dict[str, Any] = {}
        if command["do"] == "prepare":
            module.prepare(checkpoint, folder, contender.precision)
        elif command["do"] == "load":
            start = time.perf_counter()
            works = module.load(checkpoint, folder, contender.precision)
            answer = {"works": list(works), "seconds": time.perf_counter() - start, "versions": versions(_PACKAGES)}
        elif command["do"] == "run":
            place = folder.with_name(f"{folder.name}.answer.npy")
            answer = _run(works[command["work"]], _inputs(command["inputs"]), command["least"], place)
        elif command["do"] == "memory":
            answer = {"peak": peak()}
        print(json.dumps(answer), file=answers, flush=True)


def model_type(checkpoint: Path) -> str | None:
    """What a checkpoint is; None where it has no model."""
    path = checkpoint / "config.json"
    if not path.is_file():
        return None
    found: str = json.loads(path.read_text(encoding="utf-8"))["model_type"]
    return found


@cache
def _inputs(path: str) -> Any:
    return np.load(path) if path.endswith(".npy") else path


def _run(work: Callable[[Any], Any], inputs: Any, least: float, place: Path) -> dict[str, Any]:
    """A call of a millisecond would time the waking up of threads: it is repeated."""
    seconds: list[float] = []
    begin = time.perf_counter()
    result = None
    while not seconds or time.perf_counter() - begin < least:
        start = time.perf_counter()
        result = work(inputs)
        seconds.append(time.perf_counter() - start)
    answer: dict[str, Any] = {"seconds": statistics.median(seconds)}
    if isinstance(result, list):
        return {**answer, "texts": result}
    np.save(place, np.asarray(result))
    return {**answer, "array": str(place)}


if __name__ == "__main__":
    main()
