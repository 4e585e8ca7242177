"""The table of generation in benchmarks/README.md, made from the rows of results/generation.json."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from .models import MODELS
from .worker import CONTENDERS

README = Path(__file__).parents[1] / "README.md"

Row = Mapping[str, Any]
Shape = tuple[int, int, int]


def insert(rows: Iterable[Row]) -> str:
    """Put the tables into the README, in the place of the last ones; returns them."""
    return replace("generation", tables(rows))


def replace(name: str, content: str) -> str:
    """Put a text between the marks ``<!-- name -->`` and ``<!-- /name -->`` of the README; returns it."""
    start, end = f"<!-- {name} -->\n", f"<!-- /{name} -->\n"
    text = README.read_text(encoding="utf-8")
    before, _, rest = text.partition(start)
    _, _, after = rest.partition(end)
    README.write_text(f"{before}{start}\n{content}\n{end}{after}", encoding="utf-8")
    return content


def tables(rows: Iterable[Row]) -> str:
    """A table per model: a line per cell, a column per contender, and what the fastest peers take of ours."""
    cells: dict[str, dict[Shape, dict[str, Row]]] = {}
    for row in rows:
        shape = (row["input"], row["batch"], row["beams"])
        cells.setdefault(row["model"], {}).setdefault(shape, {})[row["contender"]] = row
    return "\n".join(_table(model, cells[model]) for model in MODELS if model in cells)


def _table(model: str, cells: Mapping[Shape, Mapping[str, Row]]) -> str:
    shown = [name for name in CONTENDERS if any(name in cell for cell in cells.values())]
    rivals = [name for name in shown if name.endswith("int8") and not name.startswith("torchless")]
    heads = [
        f"{MODELS[model]}<br>input x batch x beams",
        *shown,
        "best fp32 peer / ours",
        *(f"{name} / ours" for name in rivals),
    ]
    lines = [heads, ["---", *["--:"] * (len(heads) - 1)]]
    for (length, batch, beams), cell in sorted(cells.items()):
        peers = [name for name in cell if name.endswith("fp32") and not name.startswith("torchless")]
        ratios = [_ratio(cell, peers, "torchless fp32"), *[_ratio(cell, [name], "torchless int8") for name in rivals]]
        lines.append([f"{length} x {batch} x {beams}", *[_entry(cell.get(name)) for name in shown], *ratios])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _entry(row: Row | None) -> str:
    if row is None:
        return ""
    return (
        f"**{row['step_ms']:.1f}** · {row['prefill_ms']:.0f}<br>"
        f"{row['tokens_per_s']:.0f}/s · {row['peak_mib']} MiB{_quality(row)}"
    )  # fmt: skip


def _quality(row: Row) -> str:
    """Tokens at the start that are torch's, where weights are quantized."""
    told = row["agreement"] is not None and not row["contender"].endswith("fp32")
    return f"<br>{row['agreement']} of {row['new']} same" if told else ""


def _ratio(cell: Mapping[str, Row], peers: Iterable[str], ours: str) -> str:
    """How many times as long the fastest of the peers takes for a step, and for the prefill."""
    present = [name for name in peers if name in cell]
    if not present or ours not in cell:
        return ""
    step, prefill = (min(cell[name][key] for name in present) / cell[ours][key] for key in ("step_ms", "prefill_ms"))
    return f"**{step:.2f}** · {prefill:.2f}"
