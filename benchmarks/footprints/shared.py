"""Memory of several processes on one model, and of one process over calls of changing shapes.

Memory is the sum of the processes' proportional set sizes (PSS): a page that several of them use counts once.
"""

from __future__ import annotations

import os
import statistics
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..peers import preparation
from ..peers.process import GENERATION, Suite, Worker
from ..peers.recognition_inputs import TOKENS
from ..peers.recognition_worker import RECOGNITION
from .fresh import EMPTY, OURS, medians, run
from .starts import FOLDER, OPTIMIZED, keep_optimized

PROCESSES = 4
NEW_TOKENS = 8
_LENGTH = 32
# Options of a session that could hold memory back.
_OPTIONS: dict[str, dict[str, bool]] = {
    "default": {},
    "a plan for each shape": {"enable_mem_pattern": True},
    "no arena": {"enable_cpu_mem_arena": False},
}


@dataclass(frozen=True)
class Model:
    """A model of real size, the suite that has it, and its contenders without the precision."""

    name: str
    suite: Suite
    engines: tuple[str, ...]

    def contenders(self) -> list[str]:
        """Engines that have a precision, ours with the optimized graphs as well."""
        names = [f"{engine} {precision}" for precision in ("fp32", "int8") for engine in self.engines]
        found = [name for name in names if name in self.suite.contenders]
        return [*found, *(f"{name} optimized" for name in found if name.startswith("torchless"))]


MODELS = (
    Model("gpt2", GENERATION, ("torchless", "torch", "optimum")),
    Model("bert", RECOGNITION, ("torchless", "torch", "optimum")),
)


def prepare(*, small: bool) -> None:
    """Export and convert what is missing, and keep optimized graphs of ours."""
    for model in MODELS:
        contenders = [name for name in model.contenders() if not name.endswith("optimized")]
        preparation.prepare(model.name, contenders, small=small, suite=model.suite)
        for contender in contenders:
            if contender.startswith("torchless"):
                _, folder = preparation.converted(model.name, contender, small=small)
                FOLDER.mkdir(parents=True, exist_ok=True)
                keep_optimized([str(folder)], OPTIMIZED, Path(sys.executable), contender.split()[1])


def shared(repeats: int, *, small: bool) -> Iterator[dict[str, Any]]:
    """A row for each model and contender: seconds to load, and memory of the processes when all have answered."""
    for model in MODELS:
        found: dict[str, list[dict[str, float]]] = {name: [] for name in model.contenders()}
        for _ in range(repeats):
            for contender, results in found.items():
                results.append(_together(model, contender, small=small))
        for contender, results in found.items():
            row = {"what": f"{PROCESSES} processes", "model": model.name, "engine": contender}
            yield {**row, "processes": PROCESSES, **medians(results, 2)}


def _together(model: Model, contender: str, *, small: bool) -> dict[str, float]:
    """Processes that are started one after the other, and then held."""
    cache = OPTIMIZED if contender.endswith("optimized") else EMPTY
    name = contender.removesuffix(" optimized")
    places = preparation.converted(model.name, name, small=small)
    with ExitStack() as stack, _optimized_graphs(cache):
        processes = []
        seconds = []
        for index in range(PROCESSES):
            worker = stack.enter_context(Worker(name, *places, suite=model.suite, index=index))
            seconds.append(worker.ask("load")["seconds"])
            _answer(worker, model)
            processes.append(worker)
        return {
            "load_s": statistics.median(seconds),
            "one_mib": _memory(processes[0].pid, "Rss"),
            "all_pss_mib": sum(_memory(worker.pid, "Pss") for worker in processes),
        }


def _answer(worker: Worker, model: Model) -> None:
    """One call, so that everything that a call needs is there."""
    if model.suite is GENERATION:
        worker.ask("run", tokens=[list(range(TOKENS.start, TOKENS.start + _LENGTH))], beams=1, new=NEW_TOKENS)
    else:
        worker.ask("run", work="tags", inputs=str(_texts()), least=0)


def _texts() -> Path:
    from ..peers import recognition_inputs

    path = preparation.FOLDER / "recognition-inputs" / f"tags-{_LENGTH}-1.npy"
    if not path.is_file():
        recognition_inputs.write("tags", 1, _LENGTH, path)
    return path


@contextmanager
def _optimized_graphs(cache: Path) -> Iterator[None]:
    """Processes that are started meanwhile look for optimized graphs there."""
    before = os.environ.get("TORCHLESS_CACHE")
    os.environ["TORCHLESS_CACHE"] = str(cache)
    try:
        yield
    finally:
        os.environ.pop("TORCHLESS_CACHE")
        if before is not None:
            os.environ["TORCHLESS_CACHE"] = before


def _memory(process: int, kind: str) -> float:
    """MiB of a process: ``Rss``, all that is resident, or ``Pss``, pages divided by the processes that use them."""
    lines = Path(f"/proc/{process}/smaps_rollup").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{kind}:"))


def ragged(calls: int, *, small: bool) -> Iterator[dict[str, Any]]:
    """A row for each choice of options: resident memory over calls of 1 to 4 texts of 4 to 128 tokens, BERT in int8."""
    _, folder = preparation.converted("bert", "torchless int8", small=small)
    for name, options in _OPTIONS.items():
        command = {"do": "ragged", "folder": str(folder), "dtype": "int8", "options": options, "calls": calls}
        yield {"what": "ragged calls", "options": name, "calls": calls, **medians([run(OURS, command)], 1)}
