"""The tables of speech and vision in benchmarks/README.md, made from the rows of results/media.json."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from .media_models import MODELS
from .media_worker import MEDIA
from .table import Row, replace

_OURS = "torchless"
_ANSWERS = {"speech": "text", "logits": "logits", "label": "label", "log-mel": "log-mel", "pixels": "pixels"}

Shape = tuple[str, str, int]


def insert(rows: Iterable[Row]) -> str:
    """Put the tables into the README, in the place of the last ones; returns them."""
    return replace("media", tables(rows))


def tables(rows: Iterable[Row]) -> str:
    """A table per case: a line per cell, a column per contender, and what the fastest peer takes of ours."""
    cells: dict[str, dict[Shape, dict[str, Row]]] = {}
    for row in rows:
        shape = (row["work"], row["input"], row["batch"])
        cells.setdefault(row["case"], {}).setdefault(shape, {})[row["contender"]] = row
    return "\n".join(_table(case, cells[case]) for case in MODELS if case in cells)


def _table(case: str, cells: Mapping[Shape, Mapping[str, Row]]) -> str:
    shown = [name for name in MEDIA.contenders if any(name in cell for cell in cells.values())]
    precisions = sorted({name.split()[1] for name in shown if name.startswith(_OURS)})
    ratios = [f"best {precision} peer / ours" for precision in precisions]
    heads = [MODELS[case], *shown, *ratios]
    lines = [heads, ["---", *["--:"] * (len(heads) - 1)]]
    for (work, given, batch), cell in cells.items():
        name = f"{batch} x {given} to {_ANSWERS[work]}"
        lines.append([name, *[_entry(cell.get(name)) for name in shown], *[_ratio(cell, one) for one in precisions]])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _entry(row: Row | None) -> str:
    if row is None:
        return ""
    speed = f"{row['realtime']:.0f}x · " if "realtime" in row else ""
    each = row["ms"] / row["batch"]
    return f"**{each:.1f}**<br>{speed}{row['peak_mib']} MiB"


def _ratio(cell: Mapping[str, Row], precision: str) -> str:
    """How many times as long the fastest of the peers takes."""
    ours = f"{_OURS} {precision}"
    peers = [row["ms"] for name, row in cell.items() if name.endswith(precision) and name != ours]
    return f"**{min(peers) / cell[ours]['ms']:.2f}**" if peers and ours in cell else ""
