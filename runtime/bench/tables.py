"""A benchmark's result as tables: for a terminal, in Markdown, and as comma-separated values."""

from __future__ import annotations

import csv
import io
import math
import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from .names import FIELDS, KNOWN, METRICS, Measured, described, differing, found, measured, number, pixels
from .names import quantity as quantity_of
from .names import value as value_of
from .result import Result, Row, Summary

WIDTH = 120
"""Characters that a terminal's line has at the most."""

LEGEND = "medians, ± to the further end of their 95 % interval; p90 and p99 of ms/call; vs: times as fast as"

_FACTS = {
    "processor": "{}", "features": "with {}", "cpus": "{} CPUs", "cpus_allowed": "{} of them allowed",
    "memory_mib": "{} MiB", "memory_available_mib": "{} MiB available", "system": "{}", "load": "load {}", "gpus": "{}",
}  # fmt: skip
_HEADING = ("processor", "cpus", "cpus_allowed", "memory_mib", "system", "load", "gpus")

# What a narrow table goes without, the last first.
_DISPENSABLE = (
    "p90", "tokens_per_s", "peak_mib", "p99", "cpu_per_call_ms", "resident_mib", "import_ms", "bundle_mib",
)  # fmt: skip


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        name: of the field, metric or value.
        heading: over it.
        cells: its texts.
        sort: what it is sorted by: numbers where there are, texts otherwise.
    """

    name: str
    heading: str
    cells: tuple[str, ...]
    sort: tuple[float | str, ...]

    @property
    def numeric(self) -> bool:
        """Whether it holds numbers, which stand to the right."""
        return not any(isinstance(entry, str) for entry in self.sort)


def columns(rows: Sequence[Measured]) -> list[Column]:
    """All columns of a table of the rows: what differs between them, and what was measured."""
    if not rows:
        return []
    shown = [field for field in FIELDS if field.name == "dtype" or field in differing(rows)]
    made = [_column(field.name, field.heading, [getattr(row, field.name, None) for row in rows]) for field in shown]
    for name in found(rows):
        heading = quantity_of(name).heading
        medians = tuple(value_of(row, name) for row in rows)
        made.append(Column(name, heading, tuple(measured(row, name) for row in rows), medians))
        if name == "latency_ms":
            made += [_percentile(rows, part) for part in ("p90", "p99")]
    speeds = speedups(rows)
    if speeds is not None:
        base, values = speeds
        made.append(Column("speed", f"vs {base}", tuple(map(_ratio, values)), tuple(values)))
    return made


def speedups(rows: Sequence[Measured]) -> tuple[str, list[float]] | None:
    """How many times as fast as the first variant each row is, in the same configuration.

    Returns:
        The first variant's name, and a number for each row, not a number where the first one was not measured; None
        where there is one variant only.
    """
    name = "latency_ms" if any("latency_ms" in row.metrics for row in rows) else "cold_start_ms"
    variants = [field for field in FIELDS[:2] if field in differing(rows)]
    if not variants:
        return None
    others = [field for field in FIELDS if field not in variants]

    def place(row: Measured) -> tuple[object, ...]:
        return tuple(getattr(row, field.name, None) for field in others)

    base = described(rows[0], variants)
    bases = {place(row): value_of(row, name) for row in rows if described(row, variants) == base}
    return base, [_divided(bases.get(place(row), math.nan), value_of(row, name)) for row in rows]


def common(rows: Sequence[Measured]) -> str:
    """What all rows have in common, in words; nothing of what the first column says anyhow."""
    apart = differing(rows)
    same = [field for field in FIELDS if field not in apart and field.name not in ("bundle", "dtype")]
    return described(rows[0], same) if rows else ""


def heading(result: Result) -> list[str]:
    """What was measured, where, and with which versions: a line each."""
    bundle = result.bundle
    kind = ", ".join(str(bundle[name]) for name in ("task", "model_type") if bundle.get(name))
    name, *others = (_last(str(folder)) for folder in (bundle.get("folder", ""), *(bundle.get("others") or ())))
    title = f"{name}: {kind}" if kind else name
    return [
        title + (f"; with {', '.join(others)}" if others else ""),
        facts({name: result.machine.get(name) for name in _HEADING}),
        ", ".join(f"{package} {version}" for package, version in result.versions.items()),
    ]


def _last(folder: str) -> str:
    """The name of a folder on whichever system."""
    return re.split(r"[/\\]", folder.rstrip("/\\"))[-1]


def facts(machine: Mapping[str, Any]) -> str:
    """What is known of a machine, in words; names that this version does not know stand before what they say."""
    words = []
    for name, fact in machine.items():
        if fact is None or fact == "" or fact == []:
            continue
        shown = " ".join(map(str, fact)) if isinstance(fact, (list, tuple)) else fact
        words.append(_FACTS.get(name, f"{name.replace('_', ' ')} {{}}").format(shown))
    return ", ".join(words)


def text(result: Result) -> str:
    """Tables for a terminal, at most :data:`WIDTH` characters wide where that can be had."""
    parts = ["\n".join(line for line in heading(result) if line)]
    parts += [_text(title, rows) for title, rows in titled(result)]
    notes = [*(f"failed: {failure}" for failure in result.failed), *(f"note: {note}" for note in result.notes)]
    notes = [textwrap.fill(note, WIDTH, subsequent_indent="  ") for note in notes]
    parts.append("\n".join([LEGEND, *notes]))
    return "\n\n".join(parts) + "\n"


def markdown(result: Result) -> str:
    """The same with all columns, in Markdown."""
    title, *rest = heading(result)
    parts = [f"# {_escaped(title)}", *(_escaped(line) for line in rest if line), f"```\n{result.command}\n```"]
    for name, rows in titled(result):
        shown = columns(rows)
        lines = [
            [_escaped(column.heading) for column in shown],
            ["--:" if column.numeric else "---" for column in shown],
            *([_escaped(cell) for cell in row] for row in zip(*(column.cells for column in shown), strict=True)),
        ]
        parts += [f"## {_escaped(name)}", "\n".join(f"| {' | '.join(line)} |" for line in lines)]
    parts.append(LEGEND)
    if result.remarks:
        parts += ["## Notes", "\n".join(f"- {_escaped(note)}" for note in result.remarks)]
    return "\n\n".join(parts) + "\n"


def csv_text(result: Result) -> str:
    """A line per start (``kind`` is ``start``) and per row (``call``), with a column for each number of each metric.

    The columns are the same for every result; what this version does not know of comes behind them.
    """
    measurements: tuple[Measured, ...] = (*result.starts, *result.rows)
    names = [*KNOWN, *(name for name in found(measurements) if name not in KNOWN)]
    many = {*METRICS, *(name for row in measurements for name in row.metrics)}
    parts = [part.name for part in fields(Summary)]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    heads = [f"{name}_{part}" for name in names if name in many for part in parts]
    heads += [name for name in names if name not in METRICS]
    writer.writerow(["kind", *(field.name for field in FIELDS), "optimized", *heads])
    for row in measurements:
        cells: list[object] = ["call" if isinstance(row, Row) else "start"]
        cells += [pixels(entry) if isinstance(entry, tuple) else entry
                  for entry in (getattr(row, field.name, None) for field in FIELDS)]  # fmt: skip
        cells.append(None if row.optimized is None else " ".join(row.optimized))
        cells += [getattr(row.metrics.get(name), part, None) for name in names if name in many for part in parts]
        cells += [row.values.get(name) for name in names if name not in METRICS]
        writer.writerow(cells)
    return out.getvalue()


def titled(result: Result) -> list[tuple[str, Sequence[Measured]]]:
    """The tables, each with a title that says what its rows have in common."""
    tables: list[tuple[str, Sequence[Measured]]] = [("calls", result.rows), ("start", result.starts)]
    return [(f"{name}: {common(rows)}" if common(rows) else name, rows) for name, rows in tables if rows]


def _text(title: str, rows: Sequence[Measured]) -> str:
    shown, left_out = columns(rows), []
    for name in reversed(_DISPENSABLE):
        if _width(shown) <= WIDTH:
            break
        left_out += [column.heading for column in shown if column.name == name]
        shown = [column for column in shown if column.name != name]
    lines = [
        "  ".join(_padded(column, cell) for column, cell in zip(shown, line, strict=True)).rstrip()
        for line in zip(*((column.heading, *column.cells) for column in shown), strict=True)
    ]
    if left_out:
        lines.append(f"left out for want of room: {', '.join(reversed(left_out))}")
    return "\n".join([title, *lines])


def _column(name: str, heading: str, entries: Sequence[Any]) -> Column:
    """A field's column; pictures are sorted by their pixels."""
    cells = tuple("-" if entry is None else pixels(entry) if isinstance(entry, tuple) else f"{entry:g}"
                  if isinstance(entry, float) else str(entry) for entry in entries)  # fmt: skip
    sort = tuple(math.nan if entry is None else entry[0] * entry[1] if isinstance(entry, tuple) else entry
                 for entry in entries)  # fmt: skip
    return Column(name, heading, cells, sort)


def _percentile(rows: Sequence[Measured], part: str) -> Column:
    values = [float(getattr(row.metrics.get("latency_ms"), part, math.nan)) for row in rows]
    return Column(part, part, tuple(map(number, values)), tuple(values))


def _divided(base: float, amount: float) -> float:
    return base / amount if amount else math.nan


def _ratio(ratio: float) -> str:
    return f"{ratio:.2f}" if math.isfinite(ratio) else "-"


def _width(shown: Sequence[Column]) -> int:
    return sum(_widest(column) for column in shown) + 2 * (len(shown) - 1)


def _widest(column: Column) -> int:
    return max(map(len, (column.heading, *column.cells)))


def _padded(column: Column, cell: str) -> str:
    return cell.rjust(_widest(column)) if column.numeric else cell.ljust(_widest(column))


def _escaped(cell: str) -> str:
    return re.sub(r"([\\|`*_<>\[\]])", r"\\\1", cell).replace("\n", " ")
