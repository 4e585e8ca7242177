"""Generation against its peers: real sizes with random weights, greedy and 4 beams, 64 new tokens, 2 threads.

``python -m benchmarks.generation`` merges its rows into results/generation.json and puts the table into README.md;
``--models gpt2`` measures one model again, ``--quick`` tries everything on small models and writes nothing,
``--table`` only makes the table, ``--repeat-check`` measures again and says how far ratios are from those that are
written, and writes nothing. The peers need ``make .venv-peers/ready .venv-genai/ready``.

Every contender is a process of its own. Those of a precision run side by side, and take turns in a cell. A turn is one
new token, several times where that is short, and then 64, so that a step is (t64 - t1) / 63, and the prefill, an
encoder included, is t1. Token ids are compared with torch's, which stay in build/benchmarks for later runs: "torch
fp32" beside other precisions alone gives those that are missing, and rows of it are neither measured nor written.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import Any

from .measure import PAUSE_S, merge, read, read_here
from .peers import models, worker
from .peers.preparation import converted, prepare
from .peers.process import Worker
from .peers.reference import CONTENDER as REFERENCE
from .peers.reference import Reference, Tokens
from .peers.table import OURS, insert
from .repeat import check

AGREEING = 4  # tokens that greedy search in fp32 must share with torch; later, near ties may part
WARMUP = 4  # tokens
# A turn asks for the first token until so much is spent. A call after a pause that is shorter only warms up.
FIRST_S = 0.3
FIRST_CALLS = 5
KEYS = ("model", "contender", "batch", "input", "beams")


class EndedEarlyError(Exception):
    """A contender gave fewer tokens than it was asked for."""


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

    def name(self) -> str:
        """As in the tables: input x batch x beams."""
        return f"{self.input}x{self.batch}x{self.beams}"


@dataclass(frozen=True)
class Turn:
    """Seconds that a contender took: up to the first token, in each of several calls, and for all tokens."""

    first: tuple[float, ...]
    whole: float

    @property
    def first_s(self) -> float:
        """The median."""
        return statistics.median(self.first)


# From small to large, as the memory of a row is the most that its process has held until then.
CELLS = [Cell(batch, length, beams) for length in (32, 512) for batch in (1, 4) for beams in (1, 4)]
QUICK = [Cell(batch, 16, beams, new=8) for batch in (1, 4) for beams in (1, 4)]
# Where some peers keep logits of the whole vocabulary for every position of every beam: 5 GB each.
WITHOUT = {"qwen2": ("512x4x4",)}


def main(arguments: list[str] | None = None) -> None:
    """Measure and write, cell by cell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=models.MODELS, default=list(models.MODELS))
    parser.add_argument("--contenders", nargs="+", choices=worker.CONTENDERS, default=list(worker.CONTENDERS))
    parser.add_argument("--cells", nargs="+", choices=[cell.name() for cell in CELLS], help="input x batch x beams")
    parser.add_argument("--repeats", type=int, default=5, help="turns of a contender in a cell, at most")
    parser.add_argument(
        "--budget", type=float, default=20, help="seconds for a cell, twice that before its second turn"
    )
    parser.add_argument("--quick", action="store_true", help="small models, nothing is written")
    parser.add_argument("--prepare", action="store_true", help="only export and convert: minutes, measures nothing")
    parser.add_argument("--table", action="store_true", help="only make the table again")
    parser.add_argument("--repeat-check", action="store_true", help="compare with what is written, write nothing")
    asked = parser.parse_args(arguments)
    again: list[dict[str, Any]] = []
    for model in [] if asked.table else asked.models:
        contenders = [name for name in asked.contenders if worker.CONTENDERS[name].can(model)]
        prepare(model, contenders, small=asked.quick)
        if not asked.prepare:
            again += measure(model, contenders, asked)
    if asked.repeat_check:
        check(read_here("generation"), again, KEYS, ("step_ms", "prefill_ms"))
    elif not asked.quick and not asked.prepare:
        print(insert(read("generation")["rows"]))


def measure(model: str, contenders: Iterable[str], asked: argparse.Namespace) -> list[dict[str, Any]]:
    """Measure every cell of a model, family by family: a table compares no others, and all would not fit in memory."""
    rows: list[dict[str, Any]] = []
    cells = QUICK if asked.quick else _cells(model, asked.cells)
    reference = Reference(model, small=asked.quick)
    found = worker.families(contenders, worker.CONTENDERS)
    for family in sorted(found, key=lambda names: REFERENCE not in names):
        if family == [REFERENCE]:
            _complete(model, cells, reference, small=asked.quick)
        else:
            rows += _measure_family(model, family, cells, reference, asked)
    return rows


def _complete(model: str, cells: Iterable[Cell], reference: Reference, *, small: bool) -> None:
    """Have torch give the tokens that are not kept yet: without others to compare with, its times are of no use."""
    prompts = {cell: cell.prompts(models.vocabulary(model)) for cell in cells}
    missing = [cell for cell in prompts if reference.tokens(str(cell), prompts[cell]) is None]
    if not missing:
        return
    with Worker(REFERENCE, *converted(model, REFERENCE, small=small)) as torch:
        torch.ask("load")
        for cell in missing:
            _, tokens = _run(torch, prompts[cell], cell.beams, cell.new)
            reference.keep(str(cell), prompts[cell], tokens)


def _measure_family(
    model: str, family: Iterable[str], cells: Iterable[Cell], reference: Reference, asked: argparse.Namespace
) -> list[dict[str, Any]]:
    """Their processes side by side."""
    rows: list[dict[str, Any]] = []
    with ExitStack() as stack:
        workers, versions = {}, {}
        for contender in family:
            one = Worker(contender, *converted(model, contender, small=asked.quick))
            workers[contender] = stack.enter_context(one)
            versions[worker.CONTENDERS[contender].engine] = one.ask("load")["versions"]
        for cell in cells:
            found = measure_cell(model, cell, workers, reference, asked.repeats, asked.budget)
            print(*found, sep="\n", flush=True)
            rows += found
            if not asked.quick and not asked.repeat_check:
                merge("generation", found, KEYS, threads=worker.THREADS, new_tokens=cell.new, environments=versions)
    return rows


def _cells(model: str, names: Iterable[str] | None) -> list[Cell]:
    wanted = {cell.name() for cell in CELLS} if names is None else set(names)
    return [cell for cell in CELLS if cell.name() in wanted.difference(WITHOUT.get(model, ()))]


def measure_cell(
    model: str, cell: Cell, workers: Mapping[str, Worker], reference: Reference, repeats: int, budget: float
) -> list[dict[str, Any]]:
    """A row per contender: medians over its turns. A peer that ends too early is left out, with a message."""
    prompts = cell.prompts(models.vocabulary(model))
    able = dict(workers)
    for contender, one in workers.items():
        time.sleep(PAUSE_S)
        # What compiles goes on as caches grow.
        _run(one, prompts, cell.beams, cell.new if contender.startswith("torch-compile") else WARMUP)
    turns: dict[str, list[Turn]] = {contender: [] for contender in workers}
    tokens: dict[str, Tokens] = {}
    start = time.perf_counter()
    for number in range(repeats):
        if number and time.perf_counter() - start > (budget if number > 1 else 2 * budget):
            break
        for contender, one in list(able.items()):
            try:
                turn, tokens[contender] = _turn(one, prompts, cell)
            except EndedEarlyError as error:
                if contender == REFERENCE or contender.startswith(OURS):
                    raise SystemExit(str(error)) from error
                print(f"{model} {cell.name()}: {error}, and is left out", flush=True)
                del able[contender]
            else:
                turns[contender].append(turn)
    if REFERENCE in tokens:
        reference.keep(str(cell), prompts, tokens[REFERENCE])
    return [
        {
            **{"model": model, "contender": contender, **asdict(cell)},
            **_medians(cell, turns[contender]),
            "peak_mib": round(one.ask("memory")["peak"]),
            "agreement": _agreement(contender, cell, tokens[contender], reference.tokens(str(cell), prompts)),
        }
        for contender, one in able.items()
    ]


def _turn(one: Worker, prompts: Tokens, cell: Cell) -> tuple[Turn, Tokens]:
    """The first token, as often as there is time for it, and then all of them, with those that came."""
    time.sleep(PAUSE_S)  # until the others' threads no longer spin
    seconds, _ = _run(one, prompts, cell.beams, 1)
    first = [seconds] if seconds >= FIRST_S else []
    while sum(first) < FIRST_S and len(first) < FIRST_CALLS:
        first.append(_run(one, prompts, cell.beams, 1)[0])
    whole, tokens = _run(one, prompts, cell.beams, cell.new)
    return Turn(tuple(first), whole), tokens


def _run(one: Worker, prompts: Tokens, beams: int, new: int) -> tuple[float, Tokens]:
    """Seconds and token ids."""
    answer = one.ask("run", tokens=prompts, beams=beams, new=new)
    if any(len(row) != new for row in answer["tokens"]):
        raise EndedEarlyError(f"{one.contender} gave {[len(row) for row in answer['tokens']]} tokens instead of {new}")
    return answer["seconds"], answer["tokens"]


def _medians(cell: Cell, turns: Sequence[Turn]) -> dict[str, float]:
    steps = [(turn.whole - turn.first_s) / (cell.new - 1) for turn in turns]
    return {
        "turns": len(turns),
        "prefill_calls": sum(len(turn.first) for turn in turns),
        "prefill_ms": round(1e3 * statistics.median(turn.first_s for turn in turns), 1),
        "step_ms": round(1e3 * statistics.median(steps), 2),
        "tokens_per_s": round(cell.batch * cell.new / statistics.median(turn.whole for turn in turns), 1),
    }


def _agreement(contender: str, cell: Cell, tokens: Tokens, reference: Tokens | None) -> int | None:
    """Tokens at the start that are torch's, in the row that has fewest; None where torch never gave any."""
    if reference is None:
        return None
    common = min(
        next((index for index, (one, other) in enumerate(zip(*rows, strict=True)) if one != other), cell.new)
        for rows in zip(tokens, reference, strict=True)
    )
    if contender.endswith("fp32") and cell.beams == 1 and common < min(AGREEING, cell.new):
        raise SystemExit(f"{contender} agrees with torch in {common} tokens of {cell}; its time would mean nothing")
    return common


if __name__ == "__main__":
    main()
