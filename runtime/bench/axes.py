"""Axes of the pictures of :mod:`.plots`: where they lie, their ticks, and the legend."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..drawing import FAINT, INK, style

DASHES = ((0, ()), (0, (5, 2)), (0, (1, 1.5)), (0, (5, 2, 1, 2)))
"""Lines of one colour are told apart by these."""

_COLUMNS = {1: 1, 2: 2, 4: 2}  # otherwise three
_LOG = 8.0  # from this ratio of largest to smallest on, small numbers would lie on the axis


@dataclass(frozen=True)
class Look:
    """How a variant is drawn.

    Attributes:
        colour: of its lines and bars.
        dash: of its lines.
        alpha: how opaque its bars are, which have no dashes.
    """

    colour: str
    dash: Any
    alpha: float


def axes_of(figure: Any, count: int, *, columns: int | None = None, high: float = 3.7) -> list[Any]:
    """Axes beside each other and in rows, and a figure of their size.

    Args:
        figure: of matplotlib, empty.
        count: how many.
        columns: how many beside each other at the most.
        high: inches, where there is one row.
    """
    wide = min(count, columns or _COLUMNS.get(count, 3))
    deep = math.ceil(count / wide)
    figure.set_size_inches(max(3.4 * wide, 7.0) + 0.6, high if deep == 1 else 2.7 * deep + 1.0)
    grid = figure.subplots(deep, wide, squeeze=False).flat
    for axes in grid[count:]:
        axes.set_visible(False)
    for axes in grid[:count]:
        style(axes)
        axes.grid(color=FAINT, linewidth=0.8)
    return list(grid[:count])


def across(axes: Any, ticks: Mapping[float, str], label: str) -> None:
    """A tick at each value that was measured, spread by ratio where they are positive."""
    places = sorted(ticks)
    if places[0] > 0:
        axes.set_xscale("log")
    axes.set_xticks(places, [ticks[place] for place in places], color=INK)
    axes.set_xticks([], minor=True)
    axes.set_xlabel(label, color=INK)


def upwards(grid: Iterable[Any], amounts: Sequence[float]) -> None:
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


def bar_axes(axes: Any, names: Sequence[str]) -> None:
    """Names on the left, the first on top; numbers stand at the bars, so that there is no axis."""
    axes.set_yticks(range(len(names)), names, color=INK)
    axes.invert_yaxis()
    axes.grid(visible=False)
    axes.set_xlim(0, 1.18 * axes.get_xlim()[1])
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)


def legend(figure: Any, looks: Mapping[str, Look], *, filled: bool = False) -> None:
    """Names of the variants beside the pictures, if there are several: with lines, or with what fills bars."""
    if len(looks) < 2:
        return
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles = [
        Patch(color=look.colour, alpha=look.alpha, linewidth=0)
        if filled
        else Line2D([], [], color=look.colour, linestyle=look.dash, linewidth=1.8)
        for look in looks.values()
    ]
    figure.legend(handles, list(looks), loc="outside right upper", frameon=False, fontsize=9, labelcolor=INK)
