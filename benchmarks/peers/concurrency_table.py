"""The tables of several callers in benchmarks/README.md, made from the rows of results/concurrency.json."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from .concurrency_worker import CONCURRENCY
from .models import MODELS as GENERATING
from .recognition_models import MODELS as RECOGNIZING
from .table import OURS, Row, Runs, family, peers_beside, replace

_MODELS = {"bert": RECOGNIZING["bert"], "gpt2": GENERATING["gpt2"]}


def insert(rows: Iterable[Row]) -> str:
    """Put the tables into the README, in the place of the last ones; returns them."""
    return replace("concurrency", tables(rows))


def tables(rows: Iterable[Row]) -> str:
    """A table per model: a line per number of callers, a column per contender, and our calls beside the best peer's."""
    cells: dict[str, dict[tuple[str, int], dict[str, Row]]] = {}
    for row in rows:
        place = (row["mode"], row["callers"])
        cells.setdefault(row["model"], {}).setdefault(place, {})[row["contender"]] = row
    return "\n".join(_table(model, cells[model]) for model in _MODELS if model in cells)


def _table(model: str, cells: Mapping[tuple[str, int], Mapping[str, Row]]) -> str:
    runs = Runs(row for cell in cells.values() for row in cell.values())
    shown = [name for name in CONCURRENCY.contenders if any(name in cell for cell in cells.values())]
    ours = [name for name in shown if name.startswith(OURS)]
    heads = [_MODELS[model], *shown, *(f"{name} / best {family(name)} peer" for name in ours)]
    lines = [heads, ["---", *["--:"] * (len(heads) - 1)]]
    for (mode, callers), cell in sorted(cells.items(), key=lambda item: (item[0][0] == "processes", item[0][1])):
        entries = [_entry(cell.get(name), runs) for name in shown]
        lines.append([f"{callers} {mode}", *entries, *[_ratio(cell, name) for name in ours]])
    return runs.line() + "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _entry(row: Row | None, runs: Runs) -> str:
    if row is None:
        return ""
    wrong = "" if row["same"] else "<br>not the answers of a call alone"
    return (
        f"**{row['throughput_per_s']:.1f}/s**{runs.mark(row)}<br>"
        f"{row['p50_ms']:.0f} · {row['p99_ms']:.0f} ms<br>{row['peak_mib']} MiB{wrong}"
    )


def _ratio(cell: Mapping[str, Row], ours: str) -> str:
    """How many times the calls of the best peer of the same precision, in a second."""
    if ours not in cell:
        return ""
    peers = peers_beside(cell, ours, "throughput_per_s")
    return f"**{cell[ours]['throughput_per_s'] / max(peers):.2f}**" if peers else ""
