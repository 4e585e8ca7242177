"""A process that several callers share, each a thread; commands and answers are lines of JSON, as in :mod:`.worker`.

``python -m benchmarks.peers.concurrency_worker CONTENDER CHECKPOINT FOLDER`` in the contender's own environment.
Commands:

- ``{"do": "load", "inputs": [...], "new": 32}``: open what was prepared; there is a caller for each of the inputs: a
  text (1, length) for an encoder, a prompt (1, length) for what generates ``new`` tokens. Answers with versions, and
  the answer to each of the inputs when it is called alone, as lists.
- ``{"do": "run", "start": 12.5, "seconds": 5}``: from that time of the system's monotonic clock on, each caller calls
  again and again until the seconds are over, three times at least. Answers with ``"calls"``, the seconds of each and
  when it ended, and ``"same"``: whether the last answer of each caller was that to its own inputs.
- ``{"do": "memory"}``: the most memory that the process has held so far, in MiB.

Who calls is a function without arguments of a module of the other suites: of its ``concurrent``, which knows what a
caller must not share with the others, or of what it opens for one caller, shared by all.
"""

from __future__ import annotations

import importlib
import json
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from ..measure import versions
from .process import Suite
from .worker import CONTENDERS as GENERATING
from .worker import peak, take_output

__all__ = ["CONCURRENCY", "ONE_THREAD", "conversion"]

Call: TypeAlias = Callable[[], Any]

ONE_THREAD = " threads=1"
"""What the names of contenders end in that have one thread, however many callers share them."""


def conversion(contender: str) -> str:
    """The contender whose conversion this one opens."""
    return contender.removesuffix(ONE_THREAD)


_THREADS = ("", ONE_THREAD)
CONTENDERS = {
    name: GENERATING[conversion(name)]
    for name in (
        *(f"{engine} fp32{kind}" for engine in ("torchless", "torch", "optimum") for kind in _THREADS),
        "openvino fp32",
        *(f"{engine} int8{kind}" for engine in ("torchless", "optimum") for kind in _THREADS),
        "openvino int8",
    )
}
CONCURRENCY = Suite(CONTENDERS, f"{__package__}.concurrency_worker", "", Path(__file__).parent)
_PACKAGES = ("torch", "transformers", "optimum", "optimum-onnx", "optimum-intel", "onnxruntime", "openvino", "numpy")
# Rounding depends on how many threads share a sum, which they do otherwise when others compute.
_TOLERANCE = 1e-3
_LEAST_CALLS = 3
"""Of a caller in a turn, also where that takes longer."""


def main() -> None:
    """Answer commands until the input ends."""
    contender, checkpoint, folder = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    answers = take_output()
    calls: list[Call] = []
    expected: list[Any] = []
    for line in sys.stdin:
        command = json.loads(line)
        answer: dict[str, Any] = {}
        if command["do"] == "load":
            calls = _callers(contender, checkpoint, folder, command["inputs"], command["new"])
            expected = [call() for call in calls]
            answer = {"versions": versions(_PACKAGES), "answers": [_plain(value) for value in expected]}
        elif command["do"] == "run":
            answer = _run(calls, expected, command["start"], command["seconds"])
        elif command["do"] == "memory":
            answer = {"peak": peak()}
        print(json.dumps(answer), file=answers, flush=True)


def _callers(contender: str, checkpoint: Path, folder: Path, inputs: list[Any], new: int | None) -> list[Call]:
    """A function for each of the inputs, which answers them; without ``new``, an encoder's."""
    kind = CONTENDERS[contender]
    suite = "." if new else ".recognition."
    module = importlib.import_module(f"{suite}{kind.engine}", __package__)
    where = (checkpoint, folder, kind.precision)
    if hasattr(module, "concurrent"):
        each = module.concurrent(*where, len(inputs))
    else:
        each = [(module.Engine if new else module.load)(*where)] * len(inputs)
    if not new:
        return [partial(works["tags"], np.array(ids)) for works, ids in zip(each, inputs, strict=True)]
    return [partial(_generate, engine, prompts, new) for engine, prompts in zip(each, inputs, strict=True)]


def _generate(engine: Any, prompts: list[list[int]], new: int) -> list[list[int]]:
    rows: list[list[int]] = engine.tokens(engine.generate(engine.inputs(prompts), 1, new), new)
    return rows


def _plain(value: Any) -> Any:
    return value if isinstance(value, list) else np.asarray(value).tolist()


def _run(calls: list[Call], expected: list[Any], start: float, seconds: float) -> dict[str, Any]:
    found: list[list[tuple[float, float]]] = [[] for _ in calls]
    same = [False] * len(calls)

    def caller(index: int) -> None:
        time.sleep(max(start - time.monotonic(), 0))
        while time.monotonic() < start + seconds or len(found[index]) < _LEAST_CALLS:
            begin = time.monotonic()
            value = calls[index]()
            end = time.monotonic()
            found[index].append((end - begin, end))
            same[index] = _alike(value, expected[index])

    threads = [threading.Thread(target=caller, args=(index,)) for index in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {"calls": [call for each in found for call in each], "same": all(same)}


def _alike(value: Any, expected: Any) -> bool:
    if isinstance(expected, list):
        return bool(value == expected)
    return float(np.abs(np.asarray(value) - np.asarray(expected)).max()) <= _TOLERANCE


if __name__ == "__main__":
    main()
