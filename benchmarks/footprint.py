"""Installed size, imports, first answers of every task, and memory of processes side by side, beside the peers.

``python -m benchmarks.footprint`` writes results/footprint.json; ``--quick`` tries everything once, on small models,
and writes nothing; ``--parts`` measures some of it again. Everything runs in fresh processes of the users'
environments, which ``make bench-footprint`` sets up, the engines taking turns. Rows by ``what``:

- ``installed``: MiB of a distribution with all that it needs.
- ``import``: ms, MiB and modules; ours also beside numpy, tokenizers and onnxruntime.
- ``first answer, ENGINE``: seconds from the start of a process to the answer of a task's pipeline, with the most memory
  that it has held until then (``MiB``). ``torchless optimized`` finds graphs that ``torchless optimize`` has kept.
- ``4 processes``: seconds to load, resident memory of one, and the sum of all by proportional set size.
- ``ragged calls``: memory over calls of changing shapes, for options of the session.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from typing import Any

from .footprints import shared, starts
from .footprints.fresh import OURS, PEERS
from .measure import read, write


def main() -> None:
    """Prepare, measure and write, part by part."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=_PARTS, default=list(_PARTS))
    parser.add_argument("--repeats", type=int, default=7, help="turns of each engine; a third of them for processes")
    parser.add_argument("--quick", action="store_true", help="one turn, small models, nothing is written")
    arguments = parser.parse_args()
    for python in (OURS, PEERS):
        if not python.is_file():
            parser.error(f"{python} is missing: make bench-footprint makes the environments")
    if arguments.quick:
        arguments.repeats = 1
    starts.prepare()
    if {"processes", "ragged"} & set(arguments.parts):
        shared.prepare(small=arguments.quick)
    rows: list[dict[str, Any]] = [] if set(arguments.parts) == set(_PARTS) else _others(arguments.parts)
    for part in arguments.parts:
        for row in _PARTS[part](arguments):
            print(row, flush=True)
            rows.append({"part": part, **row})
        if not arguments.quick:
            write("footprint", rows, threads=2)


def _others(parts: list[str]) -> list[dict[str, Any]]:
    """The rows that are there of parts that are not measured now."""
    return [row for row in read("footprint")["rows"] if row.get("part") in set(_PARTS) - set(parts)]


_PARTS: dict[str, Callable[[argparse.Namespace], Iterator[dict[str, Any]]]] = {
    "installed": lambda arguments: starts.sizes(),
    "import": lambda arguments: starts.imports(arguments.repeats),
    "answers": lambda arguments: starts.answers(arguments.repeats),
    "processes": lambda arguments: shared.shared(-(-arguments.repeats // 3), small=arguments.quick),
    "ragged": lambda arguments: shared.ragged(100 if arguments.quick else 1000, small=arguments.quick),
}

if __name__ == "__main__":
    main()
