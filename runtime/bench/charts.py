"""How the pictures of :mod:`.plots` are drawn: lines with bands, and bars."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from ..drawing import COLOURS, FAINT, GREY, INK, style
from .names import (
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
    quantity,
    value,
)
from .result import Row, Start

PANELS = 6
"""More configurations than these are not drawn beside each other; the tables have them all."""

_COLUMNS = 3
_DASHES = ((0, ()), (0, (5, 2)), (0, (1, 1.5)), (0, (5, 2, 1, 2)))
_LOG = 8.0  # from this ratio of largest to smallest on, small numbers would lie on the axis
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
    panels, left_out = _panels(rows, (along,), PANELS)
    grid = _grid(figure, len(panels))
    for axes, (title, inside) in zip(grid, panels, strict=True):
        for variant, (colour, dash) in looks.items():
            line = sorted((row for row in inside if _variant(row, rows) == variant), key=lambda row: _along(row, along))
            xs, ys = [_along(row, along) for row in line], [value(row, name) for row in line]
            axes.plot(xs, ys, color=colour, linestyle=dash, marker="o", markersize=4, linewidth=1.8)
            tails = [row.metrics[name].p90 if name in row.metrics else value(row, name) for row in line]
            axes.fill_between(xs, ys, tails, color=colour, alpha=0.18, linewidth=0)
        axes.set_title(title, fontsize=9, color=GREY, loc="left")
        _across(axes, rows, along)
    _upwards(grid, [amount for row in rows for amount in _amounts(row, name)])
    grid[0].set_ylabel(_label(name, grid[0]), color=INK)
    _legend(figure, looks)
    return ("median, band to the 90th percentile" if name in METRICS else "") + left_out


def bars(figure: Any, rows: Sequence[Row], name: str) -> str:
    """A bar per variant up to the median; a thin line goes on to the 90th percentile, a dot is the 99th."""
    looks = _looks(rows)
    grid = _grid(figure, 1, high=1.3 + 0.45 * len(rows))
    axes = grid[0]
    for place, row in enumerate(rows):
        colour = looks[_variant(row, rows)][0]
        axes.barh(place, value(row, name), color=colour, height=0.62)
        metric = row.metrics.get(name)
        if metric is not None:
            axes.plot([metric.p50, metric.p90], [place, place], color=colour, linewidth=1.5)
            axes.plot([metric.p99], [place], color=colour, marker="o", markersize=3)
    unit = quantity(name).unit
    _bar_axes(axes, [f"{_variant(row, rows)}\n{measured(row, name)} {unit}" for row in rows])
    return "bar to the median, line to the 90th percentile, dot at the 99th"


def callers(figure: Any, rows: Sequence[Row]) -> str:
    """What callers reach together, and how long each then waits, by how many there are."""
    panels, left_out = _panels(rows, ("workers", "mode"), PANELS // 2)
    modes = [mode for mode in dict.fromkeys(row.mode for row in rows) if mode != "alone"]
    looks = _looks(rows)
    dashes = dict(zip(modes, _DASHES, strict=False))
    grid = _grid(figure, 2 * len(panels), columns=2)
    for (title, inside), left, right in zip(panels, grid[::2], grid[1::2], strict=True):
        for variant, (colour, _) in looks.items():
            for mode in modes:
                line = [row for row in inside if row.mode in (mode, "alone") and _variant(row, rows) == variant]
                line.sort(key=lambda row: row.workers)
                xs = [float(row.workers) for row in line]
                shape = {"color": colour, "linestyle": dashes[mode], "marker": "o", "markersize": 4, "linewidth": 1.8}
                left.plot(xs, [value(row, "throughput_per_s") for row in line], **shape)
                waits = [row.metrics.get("latency_ms") for row in line]
                right.plot(xs, [math.nan if wait is None else wait.p50 for wait in waits], **shape)
                right.fill_between(xs, [math.nan if wait is None else wait.p50 for wait in waits],
                                   [math.nan if wait is None else wait.p99 for wait in waits], color=colour, alpha=0.12,
                                   linewidth=0)  # fmt: skip
        left.set_title(title, fontsize=9, color=GREY, loc="left")
        for axes, name in ((left, "throughput_per_s"), (right, "latency_ms")):
            _across(axes, rows, "workers")
            _upwards([axes], [amount for row in inside for amount in _amounts(row, name, "p99")])
            axes.set_ylabel(f"{quantity(name).words}, {_label(name, axes)}", color=INK)
    named = {(f"{variant}, {mode}" if len(modes) > 1 else variant): (colour, dashes[mode])
             for variant, (colour, _) in looks.items() for mode in modes}  # fmt: skip
    _legend(figure, named)
    return "latency: median, band to the 99th percentile" + left_out


def starts(figure: Any, rows: Sequence[Start]) -> str:
    """Times on the left, memory and files on the right: a bar for each variant."""
    sides = (("import_ms", "load_ms", "cold_start_ms"), ("bundle_mib", "resident_mib", "peak_mib"))
    shown = [[name for name in names if any(finite(row, name) for row in rows)] for names in sides]
    shown = [names for names in shown if names]
    looks = _looks(rows)
    grid = _grid(figure, len(shown), high=1.3 + 0.3 * len(rows) * max(map(len, shown)) + 0.2 * max(map(len, shown)))
    for axes, names in zip(grid, shown, strict=True):
        step = 0.8 / len(rows)
        for group, name in enumerate(names):
            for place, row in enumerate(rows):
                if not finite(row, name):
                    continue
                at = group - 0.4 + step * (place + 0.5)
                axes.barh(at, value(row, name), color=looks[_variant(row, rows)][0], height=0.9 * step)
                axes.annotate(number(value(row, name)), (value(row, name), at), textcoords="offset points",
                              xytext=(4, 0), va="center", fontsize=8, color=INK)  # fmt: skip
        _bar_axes(axes, [quantity(name).words.replace(" of the process to the ", " to the\n") for name in names])
        axes.set_title(quantity(names[0]).unit, fontsize=9, color=GREY, loc="left")
    _legend(figure, {name: (colour, None) for name, (colour, _) in looks.items()})
    return "medians"


def _looks(rows: Sequence[Measured]) -> dict[str, tuple[str, Any]]:
    """Colour and dashes of each variant: a colour for each bundle and precision, dashes for threads and provider."""
    names: dict[str, tuple[str, Any]] = {}
    colours: dict[tuple[str, str], str] = {}
    dashes: dict[tuple[str, int], Any] = {}
    for row in rows:
        inner, outer = (row.bundle, row.dtype), (row.provider, row.threads)
        if inner not in colours:
            grey = row.dtype == "fp32" and GREY not in colours.values()
            used = sum(colour != GREY for colour in colours.values())
            colours[inner] = GREY if grey else COLOURS[used % len(COLOURS)]
        dashes.setdefault(outer, _DASHES[len(dashes) % len(_DASHES)])
        names[_variant(row, rows)] = (colours[inner], dashes[outer])
    return names


def _variant(row: Measured, rows: Sequence[Measured]) -> str:
    """A variant's name among others: its precision first, then what else differs."""
    apart = differing(rows)
    return described(
        row, [_BY_NAME["dtype"], *(field for field in VARIANT if field in apart and field.name != "dtype")]
    )


def _panels(rows: Sequence[Row], without: tuple[str, ...], most: int) -> tuple[list[tuple[str, list[Row]]], str]:
    """Rows by the fields that differ, neither a variant's nor in ``without``: titled, and how many more there are."""
    fields: list[Field] = [field for field in differing(rows) if field not in VARIANT and field.name not in without]
    panels: dict[str, list[Row]] = {}
    for row in rows:
        panels.setdefault(described(row, fields), []).append(row)
    more = len(panels) - most
    return list(panels.items())[:most], f"; the tables have {more} more configurations" if more > 0 else ""


def _grid(figure: Any, count: int, *, columns: int = _COLUMNS, high: float = 3.7) -> list[Any]:
    """Axes beside each other and in rows, and a figure of their size."""
    wide = min(count, columns)
    deep = math.ceil(count / wide)
    figure.set_size_inches(max(3.4 * wide, 7.0) + 0.6, high if deep == 1 else 2.7 * deep + 1.0)
    grid = figure.subplots(deep, wide, squeeze=False).flat
    for axes in grid[count:]:
        axes.set_visible(False)
    for axes in grid[:count]:
        style(axes)
        axes.grid(color=FAINT, linewidth=0.8)
    return list(grid[:count])


def _along(row: Row, name: str) -> float:
    """Where a row lies to the right: pictures by the square root of their pixels."""
    entry = getattr(row, name)
    return math.sqrt(entry[0] * entry[1]) if isinstance(entry, tuple) else float(entry or 0)


def _across(axes: Any, rows: Sequence[Row], name: str) -> None:
    """A tick at each value that was measured; spread by ratio where they are."""
    ticks = {_along(row, name): getattr(row, name) for row in rows}
    places = sorted(ticks)
    if places[0] > 0:
        axes.set_xscale("log")
    labels = ["x".join(map(str, ticks[place])) if isinstance(ticks[place], tuple) else f"{place:g}" for place in places]
    axes.set_xticks(places, labels, color=INK)
    axes.set_xticks([], minor=True)
    words = {"length": "tokens", "seconds": "seconds of sound", "size": "pixels", "workers": "callers"}
    axes.set_xlabel(words.get(name, _BY_NAME[name].heading), color=INK)


def _upwards(grid: Iterable[Any], amounts: Sequence[float]) -> None:
    """The same scale for all axes: from zero, or by ratio where that would hide the small numbers."""
    positive = [amount for amount in amounts if math.isfinite(amount) and amount > 0]
    low, high = min(positive, default=1.0), max(positive, default=1.0)
    for axes in grid:
        if high / low < _LOG:
            axes.set_ylim(0, 1.08 * high)
            continue
        axes.set_yscale("log")
        axes.set_ylim(low / 1.3, high * 1.3)
        decades = range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 1)
        steps = (1, 2, 5) if high / low < 500 else (1,)
        ticks = [step * 10.0**decade for decade in decades for step in steps]
        ticks = [tick for tick in ticks if low / 1.3 <= tick <= high * 1.3]
        axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks], color=INK)
        axes.set_yticks([], minor=True)


def _amounts(row: Row, name: str, tail: str = "p90") -> list[float]:
    metric = row.metrics.get(name)
    return [value(row, name), *([] if metric is None else [getattr(metric, tail)])]


def _label(name: str, axes: Any) -> str:
    """What runs upwards: its unit, and its scale."""
    scale = ", log scale" if axes.get_yscale() == "log" else ""
    return f"{quantity(name).unit or quantity(name).words}{scale}"


def _bar_axes(axes: Any, names: Sequence[str]) -> None:
    """Names on the left, the first on top; numbers stand at the bars, so that there is no axis."""
    axes.set_yticks(range(len(names)), names, color=INK)
    axes.invert_yaxis()
    axes.grid(visible=False)
    axes.set_xlim(0, 1.18 * axes.get_xlim()[1])
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)


def _legend(figure: Any, looks: dict[str, tuple[str, Any]]) -> None:
    """Names of the variants beside the title, if there are several."""
    if len(looks) < 2:
        return
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles = [Patch(color=colour) if dash is None else Line2D([], [], color=colour, linestyle=dash, linewidth=1.8)
               for colour, dash in looks.values()]  # fmt: skip
    figure.legend(handles, list(looks), loc="outside right upper", frameon=False, fontsize=9, labelcolor=INK)
