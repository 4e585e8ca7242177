"""The tables of generation in benchmarks/README.md, made from the rows of results/generation.json."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from .models import MODELS
from .worker import CONTENDERS, FAMILIES

README = Path(__file__).parents[1] / "README.md"
OURS = "torchless "

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
    """A table per model and family: a line per cell, a column per contender, and what peers take of ours."""
    cells: dict[tuple[str, str], dict[Shape, dict[str, Row]]] = {}
    for row in rows:
        shape = (row["input"], row["batch"], row["beams"])
        place = (row["model"], family(row["contender"]))
        cells.setdefault(place, {}).setdefault(shape, {})[row["contender"]] = row
    names = dict.fromkeys(family(name) for name in CONTENDERS)
    return "\n".join(_table(*place, cells[place]) for model in MODELS for place in _places(model, names, cells))


def _places(model: str, names: Iterable[str], cells: Mapping[tuple[str, str], Any]) -> list[tuple[str, str]]:
    return [(model, name) for name in names if (model, name) in cells]


def family(contender: str) -> str:
    """The contenders that one competes with, by its name: fp32, int8 of whichever kind, or 4 bits."""
    precision = contender.split()[1]
    return FAMILIES.get(precision, precision)


class Runs:
    """On which machines and days the rows of a table were measured; a number for each, where there are several."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self._numbers: dict[tuple[str, str], int] = {}
        for row in rows:
            self._numbers.setdefault((row["machine"], row["date"]), len(self._numbers) + 1)

    def line(self) -> str:
        """What stands above the table."""
        if len(self._numbers) == 1:
            (((machine, date), _),) = self._numbers.items()
            return f"Measured on {machine}, {date}:\n\n"
        several = "; ".join(f"{number} {machine}, {date}" for (machine, date), number in self._numbers.items())
        return f"Measured on several machines or days, and ratios are within one: {several}:\n\n"

    def mark(self, row: Row) -> str:
        """What stands beside an entry."""
        return f" <sup>{self._numbers[row['machine'], row['date']]}</sup>" if len(self._numbers) > 1 else ""


def same_run(row: Row, other: Row) -> bool:
    """Whether a ratio of the two means something: one machine, one day."""
    return (row["machine"], row["date"]) == (other["machine"], other["date"])


def peers_beside(cell: Mapping[str, Row], ours: str, key: str) -> list[float]:
    """A number of each peer that was measured with ``ours``, in a precision of the same family."""
    return [
        row[key]
        for name, row in cell.items()
        if family(name) == family(ours) and not name.startswith(OURS) and same_run(row, cell[ours])
    ]


def _table(model: str, kind: str, cells: Mapping[Shape, Mapping[str, Row]]) -> str:
    runs = Runs(row for cell in cells.values() for row in cell.values())
    shown = [name for name in CONTENDERS if any(name in cell for cell in cells.values())]
    ours = next((name for name in shown if name.startswith(OURS)), "")
    rivals = [name for name in shown if not name.startswith(OURS)]
    heads = [f"{MODELS[model]}, {kind}<br>input x batch x beams", *shown]
    if rivals and ours:
        heads += [f"best peer / {ours}", *(f"{name} / ours" for name in rivals if kind != "fp32")]
    lines = [heads, ["---", *["--:"] * (len(heads) - 1)]]
    for (length, batch, beams), cell in sorted(cells.items()):
        compared = [rivals, *([name] for name in rivals if kind != "fp32")] if rivals and ours else []
        entries = [_entry(cell.get(name), runs) for name in shown]
        lines.append([f"{length} x {batch} x {beams}", *entries, *[_ratio(cell, names, ours) for names in compared]])
    return runs.line() + "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _entry(row: Row | None, runs: Runs) -> str:
    if row is None:
        return ""
    return (
        f"**{row['step_ms']:.1f}** · {row['prefill_ms']:.0f}{runs.mark(row)}<br>"
        f"{row['tokens_per_s']:.0f}/s · {row['peak_mib']} MiB{_quality(row)}"
    )  # fmt: skip


def _quality(row: Row) -> str:
    """Tokens at the start that are torch's, where weights are quantized."""
    told = row["agreement"] is not None and not row["contender"].endswith("fp32")
    return f"<br>{row['agreement']} of {row['new']} same" if told else ""


def _ratio(cell: Mapping[str, Row], peers: Iterable[str], ours: str) -> str:
    """How many times as long the fastest of the peers takes for a step, and for the prefill."""
    if ours not in cell:
        return ""
    present = [cell[name] for name in peers if name in cell and same_run(cell[name], cell[ours])]
    if not present:
        return ""
    step, prefill = (min(row[key] for row in present) / cell[ours][key] for key in ("step_ms", "prefill_ms"))
    return f"**{step:.2f}** · {prefill:.2f}"
