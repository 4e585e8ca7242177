"""Generation against its peers: real sizes with random weights, greedy and 4 beams, 64 new tokens, 2 threads.

``python -m benchmarks.generation`` merges its rows into results/generation.json and puts the table into README.md;
``--models gpt2`` measures one model again, ``--quick`` tries everything on small models and writes nothing,
``--table`` only makes the table. The peers need ``make .venv-peers/ready``.

Every contender is a process of its own. In a cell they take turns; a turn is one new token and then 64, so that a step
is (t64 - t1) / 63, and the prefill, an encoder included, is t1. Token ids are compared with torch's.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import Any

from .measure import PAUSE_S, merge, read
from .peers import models, worker
from .peers.preparation import converted, prepare
from .peers.process import Worker
from .peers.table import insert

REFERENCE = "torch fp32"
AGREEING = 4  # tokens that greedy search in fp32 must share with torch; later, near ties may part
WARMUP = 4  # tokens


@dataclass(frozen=True)
class Cell:
    """What is generated: prompts of equal length in one batch."""

    batch: int
    input: int
    beams: int
    new: int = 64

    def prompts(self, vocabulary: int) -> list[list[int]]:
        """Random ordinary tokens, the same for every contender."""
        rng = random.Random(f"{self.batch} {self.input}")
        return [[rng.randrange(100, vocabulary - 100) for _ in range(self.input)] for _ in range(self.batch)]


# From small to large, as the memory of a row is the most that its process has held until then.
CELLS = [Cell(batch, length, beams) for length in (32, 512) for batch in (1, 4) for beams in (1, 4)]
QUICK = [Cell(batch, 16, beams, new=8) for batch in (1, 4) for beams in (1, 4)]


def main() -> None:
    """Measure and write, cell by cell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=models.MODELS, default=list(models.MODELS))
    parser.add_argument("--contenders", nargs="+", choices=worker.CONTENDERS, default=list(worker.CONTENDERS))
    parser.add_argument("--repeats", type=int, default=5, help="turns of a contender in a cell, at most")
    parser.add_argument(
        "--budget", type=float, default=20, help="seconds for a cell, twice that before its second turn"
    )
    parser.add_argument("--quick", action="store_true", help="small models, nothing is written")
    parser.add_argument("--prepare", action="store_true", help="only export and convert: minutes, measures nothing")
    parser.add_argument("--table", action="store_true", help="only make the table again")
    arguments = parser.parse_args()
    for model in [] if arguments.table else arguments.models:
        prepare(model, arguments.contenders, small=arguments.quick)
        if not arguments.prepare:
            measure(model, arguments)
    if not arguments.quick and not arguments.prepare:
        print(insert(read("generation")["rows"]))


def measure(model: str, arguments: argparse.Namespace) -> None:
    """Measure every cell of a model, its contenders' processes side by side."""
    with ExitStack() as stack:
        workers, versions = {}, {}
        for contender in arguments.contenders:
            one = Worker(contender, *converted(model, contender, small=arguments.quick))
            workers[contender] = stack.enter_context(one)
            versions[worker.CONTENDERS[contender].engine] = one.ask("load")["versions"]
        for cell in QUICK if arguments.quick else CELLS:
            rows = measure_cell(model, cell, workers, arguments.repeats, arguments.budget)
            print(*rows, sep="\n", flush=True)
            if not arguments.quick:
                keys = ("model", "contender", "batch", "input", "beams")
                merge("generation", rows, keys, threads=worker.THREADS, new_tokens=cell.new, environments=versions)


def measure_cell(
    model: str, cell: Cell, workers: Mapping[str, Worker], repeats: int, budget: float
) -> list[dict[str, Any]]:
    """A row per contender: medians over its turns."""
    prompts = cell.prompts(models.vocabulary(model))
    for one in workers.values():
        _run(one, prompts, cell.beams, WARMUP)
    times: dict[str, list[tuple[float, float]]] = {contender: [] for contender in workers}
    tokens: dict[str, list[list[int]]] = {}
    start = time.perf_counter()
    for turn in range(repeats):
        if turn and time.perf_counter() - start > (budget if turn > 1 else 2 * budget):
            break
        for contender, one in workers.items():
            first, _ = _run(one, prompts, cell.beams, 1)
            whole, tokens[contender] = _run(one, prompts, cell.beams, cell.new)
            times[contender].append((first, whole))
    return [
        {
            **{"model": model, "contender": contender, **asdict(cell)},
            **_medians(cell, times[contender]),
            "peak_mib": round(one.ask("memory")["peak"]),
            "agreement": _agreement(contender, cell, tokens),
        }
        for contender, one in workers.items()
    ]


def _run(one: Worker, prompts: list[list[int]], beams: int, new: int) -> tuple[float, list[list[int]]]:
    """Seconds and token ids, when the others' threads no longer spin."""
    time.sleep(PAUSE_S)
    answer = one.ask("run", tokens=prompts, beams=beams, new=new)
    if any(len(row) != new for row in answer["tokens"]):
        raise SystemExit(f"{one.contender} gave {[len(row) for row in answer['tokens']]} tokens instead of {new}")
    return answer["seconds"], answer["tokens"]


def _medians(cell: Cell, times: list[tuple[float, float]]) -> dict[str, float]:
    steps = [(whole - first) / (cell.new - 1) for first, whole in times]
    return {
        "turns": len(times),
        "prefill_ms": round(1e3 * statistics.median(first for first, _ in times), 1),
        "step_ms": round(1e3 * statistics.median(steps), 2),
        "tokens_per_s": round(cell.batch * cell.new / statistics.median(whole for _, whole in times), 1),
    }


def _agreement(contender: str, cell: Cell, tokens: Mapping[str, list[list[int]]]) -> int | None:
    """Tokens at the start that are torch's, in the row that has fewest; None where torch was left out."""
    if REFERENCE not in tokens:
        return None
    common = min(
        next((index for index, (one, other) in enumerate(zip(*rows, strict=True)) if one != other), cell.new)
        for rows in zip(tokens[contender], tokens[REFERENCE], strict=True)
    )
    if contender.endswith("fp32") and cell.beams == 1 and common < min(AGREEING, cell.new):
        raise SystemExit(f"{contender} agrees with torch in {common} tokens of {cell}; its time would mean nothing")
    return common


if __name__ == "__main__":
    main()
