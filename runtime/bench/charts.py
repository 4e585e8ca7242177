"""How the pictures of :mod:`.plots` are drawn: lines with bands, and bars."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ..drawing import COLOURS, GREY, INK
from .axes import DASHES, Look, across, axes_of, bar_axes, legend, upwards
from .names import (
    CALLERS,
    FIELDS,
    METRICS,
    VARIANT,
    Field,
    Measured,
    described,
    differing,
    finite,
    measured,
    number,
    pixels,
    quantity,
    value,
)
from .result import Row, Start

PANELS = 6
"""More configurations than these are not drawn beside each other; the tables have them all."""

_BY_NAME = {field.name: field for field in FIELDS}


def lines(figure: Any, rows: Sequence[Row], name: str, along: str) -> str:
    """A line per variant along a field, with a band to the 90th percentile; a panel for each configuration of the rest.

    Args:
        figure: of matplotlib, empty.
        rows: those with the quantity.
        name: of the quantity.
        along: the field that runs to the right.

    Returns:
        What has to be known to read it, as of each of these pictures.
    """
    looks = _looks(rows)
    panels, left_out = _panels(rows, (*VARIANT, _BY_NAME[along]), PANELS)
    grid = axes_of(figure, len(panels))
    ticks = {_along(row, along): pixels(getattr(row, along)) for row in rows}
    for axes, (title, inside) in zip(grid, panels, strict=True):
        for variant, look in looks.items():
            line = sorted((row for row in inside if _variant(row, rows) == variant), key=lambda row: _along(row, along))
            xs, ys = [_along(row, along) for row in line], [value(row, name) for row in line]
            axes.plot(xs, ys, color=look.colour, linestyle=look.dash, marker="o", markersize=4, linewidth=1.8)
            axes.fill_between(
                xs, ys, [_tail(row, name, "p90") for row in line], color=look.colour, alpha=0.18, linewidth=0
            )
        axes.set_title(title, fontsize=9, color=GREY, loc="left")
        across(axes, ticks, {"seconds": "seconds of sound"}.get(along, _BY_NAME[along].heading))
    upwards(grid, [amount for row in rows for amount in (value(row, name), _tail(row, name, "p90"))])
    grid[0].set_ylabel(_unit(name, grid[0]), color=INK)
    legend(figure, looks)
    many = name in METRICS
    note = "median" if many and quantity(name).higher else "median, band to the 90th percentile" if many else ""
    return note + left_out


def bars(figure: Any, rows: Sequence[Row], name: str) -> str:
    """A bar per variant up to the median; a thin line goes on to the 90th percentile, a dot is the 99th."""
    looks = _looks(rows)
    grid = axes_of(figure, 1, high=1.3 + 0.45 * len(rows))
    axes = grid[0]
    for place, row in enumerate(rows):
        look = looks[_variant(row, rows)]
        axes.barh(place, value(row, name), color=look.colour, alpha=look.alpha, height=0.62)
        p90, p99 = (_tail(row, name, part) for part in ("p90", "p99"))
        axes.plot([value(row, name), p90], [place, place], color=look.colour, linewidth=1.5)
        if p99 > value(row, name):
            axes.plot([p99], [place], color=look.colour, marker="o", markersize=3)
    unit = quantity(name).unit
    bar_axes(axes, [f"{_variant(row, rows)}\n{measured(row, name)} {unit}" for row in rows])
    return "medians" if quantity(name).higher else "bar to the median, line to the 90th percentile, dot at the 99th"


def callers(figure: Any, rows: Sequence[Row]) -> str:
    """What callers reach together, and how long each then waits, by how many there are: a row for a configuration."""
    inner = VARIANT[:2]
    panels, left_out = _panels(rows, (*inner, *CALLERS), PANELS // 2)
    modes = [mode for mode in dict.fromkeys(row.mode for row in rows) if mode != "alone"]
    looks = _looks(rows, inner)
    grid = axes_of(figure, 2 * len(panels), columns=2)
    for (title, inside), left, right in zip(panels, grid[::2], grid[1::2], strict=True):
        for variant, look in looks.items():
            for mode, dash in zip(modes, DASHES, strict=False):
                line = [row for row in inside if row.mode in (mode, "alone") and _variant(row, rows, inner) == variant]
                line.sort(key=lambda row: row.workers)
                xs = [float(row.workers) for row in line]
                shape = {"color": look.colour, "linestyle": dash, "marker": "o"}
                left.plot(xs, [value(row, "throughput_per_s") for row in line], linewidth=1.8, markersize=4, **shape)
                right.plot(xs, [value(row, "latency_ms") for row in line], linewidth=1.8, markersize=4, **shape)
                right.plot(xs, [_tail(row, "latency_ms", "p99") for row in line], linewidth=0.7, markersize=2, **shape)
        left.set_title(title, fontsize=9, color=GREY, loc="left")
        for axes, name in ((left, "throughput_per_s"), (right, "latency_ms")):
            across(axes, {float(row.workers): str(row.workers) for row in rows}, "callers")
            upwards([axes], [amount for row in inside for amount in (value(row, name), _tail(row, name, "p99"))])
            axes.set_ylabel(f"{quantity(name).words}, {_unit(name, axes)}", color=INK)
    named = {
        f"{variant}, in {mode}" if len(modes) > 1 else variant: replace(look, dash=dash)
        for variant, look in looks.items()
        for mode, dash in zip(modes, DASHES, strict=False)
    }
    legend(figure, named)
    return "latency: thick the median, thin the 99th percentile" + left_out


def starts(figure: Any, rows: Sequence[Start]) -> str:
    """Times on the left, memory and files on the right: a bar for each variant."""
    sides = (("import_ms", "load_ms", "cold_start_ms"), ("bundle_mib", "resident_mib", "peak_mib"))
    shown = [[name for name in names if any(finite(row, name) for row in rows)] for names in sides]
    shown = [names for names in shown if names]
    looks = _looks(rows)
    grid = axes_of(figure, len(shown), high=1.3 + 0.3 * len(rows) * max(map(len, shown)) + 0.2 * max(map(len, shown)))
    for axes, names in zip(grid, shown, strict=True):
        step = 0.8 / len(rows)
        for group, name in enumerate(names):
            for place, row in enumerate(rows):
                if not finite(row, name):
                    continue
                at = group - 0.4 + step * (place + 0.5)
                look = looks[_variant(row, rows)]
                axes.barh(at, value(row, name), color=look.colour, alpha=look.alpha, height=0.87 * step)
                axes.annotate(number(value(row, name)), (value(row, name), at), textcoords="offset points",
                              xytext=(4, 0), va="center", fontsize=8, color=INK)  # fmt: skip
        bar_axes(axes, [quantity(name).words.replace(" of the process to the ", " to the\n") for name in names])
        axes.set_title(quantity(names[0]).unit, fontsize=9, color=GREY, loc="left")
    legend(figure, looks, filled=True)
    return "medians"


def _looks(rows: Sequence[Measured], fields: Sequence[Field] = VARIANT) -> dict[str, Look]:
    """How each variant is drawn: a colour for each bundle and precision, dashes for threads and provider."""
    looks: dict[str, Look] = {}
    colours: dict[tuple[str, str], str] = {}
    others: list[tuple[str, int]] = []
    for row in rows:
        inner, outer = (row.bundle, row.dtype), (row.provider, row.threads)
        if inner not in colours:
            grey = row.dtype == "fp32" and GREY not in colours.values()
            used = sum(colour != GREY for colour in colours.values())
            colours[inner] = GREY if grey else COLOURS[used % len(COLOURS)]
        others += [outer] if outer not in others else []
        place = others.index(outer)
        look = Look(colours[inner], DASHES[place % len(DASHES)], max(0.25, 1 - 0.3 * place))
        looks.setdefault(_variant(row, rows, fields), look)
    return looks


def _variant(row: Measured, rows: Sequence[Measured], fields: Sequence[Field] = VARIANT) -> str:
    """A variant's name among others: its precision first, then which of the fields differ."""
    apart = [field for field in fields if field.name != "dtype" and field in differing(rows)]
    return described(row, [_BY_NAME["dtype"], *apart])


def _panels(rows: Sequence[Row], without: Sequence[Field], most: int) -> tuple[list[tuple[str, list[Row]]], str]:
    """Rows by the fields that differ and are not in ``without``: titled, and a note of those that are too many."""
    fields = [field for field in differing(rows) if field not in without]
    panels: dict[str, list[Row]] = {}
    for row in rows:
        panels.setdefault(described(row, fields), []).append(row)
    more = len(panels) - most
    return list(panels.items())[:most], f"; the tables have {more} more configurations" if more > 0 else ""


def _along(row: Row, name: str) -> float:
    """Where a row lies to the right: pictures by the square root of their pixels."""
    entry = getattr(row, name)
    return math.sqrt(entry[0] * entry[1]) if isinstance(entry, tuple) else float(entry or 0)


def _tail(row: Row, name: str, part: str) -> float:
    """A percentile of the slowest; the value itself where it was measured once, or where more of it is better."""
    metric = None if quantity(name).higher else row.metrics.get(name)
    return value(row, name) if metric is None else float(getattr(metric, part))


def _unit(name: str, axes: Any) -> str:
    """What runs upwards: its unit, and its scale."""
    scale = ", log scale" if axes.get_yscale() == "log" else ""
    return f"{quantity(name).unit or quantity(name).words}{scale}"
