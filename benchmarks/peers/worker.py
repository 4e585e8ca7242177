"""The process of one contender: commands come as lines of JSON on standard input, answers go out the same way.

``python -m benchmarks.peers.worker CONTENDER CHECKPOINT FOLDER`` in the contender's own environment. Commands:

- ``{"do": "prepare"}``: convert the checkpoint into the folder, once, for later processes.
- ``{"do": "load"}``: open what was prepared; answers with seconds and versions.
- ``{"do": "run", "tokens": [[...]], "beams": 1, "new": 64}``: generate; answers with seconds and the new token ids.
- ``{"do": "memory"}``: the most memory that the process has held so far, in MiB.

The end of the input ends the process.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TextIO

from ..measure import versions

# Of each process; what starts several gives them fewer.
THREADS = int(os.environ.get("BENCHMARK_THREADS", "2"))


@dataclass(frozen=True)
class Contender:
    """A module beside this one, the precision that is asked of it, and the models that it can do; None: all."""

    engine: str
    precision: str
    models: tuple[str, ...] | None = None

    def can(self, model: str) -> bool:
        """Whether it can do this model."""
        return self.models is None or model in self.models

    @property
    def family(self) -> str:
        """The contenders that it competes with: fp32, int8 of whichever kind, or 4 bits."""
        return FAMILIES.get(self.precision, self.precision)


FAMILIES = {"int8-static": "int8", "q4": "4 bits", "int4": "4 bits"}
# Of the other models its builder says: NotImplementedError: The ... model is not currently supported.
_GENAI = ("qwen2",)
# In fp32 all contenders of Qwen2 side by side take more than 24 GB: these are left out, and measured in int8.
_LESS = ("gpt2", "bart", "t5", "marian")
CONTENDERS = {
    "torchless fp32": Contender("torchless", "fp32"),
    "torch fp32": Contender("transformers", "fp32"),
    "torch-compile fp32": Contender("torch_compile", "fp32"),
    "optimum fp32": Contender("optimum", "fp32", _LESS),
    "ctranslate2 fp32": Contender("ctranslate2", "fp32", _LESS),
    "openvino fp32": Contender("openvino", "fp32"),
    "onnxruntime-genai fp32": Contender("genai", "fp32", _GENAI),
    "torchless int8": Contender("torchless", "int8"),
    "optimum int8": Contender("optimum", "int8"),
    "ctranslate2 int8": Contender("ctranslate2", "int8"),
    "openvino int8": Contender("openvino", "int8"),
    "onnxruntime-genai int8": Contender("genai", "int8", _GENAI),
    "torchless q4": Contender("torchless", "q4"),
    "onnxruntime-genai int4": Contender("genai", "int4", _GENAI),
}


def families(names: Iterable[str], contenders: Mapping[str, Contender]) -> list[list[str]]:
    """Names of contenders by what they compete with."""
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(contenders[name].family, []).append(name)
    return list(found.values())


_PACKAGES = (
    "torch", "transformers", "optimum", "optimum-onnx", "optimum-intel", "onnxruntime", "onnxruntime-genai",
    "ctranslate2", "openvino", "nncf", "numpy",
)  # fmt: skip


class Engine(Protocol):
    """A loaded model. The constructor takes the folder that ``prepare`` filled, the checkpoint and the precision."""

    def inputs(self, tokens: list[list[int]]) -> Any:
        """The prompts as the library takes them; not timed."""
        ...

    def generate(self, inputs: Any, beams: int, new: int) -> Any:
        """Exactly ``new`` tokens after each prompt; timed."""
        ...

    def tokens(self, result: Any, new: int) -> list[list[int]]:
        """The new ids of each row; not timed."""
        ...


def main() -> None:
    """Answer commands until the input ends."""
    contender, checkpoint, folder = CONTENDERS[sys.argv[1]], Path(sys.argv[2]), Path(sys.argv[3])
    answers = take_output()
    module = importlib.import_module(f".{contender.engine}", __package__)
    engine: Engine | None = None
    for line in sys.stdin:
        command = json.loads(line)
        answer: dict[str, Any] = {}
        if command["do"] == "prepare":
            module.prepare(checkpoint, folder, contender.precision)
        elif command["do"] == "load":
            start = time.perf_counter()
            engine = module.Engine(checkpoint, folder, contender.precision)
            answer = {"seconds": time.perf_counter() - start, "versions": versions(_PACKAGES)}
        elif command["do"] == "run" and engine is not None:
            answer = _run(engine, command["tokens"], command["beams"], command["new"])
        elif command["do"] == "memory":
            answer = {"peak": peak()}
        print(json.dumps(answer), file=answers, flush=True)


def _run(engine: Engine, tokens: list[list[int]], beams: int, new: int) -> dict[str, Any]:
    inputs = engine.inputs(tokens)
    start = time.perf_counter()
    result = engine.generate(inputs, beams, new)
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "tokens": engine.tokens(result, new)}


def take_output() -> TextIO:
    """Standard output for the answers alone: what libraries print goes to standard error."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return answers


def peak() -> float:
    """The high water mark of resident memory, MiB."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    main()
