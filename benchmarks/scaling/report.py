"""The section of benchmarks/README.md on growth, and its picture, made from results/scale.json."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from textwrap import fill
from typing import Any

import numpy as np

from torchless.drawing import COLOURS, FAINT, INK, matplotlib, reproducible, style

from ..peers.table import Row, Runs, replace
from .fits import SOCKET_GB_S, Fit, overhead, polynomial, roofline, with_cores
from .series import BERT, GPT2, SERIES, Point

CORES = (8, 16, 32, 64)
_SHOWN = {
    "BERT-base, 1 x 128 tokens": Point(0, BERT, 1, 128, "encode"),
    "BERT-base, 8 x 128 tokens": Point(0, BERT, 8, 128, "encode"),
    "GPT-2, a step": Point(0, GPT2),
    "GPT-2, a step of 16 sequences": Point(0, GPT2, rows=16),
}
_KINDS = {"encode": "BERT-base, a call", "step": "GPT-2, a step"}

Content = Mapping[str, Any]


def insert(content: Content) -> str:
    """Put the section into the README, in the place of the last one; returns it."""
    return replace("scale", section(content))


def section(content: Content, *, quick: bool = False) -> str:
    """Fits of every series, the machine's limits, and what both say of more cores."""
    rows: list[Row] = content["rows"]
    lines = ["" if quick else Runs(rows).line(), *_fits(rows), "", *_limits(content["limits"]), ""]
    bounds = rooflines(content, quick=quick)
    return "\n".join([*lines, *_bounds(bounds), "", *_predictions(bounds, content["limits"]), ""])


def rooflines(content: Content, *, quick: bool = False) -> dict[tuple[str, str], Fit]:
    """Milliseconds as ``a + s`` times the roofline, by kind of call and precision, over all series and threads.

    Steps of a beam search are left out: their selection is no product.
    """
    pairs: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for row in content["rows"]:
        point = _point(row, quick=quick)
        if point.kind in _KINDS:
            bound = roofline(point, row["precision"], content["limits"][str(row["threads"])])
            pairs.setdefault((point.kind, row["precision"]), []).append((bound, row["ms"]))
    return {key: overhead(*zip(*found, strict=True)) for key, found in pairs.items()}


def draw(content: Content, path: Path) -> None:
    """A panel for each series: points as measured, lines as fitted."""
    figures, agg = matplotlib()
    with reproducible("scale"):
        figure = figures.Figure(figsize=(13, 6.4), layout="constrained")
        agg.FigureCanvasAgg(figure)
        panels = figure.subplots(2, 4).flat
        for axes, name in zip(panels, SERIES, strict=False):
            _panel(axes, name, [row for row in content["rows"] if row["series"] == name])
        last = figure.axes[-1]
        last.axis("off")
        last.legend(*figure.axes[0].get_legend_handles_labels(), loc="center", frameon=False)
        figure.savefig(path, metadata={"Date": None})


def _panel(axes: Any, name: str, rows: Iterable[Row]) -> None:
    style(axes)
    axes.grid(axis="y", color=FAINT)
    for colour, ((precision, threads), points) in zip(COLOURS, _grouped(rows).items(), strict=False):
        x, y = zip(*points, strict=True)
        fit = polynomial(x, y, SERIES[name].degree)
        places = np.linspace(min(x), max(x), 60)
        label = f"{precision}, {threads} thread{'s' if threads > 1 else ''}"
        axes.plot(places, [fit.at(place) for place in places], color=colour, linewidth=1)
        axes.plot(x, y, "o", color=colour, markersize=4, label=label)
    axes.set_ylim(bottom=0)
    axes.set_xlim(left=0)
    axes.set_title(SERIES[name].title, fontsize=9, color=INK, loc="left")
    axes.set_ylabel("ms", fontsize=8, color=INK)


def _grouped(rows: Iterable[Row]) -> dict[tuple[str, int], list[tuple[float, float]]]:
    """Points (x, ms) by precision and threads."""
    found: dict[tuple[str, int], list[tuple[float, float]]] = {}
    for row in rows:
        found.setdefault((row["precision"], row["threads"]), []).append((row["x"], row["ms"]))
    return found


def _fits(rows: list[Row]) -> Iterable[str]:
    yield from _head(["n", "precision, threads", "from ... to", "ms, measured", "ms, fitted", "R²"])
    for name, series in SERIES.items():
        for (precision, threads), points in _grouped(row for row in rows if row["series"] == name).items():
            x, y = zip(*points, strict=True)
            fit = polynomial(x, y, series.degree)
            yield _line([
                series.title, f"{precision}, {threads}", f"{x[0]} ... {x[-1]}", f"{y[0]:.1f} ... {y[-1]:.1f}",
                _formula(fit), f"{fit.r2:.3f}",
            ])  # fmt: skip


def _limits(limits: Mapping[str, Mapping[str, float]]) -> Iterable[str]:
    yield from _head(["threads", "read, GB/s", "products in fp32, GFLOPS", "in int8, GOPS"])
    for threads, found in limits.items():
        yield _line([threads, *(f"{found[key]:.1f}" for key in ("read_gb_s", "fp32_gflops", "int8_gflops"))])


def _bounds(bounds: Mapping[tuple[str, str], Fit]) -> Iterable[str]:
    yield from _head(["all series, 1 and 2 threads", "ms, of the roofline r", "R²"])
    for (kind, precision), fit in bounds.items():
        yield _line([f"{_KINDS[kind]}, {precision}", _formula(fit, "r"), f"{fit.r2:.3f}"])


def _predictions(bounds: Mapping[tuple[str, str], Fit], limits: Mapping[str, Mapping[str, float]]) -> Iterable[str]:
    """What is fitted, at the roofline of more cores."""
    yield from _head(["ms, predicted", "1 core", *(f"{cores} cores" for cores in CORES)])
    for title, point in _SHOWN.items():
        for (kind, precision), fit in bounds.items():
            if kind == point.kind:
                each = [roofline(point, precision, with_cores(limits["1"], cores)) for cores in (1, *CORES)]
                yield _line([f"{title}, {precision}", *(f"{fit.at(bound):.1f}" for bound in each)])
    yield ""
    yield fill(
        f"Predictions assume that every core computes and reads as one thread here does, up to {SOCKET_GB_S:.0f} GB/s "
        "for all of them (eight channels of DDR4-3200), that work divides evenly among them, and that what is not in "
        "the roofline stays as it is: they are what to reach, not what was seen.",
        120,
    )


def _point(row: Row, *, quick: bool) -> Point:
    series = SERIES[row["series"]]
    return next(point for point in (series.quick if quick else series.points) if point.x == row["x"])


def _formula(fit: Fit, name: str = "n") -> str:
    powers = ("", f" {name}", f" {name}²")
    text = "".join(f" {'-' if value < 0 else '+'} {abs(value):.3g}{power}"
                   for value, power in zip(fit.coefficients, powers, strict=False))  # fmt: skip
    return text.removeprefix(" + ").strip()


def _head(cells: list[str]) -> Iterable[str]:
    yield _line(cells)
    yield _line(["---", *["--:"] * (len(cells) - 1)])


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
