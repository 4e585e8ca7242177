"""Where the time of encoders goes, operator by operator, with this project and with OpenVINO, in one run.

``python -m benchmarks.operators`` takes BERT-base, ViT-base and Wav2Vec2-base in fp32 and int8, with 1 and 2 threads,
and writes results/operators.json and the section of README.md. ``--models bert`` takes one and leaves the others as
they are written; ``--quick`` tries everything on small models and writes nothing, ``--prepare`` only exports and
converts, ``--table`` only makes the section again. Needs ``make .venv-peers/ready``; some six minutes on a machine that
does nothing else.

Each contender and number of threads is a process of its own with the graph open twice, once with the library's
profiler: ONNX Runtime's events, OpenVINO's counters. In a turn it is called without and then with it, a tenth of a
second each, one call at least. Processes take turns, and numbers are medians: of the turns, with the profiler of calls.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from .measure import PAUSE_S, hardware, merge, read, stamped
from .operating.kinds import speed
from .operating.report import insert, section
from .operating.worker import CONTENDERS, OPERATORS
from .peers.preparation import converted, prepare
from .peers.process import Worker
from .peers.recognition_worker import RECOGNITION
from .peers.worker import families
from .recognition import CASES, Cell

THREADS = (1, 2)
LEAST_S = 0.1
KEYS = ("model", "input", "batch", "contender", "threads")
# The work of each, which is the graph alone where ids or pixels are given, and here with samples too.
MODELS = {"bert": "tags", "vit": "logits", "wav2vec2": "speech"}


def main(arguments: list[str] | None = None) -> None:
    """Measure and write, model by model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--contenders", nargs="+", choices=CONTENDERS, default=list(CONTENDERS))
    parser.add_argument("--repeats", type=int, default=5, help="turns of a process in a cell")
    parser.add_argument("--quick", action="store_true", help="small models, two turns, nothing is written")
    parser.add_argument("--prepare", action="store_true", help="only export and convert: minutes, measures nothing")
    parser.add_argument("--table", action="store_true", help="only make the section again")
    asked = parser.parse_args(arguments)
    rows: list[dict[str, Any]] = []
    for model in [] if asked.table else asked.models:
        prepare(model, asked.contenders, small=asked.quick, suite=RECOGNITION)
        for family in [] if asked.prepare else families(asked.contenders, CONTENDERS):
            rows += measure(model, family, 2 if asked.quick else asked.repeats, small=asked.quick)
    if asked.quick:
        print(section(stamped(rows, {"date": time.strftime("%Y-%m-%d"), "hardware": hardware()})))
    elif not asked.prepare:
        print(insert(read("operators")["rows"]))


def cells(model: str, *, small: bool) -> list[Cell]:
    """What a model is given, as in the recognition benchmark: of sound the first, as the others are only more of it."""
    found = CASES[model].quick if small else CASES[model].cells
    return [cell for cell in found if cell.work == MODELS[model]][: 1 if MODELS[model] == "speech" else None]


def measure(model: str, contenders: Iterable[str], repeats: int, *, small: bool) -> list[dict[str, Any]]:
    """Rows of every cell of a model, whose processes are side by side; each cell is written as it ends."""
    rows: list[dict[str, Any]] = []
    versions: dict[str, Any] = {}
    with ExitStack() as stack:
        workers = {}
        for contender in contenders:
            checkpoint, folder = converted(model, contender, small=small)
            for threads in THREADS:
                one = Worker(contender, checkpoint, folder, OPERATORS, threads=threads, index=threads)
                workers[contender, threads] = stack.enter_context(one)
                versions[CONTENDERS[contender].engine] = one.ask("load")["versions"]
        for cell in cells(model, small=small):
            place = {"model": model, "input": cell.input, "batch": cell.batch}
            found = [{**place, **one} for one in _cell(workers, cell.path(), repeats)]
            print(*found, sep="\n", flush=True)
            rows += found
            if not small:
                merge("operators", found, KEYS, environments=versions)
    return rows


def _cell(workers: Mapping[tuple[str, int], Worker], path: Path, repeats: int) -> list[dict[str, Any]]:
    """A row for each process."""
    for one in workers.values():
        one.ask("open", inputs=str(path))
    seconds: dict[tuple[str, int], list[float]] = {key: [] for key in workers}
    for _ in range(repeats):
        for key, one in workers.items():
            time.sleep(PAUSE_S / 3)  # until the last one's threads no longer spin
            seconds[key].append(one.ask("turn", least=LEAST_S)["seconds"])
    return [row(*key, seconds[key], one.ask("close")["calls"]) for key, one in workers.items()]


def row(contender: str, threads: int, seconds: list[float], calls: list[dict[str, dict[str, float]]]) -> dict[str, Any]:
    """What is written of a process in a cell.

    Args:
        contender: its name.
        threads: that it computed with.
        seconds: of a call without profiler, in each turn.
        calls: with it, of each what :func:`.operating.kinds.summed` made of it.

    Returns:
        ``"kinds"``: milliseconds by kind; ``"between"``: what is left of ``"ms"``, waiting and starting of operators;
        ``"products"``: milliseconds by the shape of the weights; ``"gops"``: 1e9 operations in a second, by shape, and
        of all products as ``"all"``.
    """
    ms = 1e3 * statistics.median(seconds)
    kinds, products, operations = (
        {name: statistics.median(call[part][name] for call in calls) for name in calls[-1][part]}
        for part in ("kinds", "products", "operations")
    )
    gops = {shape: speed({shape: operations[shape]}, {shape: products[shape]}) for shape in products}
    return {
        **{"contender": contender, "threads": threads, "turns": len(seconds), "ms": round(ms, 3)},
        "kinds": {kind: round(found, 3) for kind, found in kinds.items() if found},
        "between": round(ms - sum(kinds.values()), 3),
        "products": {shape: round(found, 3) for shape, found in products.items()},
        "gops": {shape: round(found, 1) for shape, found in {**gops, "all": speed(operations, products)}.items()},
    }


if __name__ == "__main__":
    main()
