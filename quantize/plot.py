"""A picture of a report: how fast, how good and how large each variant is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torchless.drawing import COLOURS, FAINT, GREY, INK, matplotlib, style
from torchless.errors import OptionError

from .metrics import LOWER
from .reported import Line, Report

SUFFIXES = (".png", ".svg", ".pdf")

_MIB = 2**20
_LARGEST = 1500.0  # points squared: the area of the largest variant
_WIDE, _HIGH = 415.0, 265.0  # points that the axes have, about

Point = tuple[float, float]
Box = tuple[float, float, float, float]


def plot(report: Report, path: Path) -> Path:
    """Draw the variants: to the right faster, higher better, and as large as their circle; sizes again as bars.

    Without a labelled file, quality is the share of labels or tokens that are float32's, or the cosine of the outputs.

    Args:
        report: what was measured.
        path: a .png, .svg or .pdf file, which is replaced.

    Raises:
        OptionError: another ending, or a folder that is not there.
        MissingDependencyError: matplotlib is not installed.
    """
    figures, agg = check(path)
    figure = figures.Figure(figsize=(9.6, 4.8), dpi=150, layout="constrained")
    agg.FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2, width_ratios=(2.4, 1))
    colours = {line.name: GREY if place == 0 else COLOURS[(place - 1) % len(COLOURS)]
               for place, line in enumerate(report.lines)}  # fmt: skip
    _circles(left, report, colours)
    _bars(right, report.lines, colours)
    figure.suptitle(f"{report.bundle} · {report.task or 'outputs'}", x=0.01, ha="left", fontsize=13, color=INK)
    machine = report.machine
    figure.supxlabel(
        f"{machine['processor']}, {machine['threads']} threads, onnxruntime {machine['onnxruntime']}",
        x=0.01, ha="left", fontsize=7, color=GREY,
    )  # fmt: skip
    figure.savefig(path)
    return path


def check(path: Path) -> tuple[Any, Any]:
    """Two modules of matplotlib, if a plot can be drawn and written to the path; raises as :func:`plot` does."""
    if path.suffix.lower() not in SUFFIXES:
        raise OptionError(f"a plot is a file that ends in {', '.join(SUFFIXES)}, not {path}")
    if not path.parent.is_dir():
        raise OptionError(f"a plot cannot be written to {path}: there is no such folder")
    return matplotlib()


def quality(report: Report) -> tuple[str, list[float]]:
    """What stands for quality, and its value for each variant: shares in percent, perplexity as it is."""
    first = report.lines[0]
    scores = [line.scores for line in report.lines if line.scores is not None]
    if first.scores is not None and len(scores) == len(report.lines):
        name = first.scores.primary
        factor = 1 if name == "perplexity" else 100
        unit = "" if name == "perplexity" else ", %"
        return f"{name.replace('_', ' ')}{unit}", [factor * found.values[name] for found in scores]
    agreements = [line.drift.agreement for line in report.lines if line.drift.agreement is not None]
    if len(agreements) == len(report.lines):
        return f"same answers as {first.name}, %", [100 * share for share in agreements]
    return f"cosine of the outputs with {first.name}'s, %", [100 * line.drift.cosine for line in report.lines]


def _circles(axes: Any, report: Report, colours: dict[str, str]) -> None:
    """Speed to the right, quality upwards, sizes as areas."""
    label, values = quality(report)
    scores = report.lines[0].scores
    lower = scores is not None and scores.primary in LOWER
    _limits(axes, [line.speed for line in report.lines], values, lower)
    axes.axvline(1, color=GREY, linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)
    axes.axhline(values[0], color=GREY, linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)
    areas = [_LARGEST * line.bytes / max(line.bytes for line in report.lines) for line in report.lines]
    for line, value, area in sorted(zip(report.lines, values, areas, strict=True), key=lambda row: -row[2]):
        axes.scatter([line.speed], [value], s=area, color=colours[line.name], alpha=0.75, edgecolors="white", zorder=3)
    centres = [_points(axes, line.speed, value) for line, value in zip(report.lines, values, strict=True)]
    texts = [f"{line.name}  {line.speed:.2f}×" for line in report.lines]
    for line, text, centre, place in zip(report.lines, texts, centres, _places(texts, centres, areas), strict=True):
        axes.annotate(
            text, (line.speed, values[report.lines.index(line)]), textcoords="offset points", ha="center",
            va="center", xytext=(place[0] - centre[0], place[1] - centre[1]), fontsize=9, color=colours[line.name],
            fontweight="bold", zorder=4,
        )  # fmt: skip
    axes.set_xlabel("times as fast as float32", color=INK)
    axes.set_ylabel(f"{label}{' (lower is better, drawn upwards)' if lower else ''}", color=INK)
    if label.endswith("%"):
        axes.set_yticks([tick for tick in axes.get_yticks() if tick <= 100 and _inside(tick, axes.get_ylim())])
    style(axes)
    axes.grid(color=FAINT, linewidth=0.8)
    axes.set_title("faster to the right, better upwards, area is size", fontsize=9, color=GREY, loc="left")


def _points(axes: Any, speed: float, value: float) -> Point:
    """About where a place of the axes lies, in points."""
    left, right = axes.get_xlim()
    bottom, top = axes.get_ylim()
    return _WIDE * (speed - left) / (right - left), _HIGH * (value - bottom) / (top - bottom)


def _places(texts: Sequence[str], centres: Sequence[Point], areas: Sequence[float]) -> list[Point]:
    """Middles of the names in points: above, below or beside their circles, or further away where others lie."""
    circles = [(x, y, area**0.5, area**0.5) for (x, y), area in zip(centres, areas, strict=True)]
    taken: list[Box] = []
    for text, (x, y, size, _) in zip(texts, circles, strict=True):
        wide, high = 5.8 * len(text), 12.0
        beside, above = size / 2 + wide / 2 + 2, size / 2 + high / 2 + 1
        tries = [
            (x + factor * right, y + factor * up)
            for factor in (1.0, 1.6, 2.4, 3.4)
            for right, up in ((0, above), (0, -above), (beside, 0), (-beside, 0), (beside, above), (beside, -above))
        ]
        free = (place for place in tries if not any(_meet((*place, wide, high), box) for box in (*taken, *circles)))
        taken.append((*next(free, tries[0]), wide, high))
    return [(x, y) for x, y, _, _ in taken]


def _meet(one: Box, other: Box) -> bool:
    """Whether two boxes, each a middle, a width and a height, share a place, or the first leaves the axes."""
    outside = not (one[2] / 2 < one[0] < _WIDE - one[2] / 2 and one[3] / 2 < one[1] < _HIGH - one[3] / 2)
    beside = 2 * abs(one[0] - other[0]) >= one[2] + other[2] or 2 * abs(one[1] - other[1]) >= one[3] + other[3]
    return outside or not beside


def _inside(value: float, limits: tuple[float, float]) -> bool:
    return min(limits) <= value <= max(limits)


def _limits(axes: Any, speeds: Sequence[float], values: Sequence[float], lower: bool) -> None:
    """Room around the circles and for their names; no zoom into differences that say nothing."""
    low, high = min(*speeds, 1.0), max(*speeds, 1.0)
    room = max(high - low, 0.5)
    axes.set_xlim(low - 0.3 * room, high + 0.35 * room)
    middle, span = (min(values) + max(values)) / 2, max(max(values) - min(values), 0.02 * abs(max(values)), 1e-3)
    bottom, top = middle - 0.85 * span, middle + 0.85 * span
    axes.set_ylim(*((top, bottom) if lower else (bottom, top)))


def _bars(axes: Any, lines: Sequence[Line], colours: dict[str, str]) -> None:
    """Megabytes of each variant."""
    for place, line in enumerate(lines):
        axes.barh(place, line.bytes / _MIB, color=colours[line.name], height=0.62)
        text = f" {line.bytes / _MIB:.1f}" + (f"  ({100 * line.size:.0f}%)" if place else "")
        axes.text(line.bytes / _MIB, place, text, va="center", fontsize=9, color=INK)
    axes.set_yticks(range(len(lines)), [line.name.replace(" ", "\n") for line in lines], color=INK)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.45 * max(line.bytes for line in lines) / _MIB)
    axes.set_xticks([])
    axes.tick_params(length=0)
    style(axes)
    axes.spines["bottom"].set_visible(False)
    axes.set_title("size, MiB", fontsize=9, color=GREY, loc="left")
