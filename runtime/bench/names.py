"""How configurations are called, and what is measured of them: in which unit, and whether more of it is better."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from .result import Row, Start, Summary

Measured = Row | Start


@dataclass(frozen=True)
class Quantity:
    """Something that is measured.

    Attributes:
        name: in :attr:`.Row.metrics` or :attr:`.Row.values`.
        heading: over a column.
        words: in a sentence.
        unit: behind a number in a sentence.
        higher: whether more is better.
    """

    name: str
    heading: str
    words: str
    unit: str
    higher: bool = False


# In the order of the tables' columns.
_KNOWN = {
    quantity.name: quantity
    for quantity in (
        Quantity("latency_ms", "ms/call", "latency", "ms"),
        Quantity("first_token_ms", "ms to token 1", "time to the first token", "ms"),
        Quantity("token_ms", "ms/token", "time for a token", "ms"),
        Quantity("real_time_factor", "x real time", "sound heard in a second", "s", higher=True),
        Quantity("throughput_per_s", "inputs/s", "throughput", "inputs/s", higher=True),
        Quantity("tokens_per_s", "tokens/s", "tokens", "tokens/s", higher=True),
        Quantity("cpu_per_call_ms", "CPU ms/call", "processor time of a call", "ms"),
        Quantity("import_ms", "import ms", "time to import", "ms"),
        Quantity("load_ms", "load ms", "time to load", "ms"),
        Quantity("cold_start_ms", "cold start ms", "start of the process to the first answer", "ms"),
        Quantity("resident_mib", "resident MiB", "resident memory", "MiB"),
        Quantity("peak_mib", "peak MiB", "peak memory", "MiB"),
        Quantity("bundle_mib", "files MiB", "size of the files", "MiB"),
    )
}
KNOWN = tuple(_KNOWN)
"""Names of everything that a benchmark measures."""

METRICS = ("latency_ms", "first_token_ms", "token_ms", "real_time_factor", "import_ms", "load_ms", "cold_start_ms")
"""Those of them that are measured many times; the others are single numbers."""


def quantity(name: str) -> Quantity:
    """What a metric or value is; of one that is not known, what its name says."""
    words = name.replace("_", " ")
    return _KNOWN.get(name) or Quantity(name, words, words, "", higher=name.endswith(("_per_s", "_factor")))


def found(rows: Iterable[Measured]) -> list[str]:
    """Names of all that was measured of the rows, those that are known first."""
    names = {name for row in rows for name in (*row.metrics, *row.values)}
    return [name for name in KNOWN if name in names] + sorted(names - set(KNOWN))


def value(row: Measured, name: str) -> float:
    """The median of a metric, or a value; not a number where it was not measured."""
    metric = row.metrics.get(name)
    return row.values.get(name, math.nan) if metric is None else metric.p50


def finite(row: Measured, name: str) -> bool:
    """Whether it was measured, and is a number."""
    return math.isfinite(value(row, name))


def margin(metric: Summary) -> float:
    """Half of the interval around the median, the longer half where they differ."""
    return max(metric.high - metric.p50, metric.p50 - metric.low)


@dataclass(frozen=True)
class Field:
    """A part of a configuration: its name in :class:`.Row`, the heading of its column, and its value in words."""

    name: str
    heading: str
    words: Callable[[object], str]


def _counted(one: str, many: str) -> Callable[[object], str]:
    return lambda count: f"{count} {one if count == 1 else many}"


def pixels(size: object) -> str:
    """Height and width of pictures; any other number as it is."""
    return (
        "x".join(map(str, size))
        if isinstance(size, Sequence)
        else f"{size:g}"
        if isinstance(size, float)
        else str(size)
    )


FIELDS = (
    Field("bundle", "bundle", str),
    Field("dtype", "dtype", str),
    Field("provider", "provider", str),
    Field("threads", "threads", _counted("thread", "threads")),
    Field("batch", "batch", lambda count: f"batch {count}"),
    Field("length", "tokens", _counted("token", "tokens")),
    Field("seconds", "seconds", lambda seconds: f"{seconds:g} s"),
    Field("size", "pixels", lambda size: f"{pixels(size)} pixels"),
    Field("new_tokens", "new tokens", _counted("new token", "new tokens")),
    Field("beams", "beams", _counted("beam", "beams")),
    Field("workers", "callers", _counted("caller", "callers")),
    Field("mode", "in", lambda mode: f"in {mode}"),
)
"""What makes a configuration, in the order of the tables' columns; a start has the first four."""

VARIANT = FIELDS[:4]
CALLERS = FIELDS[-2:]


def key(row: Measured) -> tuple[object, ...]:
    """A configuration, to find the same one elsewhere."""
    return tuple(getattr(row, field.name, None) for field in FIELDS)


def differing(rows: Sequence[Measured]) -> list[Field]:
    """The fields in which the rows differ."""
    return [field for field in FIELDS if len({getattr(row, field.name, None) for row in rows}) > 1]


def described(row: Measured, fields: Iterable[Field] = FIELDS) -> str:
    """A configuration, or some fields of it, in words; that there is one caller goes without saying."""
    alone = getattr(row, "mode", "alone") == "alone"
    parts = [
        field.words(getattr(row, field.name))
        for field in fields
        if getattr(row, field.name, None) is not None and not (alone and field in CALLERS)
    ]
    return ", ".join(parts).replace(" callers, in ", " callers in ")


def number(amount: float) -> str:
    """Three digits that count, more before the point."""
    if not math.isfinite(amount):
        return "-"
    return f"{amount:.{decimals(amount)}f}"


def decimals(amount: float) -> int:
    """Digits behind the point that :func:`number` shows."""
    return next((digits for digits, limit in enumerate((99.95, 9.995, 0.9995)) if abs(amount) >= limit), 3)


def measured(row: Measured, name: str) -> str:
    """A value, or a median with the interval around it, to the same digits."""
    metric = row.metrics.get(name)
    if metric is None or not math.isfinite(metric.p50):
        return number(value(row, name))
    return f"{number(metric.p50)} ±{margin(metric):.{decimals(metric.p50)}f}"
