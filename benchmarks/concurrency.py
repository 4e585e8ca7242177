"""Several callers at once against peers: BERT-base and GPT-2, calls in a second and how long each waits.

``python -m benchmarks.concurrency`` merges its rows into results/concurrency.json and puts the tables into README.md;
``--models bert`` measures one model again, ``--quick`` tries everything on small models and writes nothing, ``--table``
only makes the tables, ``--repeat-check`` measures again, says how far ratios are from those that are written, and
writes nothing. The peers need ``make .venv-peers/ready``; conversions are those of the other suites.

Callers are threads that share one model of two threads, or processes with a model of one thread each. Each has inputs
of its own, calls again as soon as it is answered, and must get the answer that it gets alone. Contenders of a precision
are open side by side and take turns of some seconds. OpenVINO is told how it will be called: it has a request for each
caller and, of several, the hint for throughput, by which it computes each with one thread. Callers share this project's
two threads as :mod:`torchless.callers` says; what users of it, of torch and of Optimum may choose, ``threads=1``, is a
contender of its own.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from .measure import PAUSE_S, merge, read, read_here
from .peers import models
from .peers.concurrency_table import insert
from .peers.concurrency_worker import CONCURRENCY, ONE_THREAD, conversion
from .peers.preparation import converted, prepare
from .peers.process import GENERATION, Suite, Worker
from .peers.recognition_inputs import TOKENS
from .peers.recognition_worker import RECOGNITION
from .peers.table import OURS, family
from .peers.worker import THREADS, families
from .repeat import check

REFERENCE = "torch fp32"
KEYS = ("model", "mode", "callers", "contender")
LEAD_S = 0.2
"""Seconds that callers have to get ready."""


@dataclass(frozen=True)
class Cell:
    """Who calls.

    Attributes:
        mode: ``"threads"`` share a model, ``"processes"`` have one each.
        callers: how many.
    """

    mode: str
    callers: int

    def processes(self, inputs: list[Any]) -> list[list[Any]]:
        """The inputs of each process."""
        return [inputs] if self.mode == "threads" else [[one] for one in inputs]

    def threads(self, contender: str) -> int:
        """Of each of its processes."""
        return 1 if self.mode == "processes" or contender.endswith(ONE_THREAD) else THREADS

    def takes(self, contender: str) -> bool:
        """Whether it differs from the others here: some do where several callers share a model alone."""
        several = self.mode == "threads" and self.callers > 1
        return several or contender == conversion(contender)


@dataclass(frozen=True)
class Case:
    """A model of another suite.

    Attributes:
        suite: whose conversions are used.
        length: tokens of each text.
        new: that are generated; None for an encoder.
    """

    suite: Suite
    length: int
    new: int | None = None

    def inputs(self, model: str, callers: int) -> list[Any]:
        """A batch of one text for each caller, all of them different."""
        allowed = range(100, models.vocabulary(model) - 100) if self.new else TOKENS
        return [[random.Random(caller).choices(allowed, k=self.length)] for caller in range(callers)]


CASES = {"bert": Case(RECOGNITION, 128), "gpt2": Case(GENERATION, 32, 32)}
CALLERS = (1, 2, 4)
QUICK = (2,)


def main(arguments: list[str] | None = None) -> None:
    """Measure and write, cell by cell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--contenders", nargs="+", choices=CONCURRENCY.contenders, default=list(CONCURRENCY.contenders))
    parser.add_argument("--modes", nargs="+", choices=("threads", "processes"), default=("threads", "processes"))
    parser.add_argument("--callers", nargs="+", type=int, default=CALLERS, help="threads; the most, processes")
    parser.add_argument("--turns", type=int, default=3, help="of a contender in a cell")
    parser.add_argument("--seconds", type=float, default=1.5, help="of a turn")
    parser.add_argument(
        "--quick", action="store_true", help="small models, a turn of half a second, nothing is written"
    )
    parser.add_argument("--prepare", action="store_true", help="only export and convert: minutes, measures nothing")
    parser.add_argument("--table", action="store_true", help="only make the tables again")
    parser.add_argument("--repeat-check", action="store_true", help="compare with what is written, write nothing")
    asked = parser.parse_args(arguments)
    if asked.quick:
        asked.turns, asked.seconds, asked.callers = 1, 0.5, QUICK
    again: list[dict[str, Any]] = []
    for model in [] if asked.table else asked.models:
        prepare(model, dict.fromkeys(map(conversion, asked.contenders)), small=asked.quick, suite=CASES[model].suite)
        if not asked.prepare:
            again += measure(model, asked)
    if asked.repeat_check:
        check(read_here("concurrency"), again, KEYS, ("throughput_per_s", "p50_ms"))
    elif not asked.quick and not asked.prepare:
        print(insert(read("concurrency")["rows"]))


def measure(model: str, asked: argparse.Namespace) -> list[dict[str, Any]]:
    """Measure every cell of a model, the contenders of a precision side by side."""
    rows: list[dict[str, Any]] = []
    cells = [Cell("threads", callers) for callers in asked.callers] + [Cell("processes", max(asked.callers))]
    for cell in cells:
        if cell.mode not in asked.modes or cell == Cell("processes", 1):  # alone: a thread's caller is measured
            continue
        several = [name for name in asked.contenders if cell.takes(name)]
        for contenders in families(several, CONCURRENCY.contenders):
            found, versions = measure_cell(model, cell, contenders, asked)
            print(*found, sep="\n", flush=True)
            rows += found
            if not asked.quick and not asked.repeat_check:
                merge("concurrency", found, KEYS, threads=THREADS, environments=versions)
    return rows


def measure_cell(
    model: str, cell: Cell, contenders: Iterable[str], asked: argparse.Namespace
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """A row per contender, and the versions of their environments."""
    case = CASES[model]
    inputs = case.inputs(model, cell.callers)
    with ExitStack() as stack:
        workers: dict[str, list[Worker]] = {}
        versions, answers = {}, {}
        opened: Counter[str] = Counter()  # processes of a conversion, which number their logs
        for contender in contenders:
            shared = conversion(contender)
            workers[contender] = []
            for _ in cell.processes(inputs):
                worker = Worker(
                    contender,
                    *converted(model, shared, small=asked.quick),
                    suite=CONCURRENCY,
                    threads=cell.threads(contender),
                    index=opened[shared],
                )
                workers[contender].append(stack.enter_context(worker))
                opened[shared] += 1
            loaded = [
                one.ask("load", inputs=each, new=case.new)
                for one, each in zip(workers[contender], cell.processes(inputs), strict=True)
            ]
            versions[CONCURRENCY.contenders[contender].engine] = loaded[0]["versions"]
            answers[contender] = [answer for process in loaded for answer in process["answers"]]
        _agree(cell, answers)
        for processes in workers.values():
            _turn(processes, asked.seconds)  # what is opened once callers meet
        turns: dict[str, list[dict[str, Any]]] = {contender: [] for contender in workers}
        for _ in range(asked.turns):
            for contender, processes in workers.items():
                turns[contender].append(_turn(processes, asked.seconds))
        rows = [
            {
                **{"model": model, "contender": contender, **asdict(cell), "threads": cell.threads(contender)},
                "seconds": asked.seconds,
                **_numbers(turns[contender]),
                "peak_mib": round(sum(one.ask("memory")["peak"] for one in processes)),
            }
            for contender, processes in workers.items()
        ]
    for row in rows:
        if row["contender"].startswith(OURS) and not row["same"]:
            raise SystemExit(f"{row['contender']}: a caller got another answer than alone in {cell}")
    return rows, versions


def _turn(processes: list[Worker], seconds: float) -> dict[str, Any]:
    """All call from the same moment on, when the others' threads no longer spin."""
    time.sleep(PAUSE_S)
    start = time.monotonic() + LEAD_S
    for one in processes:
        one.send("run", start=start, seconds=seconds)
    found = [one.receive() for one in processes]
    calls = [call for process in found for call in process["calls"]]
    return {
        "latencies": [latency for latency, _ in calls],
        "throughput": len(calls) / (max(end for _, end in calls) - start),
        "same": all(process["same"] for process in found),
    }


def _numbers(turns: list[dict[str, Any]]) -> dict[str, Any]:
    """Percentiles over the calls of all turns; calls in a second until the last ended, the median of the turns."""
    latencies = [latency for turn in turns for latency in turn["latencies"]]
    return {
        "turns": len(turns),
        "calls": len(latencies),
        "throughput_per_s": round(statistics.median(turn["throughput"] for turn in turns), 2),
        "p50_ms": round(1e3 * float(np.percentile(latencies, 50)), 1),
        "p99_ms": round(1e3 * float(np.percentile(latencies, 99)), 1),
        "same": all(turn["same"] for turn in turns),
    }


def _agree(cell: Cell, answers: Mapping[str, list[Any]]) -> None:
    """Stop where fp32 answers others than torch: logits to 2e-3, and the first tokens."""
    for contender, found in answers.items():
        if family(contender) != "fp32" or REFERENCE not in answers:
            continue
        for one, other in zip(found, answers[REFERENCE], strict=True):
            first, second = np.array(one), np.array(other)
            generated = first.dtype.kind == "i"
            near = (first[:, :4] == second[:, :4]) if generated else np.abs(first - second) <= 2e-3
            if not near.all():
                raise SystemExit(f"{contender} does not answer as torch in {cell}; its time would mean nothing")


if __name__ == "__main__":
    main()
