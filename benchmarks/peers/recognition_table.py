"""The tables of recognition in benchmarks/README.md, made from the rows of results/recognition.json."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from .recognition_models import MODELS
from .recognition_worker import RECOGNITION
from .table import OURS, Row, Runs, family, peers_beside, replace

_ANSWERS = {
    "tags": "tags",
    "speech": "text",
    "logits": "logits",
    "label": "label",
    "log-mel": "log-mel",
    "pixels": "pixels",
}

Shape = tuple[str, str, int]


def insert(rows: Iterable[Row]) -> str:
    """Put the tables into the README, in the place of the last ones; returns them."""
    return replace("recognition", tables(rows))


def tables(rows: Iterable[Row]) -> str:
    """A table per case: a line per cell, a column per contender, and what the fastest peer takes of ours."""
    cells: dict[str, dict[Shape, dict[str, Row]]] = {}
    for row in rows:
        shape = (row["work"], row["input"], row["batch"])
        cells.setdefault(row["case"], {}).setdefault(shape, {})[row["contender"]] = row
    return "\n".join(_table(case, cells[case]) for case in MODELS if case in cells)


def _table(case: str, cells: Mapping[Shape, Mapping[str, Row]]) -> str:
    shown = [name for name in RECOGNITION.contenders if any(name in cell for cell in cells.values())]
    runs = Runs(row for cell in cells.values() for row in cell.values())
    ours = [name for name in shown if name.startswith(OURS)]
    ratios = [f"best {family(name)} peer / {name}" for name in ours]
    heads = [MODELS[case], *shown, *ratios]
    lines = [heads, ["---", *["--:"] * (len(heads) - 1)]]
    for (work, given, batch), cell in cells.items():
        name = f"{batch} x {given} to {_ANSWERS[work]}"
        lines.append([name, *[_entry(cell.get(name), runs) for name in shown], *[_ratio(cell, one) for one in ours]])
    return runs.line() + "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _entry(row: Row | None, runs: Runs) -> str:
    if row is None:
        return ""
    speed = f"{row['realtime']:.0f}x · " if "realtime" in row else ""
    each = row["ms"] / row["batch"]
    return f"**{each:.1f}**{runs.mark(row)}<br>{speed}{row['peak_mib']} MiB{_quality(row)}"


def _quality(row: Row) -> str:
    """How well int8 agrees with torch."""
    if family(row["contender"]) != "int8":
        return ""
    if "cosine" in row:
        return f"<br>{row['cosine']:.4f} · {row['same']:.0%}"
    return f"<br>{row['agreement']:.0%}" if "agreement" in row else ""


def _ratio(cell: Mapping[str, Row], ours: str) -> str:
    """How many times as long the fastest of the peers in fp32 or int8 takes."""
    if ours not in cell:
        return ""
    peers = peers_beside(cell, ours, "ms")
    return f"**{min(peers) / cell[ours]['ms']:.2f}**" if peers else ""
