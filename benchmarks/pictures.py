"""One picture of all measurements beside peers, for README.md.

``python -m benchmarks.pictures`` reads results/generation.json, recognition.json and footprint.json, and writes
results/overview.svg and overview.png. Every point is one cell: how many times as long a peer takes. Where a cell has
several variants of a precision, such as int8 with static and with dynamic ranges, the fastest of each side is
compared. Each ratio is of one machine and one day. Below, what a process needs up to its first answer.
"""

from __future__ import annotations

import statistics
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torchless.drawing import COLOURS, FAINT, GREY, INK, matplotlib, reproducible, style

from .measure import RESULTS, read
from .peers import models, recognition_models
from .peers.table import OURS
from .ratios import FAMILIES, FIRST, ONCE, WHOLE, FirstAnswer, Ratio, first_answers, ratios

_PEERS = {
    "torch": GREY, "torch-compile": INK, "optimum": COLOURS[0], "openvino": COLOURS[2], "ctranslate2": COLOURS[1],
    "faster-whisper": COLOURS[4], "onnxruntime-genai": COLOURS[3], "onnx-asr": COLOURS[5], "numpy": COLOURS[6],
}  # fmt: skip
_PEER_IS_AHEAD = "#B3440A"
_STEP = 0.118  # inches between a model's peers
_GAP = 1.3  # steps between two models
_TICKS = (0.25, 0.5, 1, 2, 5, 10, 20)


def main() -> None:
    """Draw from the results that are there."""
    found = ratios(read("generation")["rows"], read("recognition")["rows"])
    if not found:
        raise SystemExit(f"{RESULTS} has no results to draw: run benchmarks.generation or benchmarks.recognition first")
    for path in draw(found, first_answers(read("footprint")["rows"]), RESULTS):
        print(path)


def draw(found: Sequence[Ratio], started: Sequence[FirstAnswer], folder: Path) -> list[Path]:
    """Write overview.svg and overview.png into a folder; returns them."""
    figures, agg = matplotlib()
    with reproducible("overview"):
        figure = figures.Figure(layout="constrained")
        agg.FigureCanvasAgg(figure)
        _fill(figure, found, started)
        svg, png = folder / "overview.svg", folder / "overview.png"
        figure.savefig(svg, metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
        figure.savefig(png, dpi=150, metadata={"Software": None})
    return [svg, png]


def _fill(figure: Any, found: Sequence[Ratio], started: Sequence[FirstAnswer]) -> None:
    """Ratios above, first answers below, and how to read them."""
    heights, titles, total = _places(found)
    engines = list(dict.fromkeys(answer.engine for answer in started))
    below = 0.85 + 0.24 * len(engines) if engines else 0.0
    above = _STEP * total + 1.2
    figure.set_size_inches(10.2, above + below + 0.7)
    parts = figure.subfigures(2 if engines else 1, 1, squeeze=False, height_ratios=[above, below] if engines else None)
    _ratios(parts[0][0], found, heights, titles, total)
    if engines:
        for axes, name in zip(parts[1][0].subplots(1, 2, sharey=True), ("seconds", "mib"), strict=True):
            _first_answers(axes, started, engines, name)
    _foot(figure, found, started)


def _ratios(
    figure: Any, found: Sequence[Ratio], heights: Mapping[tuple[str, str, str], float], titles: Mapping[str, float],
    total: float,
) -> None:  # fmt: skip
    """A column for each precision, a row for each model and peer, models of a section together."""
    kinds = [kind for kind in FAMILIES if any(ratio.kind == kind for ratio in found)]
    grid = figure.subplots(1, len(kinds), sharey=True, sharex=True, squeeze=False)[0]
    low, high = min(min(ratio.times for ratio in found), 0.6), max(max(ratio.times for ratio in found), 1.25)
    for axes, kind in zip(grid, kinds, strict=True):
        style(axes)
        axes.set_xscale("log")
        axes.set_xlim(low / 1.35, high * 1.15)
        axes.set_ylim(total, -0.5)
        axes.axvspan(low / 1.35, 1, color=_PEER_IS_AHEAD, alpha=0.09, linewidth=0)
        axes.axvline(1, color=INK, linewidth=1)
        _points(axes, [ratio for ratio in found if ratio.kind == kind], heights)
        ticks = [tick for tick in _TICKS if low / 1.35 <= tick <= high * 1.15]
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.set_xticks([], minor=True)
        axes.grid(visible=True, axis="x", color=FAINT, linewidth=0.8)
        _heading(axes, [ratio for ratio in found if ratio.kind == kind])
        for title, place in titles.items():
            if place != min(titles.values()):
                axes.axhline(place - 0.9, color=FAINT, linewidth=0.8)
            if axes is grid[0]:
                axes.annotate(title, (0, place), xycoords=("axes fraction", "data"), textcoords="offset points",
                              xytext=(-6, 0), ha="right", va="center", fontsize=9, color=INK,
                              fontweight="bold")  # fmt: skip
    names = {}
    for model, place in _middles(heights).items():
        names[place] = "\n".join(textwrap.wrap(model[1].split(",")[0], 27))
    grid[0].set_yticks(list(names), list(names.values()), fontsize=8, color=INK)
    _legend(figure, found)


def _first_answers(axes: Any, started: Sequence[FirstAnswer], engines: Sequence[str], name: str) -> None:
    """A bar up to the median of what was measured of each engine, and a point for each model."""
    title = {"seconds": "from the start of a process to its first answer, s", "mib": "memory until then, MiB"}[name]
    style(axes)
    for place, engine in enumerate(engines):
        several = [float(getattr(answer, name)) for answer in started if answer.engine == engine]
        middle = statistics.median(several)
        axes.barh(place, middle, color=INK if engine.startswith(OURS.strip()) else FAINT, height=0.55)
        label = f"{middle:.3g}"
        if len(several) > 1:
            axes.scatter(several, [place] * len(several), s=8, color=GREY, zorder=3)
            label = f"median {label}"
        axes.annotate(label, (max(several), place), textcoords="offset points", xytext=(5, 0), va="center", fontsize=8,
                      color=INK)  # fmt: skip
    axes.set_yticks(range(len(engines)), engines, fontsize=8, color=INK)
    axes.set_ylim(len(engines) - 0.5, -0.5)
    axes.set_xlim(0, 1.25 * max(float(getattr(answer, name)) for answer in started))
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
    axes.set_title(title, loc="left", fontsize=10, color=INK)


def _heading(axes: Any, found: Sequence[Ratio]) -> None:
    """What a column shows, and how often a peer is ahead."""
    behind = sum(ratio.times < 1 for ratio in found)
    axes.set_title(f"{FAMILIES[found[0].kind]}: ahead in {len(found) - behind} of {len(found)} comparisons",
                   loc="left", fontsize=10, color=INK)  # fmt: skip
    axes.set_xlabel("times as fast as the peer, log scale", fontsize=9, color=INK)
    sides = ((-4, "right", "◀ the peer is faster", _PEER_IS_AHEAD), (4, "left", "torchless is faster ▶", INK))
    for x, side, text, colour in sides:
        axes.annotate(text, (1, 1), xycoords=("data", "axes fraction"), textcoords="offset points", xytext=(x, -6),
                      ha=side, va="top", fontsize=7.5, color=colour)  # fmt: skip


def _places(found: Sequence[Ratio]) -> tuple[dict[tuple[str, str, str], float], dict[str, float], float]:
    """The height of each section, model and peer; of each section's title; and of all."""
    heights: dict[tuple[str, str, str], float] = {}
    titles: dict[str, float] = {}
    at = 0.8
    order = [*models.MODELS.values(), *recognition_models.MODELS.values()]
    for section in (WHOLE, FIRST, ONCE):
        inside = [ratio for ratio in found if ratio.section == section]
        if not inside:
            continue
        at += 1
        titles[section] = at
        at += 2
        for model in (name for name in order if any(ratio.model == name for ratio in inside)):
            peers = _peers([ratio for ratio in inside if ratio.model == model])
            at += max(0, 3 - len(peers)) / 2  # a name may take two lines
            for peer in peers:
                heights[section, model, peer] = at
                at += 1
            at += _GAP + max(0, 3 - len(peers)) / 2
    return heights, titles, at


def _middles(heights: Mapping[tuple[str, str, str], float]) -> dict[tuple[str, str], float]:
    groups: dict[tuple[str, str], list[float]] = {}
    for (section, model, _), place in heights.items():
        groups.setdefault((section, model), []).append(place)
    return {group: (places[0] + places[-1]) / 2 for group, places in groups.items()}


def _points(axes: Any, found: Sequence[Ratio], heights: Mapping[tuple[str, str, str], float]) -> None:
    """A point per cell; those of a peer that is ahead are hollow, and the furthest of them has its number."""
    for (section, model, peer), place in heights.items():
        times = [ratio.times for ratio in found if (ratio.section, ratio.model, ratio.peer) == (section, model, peer)]
        if not times:
            continue
        colour = _PEERS.get(peer, INK)
        axes.plot([min(times), max(times)], [place, place], color=colour, linewidth=1, alpha=0.5, zorder=2)
        faces = ["white" if ratio < 1 else colour for ratio in times]
        axes.scatter(times, [place] * len(times), s=15, facecolors=faces, edgecolors=colour, linewidths=1.2, zorder=3)
        if min(times) < 0.995:
            axes.annotate(f"{min(times):.2f}", (min(times), place), textcoords="offset points", xytext=(-4, 0),
                          ha="right", va="center", fontsize=6.5, color=_PEER_IS_AHEAD)  # fmt: skip
    measured = {(ratio.section, ratio.model) for ratio in found}
    for group, place in _middles(heights).items():
        if group not in measured:
            axes.annotate("not measured", (1, place), textcoords="offset points", xytext=(6, 0), va="center",
                          fontsize=7, color=GREY)  # fmt: skip


def _peers(found: Sequence[Ratio]) -> dict[str, str]:
    """The peers that were measured, each with its colour."""
    names = {ratio.peer for ratio in found}
    return {peer: _PEERS.get(peer, INK) for peer in [*_PEERS, *sorted(names - set(_PEERS))] if peer in names}


def _legend(figure: Any, found: Sequence[Ratio]) -> None:
    """The peers by colour, above."""
    from matplotlib.lines import Line2D

    peers = _peers(found)
    handles = [Line2D([], [], color=colour, marker="o", markersize=4, linewidth=1) for colour in peers.values()]
    figure.legend(handles, list(peers), loc="outside upper center", ncols=len(peers), frameon=False, fontsize=8.5,
                  labelcolor=INK, handlelength=1.2, columnspacing=1.2)  # fmt: skip


def _foot(figure: Any, found: Sequence[Ratio], started: Sequence[FirstAnswer]) -> None:
    """How to read it, and what was measured on."""
    foot = (
        "Each point is one cell: a batch size, an input length and a number of beams; hollow where the peer is ahead, "
        "the furthest with its number. Weights are random at real sizes. Of int8, whose exactness differs by "
        "engine, the faster of dynamic and static ranges on both sides; how near answers are to float32's is in "
        f"benchmarks/README.md. Measured with 2 threads on {_machines(found)}. Ratios are of one machine and one day."
    )
    if started:
        each = ", a point for each" if len(started) > len({answer.engine for answer in started}) else ""
        foot += f" Below: shipped checkpoints of a few MB{each}, on {_machines(started)}."
    figure.supxlabel("\n".join(textwrap.wrap(foot, 190)), x=0.01, ha="left", fontsize=7, color=GREY)


def _machines(measured: Sequence[Ratio | FirstAnswer]) -> str:
    """Machines, each with its first and last day."""
    days: dict[str, list[str]] = {}
    for one in measured:
        days.setdefault(one.machine, []).append(one.date)
    return "; ".join(f"{machine}, {' to '.join(sorted({min(dates), max(dates)}))}" for machine, dates in days.items())


if __name__ == "__main__":
    main()
