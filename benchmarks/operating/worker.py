"""The process of one contender; commands and answers are lines of JSON, as in :mod:`benchmarks.peers.worker`.

``python -m benchmarks.operating.worker CONTENDER CHECKPOINT FOLDER`` in the contender's own environment. Commands:

- ``{"do": "load"}``: open the graph that was prepared; answers with versions.
- ``{"do": "open", "inputs": PATH}``: open it a second time, with a profiler, and call both once.
- ``{"do": "turn", "least": 0.1}``: call the one until that many seconds have passed, once at least, then the other;
  answers with the median of the seconds of the one without profiler.
- ``{"do": "close"}``: answers with ``"calls"``: of each call, or of a turn's on average, what
  :func:`.kinds.summed` makes of it.

The end of the input ends the process.
"""

from __future__ import annotations

import importlib
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ..measure import PAUSE_S, versions
from ..peers.process import Suite
from ..peers.recognition_worker import RECOGNITION
from ..peers.worker import take_output

CONTENDERS = {
    name: RECOGNITION.contenders[name]
    for name in ("torchless fp32", "openvino fp32", "torchless int8", "torchless int8-static", "openvino int8")
}
OPERATORS = Suite(CONTENDERS, f"{__package__}.worker", RECOGNITION.models, RECOGNITION.engines)


class Graph(Protocol):
    """A graph that is open. The constructor takes its folder, the precision and whether its operators are timed."""

    def run(self, arrays: list[Any]) -> None:
        """Call it with ids, masks and types, or with pixels or samples."""
        ...

    def turn_over(self) -> None:
        """A turn ends, or the call that comes before the first one."""
        ...

    def spent(self) -> list[dict[str, dict[str, float]]]:
        """What calls were spent on, without those before the first turn; the graph is not called again."""
        ...


def main() -> None:
    """Answer commands until the input ends."""
    contender, folder = CONTENDERS[sys.argv[1]], Path(sys.argv[3])
    answers = take_output()
    module = importlib.import_module(f".{contender.engine}", __package__)
    plain: Graph | None = None
    timed: Graph | None = None
    arrays: list[Any] = []
    for line in sys.stdin:
        command = json.loads(line)
        answer: dict[str, Any] = {}
        if command["do"] == "load":
            plain = module.Graph(folder, contender.precision, timed=False)
            answer = {"versions": versions(("onnxruntime", "openvino", "nncf", "numpy"))}
        elif command["do"] == "open" and plain is not None:
            arrays, timed = inputs(Path(command["inputs"])), module.Graph(folder, contender.precision, timed=True)
            for graph in (plain, timed):
                graph.run(arrays)
            timed.turn_over()
        elif command["do"] == "turn" and plain is not None and timed is not None:
            answer = {"seconds": statistics.median(_calls(plain.run, arrays, command["least"]))}
            time.sleep(PAUSE_S / 3)  # until the threads of the one no longer spin
            _calls(timed.run, arrays, command["least"])
            timed.turn_over()
        elif command["do"] == "close" and timed is not None:
            answer, timed = {"calls": timed.spent()}, None
        print(json.dumps(answer), file=answers, flush=True)


def inputs(path: Path) -> list[Any]:
    """Arrays of a file: ids get masks of ones and types of zeros, sound (clips, samples) mean 0 and variance 1."""
    array = np.load(path)
    if array.dtype.kind == "i":
        return [array, np.ones_like(array), np.zeros_like(array)]
    sound = path.name.startswith("speech")
    return [((array - array.mean()) / array.std()).astype(np.float32) if sound else array]


def _calls(run: Callable[[list[Any]], None], arrays: list[Any], least: float) -> list[float]:
    """Seconds of each call."""
    seconds: list[float] = []
    begin = time.perf_counter()
    while not seconds or time.perf_counter() - begin < least:
        start = time.perf_counter()
        run(arrays)
        seconds.append(time.perf_counter() - start)
    return seconds


if __name__ == "__main__":
    main()
