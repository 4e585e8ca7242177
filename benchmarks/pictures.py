"""One picture of all measurements beside peers, for README.md.

``python -m benchmarks.pictures`` reads results/generation.json and results/recognition.json, and writes
results/overview.svg and results/overview.png. Every point is one cell: how many times as long a peer takes. Where a
cell has several variants of a precision, such as int8 with static and with dynamic ranges, the fastest of each side is
compared. Each ratio is of one day.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torchless.drawing import COLOURS, FAINT, GREY, INK, matplotlib, reproducible, style

from .measure import RESULTS, read
from .peers import models, recognition_models
from .peers.table import OURS, Row, family, same_run

FAMILIES = {"fp32": "float32", "int8": "int8"}
WHOLE, FIRST, ONCE = "generating 64 tokens", "up to the first token", "text, speech and vision: a call"
_PEERS = {
    "torch": GREY, "torch-compile": INK, "optimum": COLOURS[0], "openvino": COLOURS[2], "ctranslate2": COLOURS[1],
    "faster-whisper": COLOURS[4], "onnxruntime-genai": COLOURS[3], "onnx-asr": COLOURS[5], "numpy": COLOURS[6],
}  # fmt: skip
_PEER_IS_AHEAD = "#B3440A"
_STEP = 0.118  # inches between a model's peers
_GAP = 1.3  # steps between two models
_TICKS = (0.25, 0.5, 1, 2, 5, 10, 20)


@dataclass(frozen=True)
class Ratio:
    """One cell beside one peer.

    Attributes:
        section: what was timed.
        model: its name.
        kind: the precision, a key of :data:`FAMILIES`.
        peer: the engine.
        times: how many times as long it takes as this project.
        machine: what both ran on.
        date: of the run.
    """

    section: str
    model: str
    kind: str
    peer: str
    times: float
    machine: str
    date: str


def main() -> None:
    """Draw from the results that are there."""
    found = ratios(read("generation")["rows"], read("recognition")["rows"])
    if not found:
        raise SystemExit(f"{RESULTS} has no results to draw: run benchmarks.generation or benchmarks.recognition first")
    for path in draw(found, RESULTS):
        print(path)


def ratios(generation: Iterable[Row], recognition: Iterable[Row]) -> list[Ratio]:
    """Every cell beside every peer of its precision, on the same machine and day.

    Args:
        generation: rows of results/generation.json; the time of an answer is that of all its tokens.
        recognition: rows of results/recognition.json.
    """
    cells: dict[tuple[Any, ...], list[tuple[Row, float]]] = {}
    for row in generation:
        shape = (row["batch"], row["input"], row["beams"])
        name = models.MODELS[row["model"]]
        whole = row["prefill_ms"] + (row["new"] - 1) * row["step_ms"]
        for section, ms in ((WHOLE, whole), (FIRST, row["prefill_ms"])):
            cells.setdefault((section, name, family(row["contender"]), shape), []).append((row, ms))
    for row in recognition:
        shape = (row["work"], row["input"], row["batch"])
        name = recognition_models.MODELS[row["case"]]
        cells.setdefault((ONCE, name, family(row["contender"]), shape), []).append((row, row["ms"]))
    return [
        ratio
        for (section, name, kind, _), cell in cells.items()
        if kind in FAMILIES
        for ratio in _beside_peers(section, name, kind, cell)
    ]


def _beside_peers(section: str, name: str, kind: str, cell: Sequence[tuple[Row, float]]) -> list[Ratio]:
    """A cell beside each peer, the fastest variant of both."""
    best: dict[str, Ratio] = {}
    fastest: dict[str, float] = {}
    for row, ms in cell:
        peer = row["contender"].split()[0]
        ours = [other_ms for other, other_ms in cell if other["contender"].startswith(OURS) and same_run(row, other)]
        if row["contender"].startswith(OURS) or not ours or ms >= fastest.get(peer, math.inf):
            continue
        fastest[peer] = ms
        best[peer] = Ratio(section, name, kind, peer, ms / min(ours), row["machine"], row["date"])
    return list(best.values())


def draw(found: Sequence[Ratio], folder: Path) -> list[Path]:
    """Write overview.svg and overview.png into a folder; returns them."""
    figures, agg = matplotlib()
    with reproducible("overview"):
        figure = figures.Figure(layout="constrained")
        agg.FigureCanvasAgg(figure)
        _fill(figure, found)
        svg, png = folder / "overview.svg", folder / "overview.png"
        figure.savefig(svg, metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
        figure.savefig(png, dpi=150, metadata={"Software": None})
    return [svg, png]


def _fill(figure: Any, found: Sequence[Ratio]) -> None:
    """A column for each precision, a row for each model and peer, models of a section together."""
    kinds = [kind for kind in FAMILIES if any(ratio.kind == kind for ratio in found)]
    heights, titles, total = _places(found)
    figure.set_size_inches(10.2, _STEP * total + 1.9)
    grid = figure.subplots(1, len(kinds), sharey=True, sharex=True, squeeze=False)[0]
    low, high = min(min(ratio.times for ratio in found), 0.8), max(max(ratio.times for ratio in found), 1.25)
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
    at = 0.0
    order = [*models.MODELS.values(), *recognition_models.MODELS.values()]
    for section in (WHOLE, FIRST, ONCE):
        inside = [ratio for ratio in found if ratio.section == section]
        if not inside:
            continue
        at += 1
        titles[section] = at
        at += 2
        for model in (name for name in order if any(ratio.model == name for ratio in inside)):
            peers = [peer for peer in _PEERS if any((ratio.model, ratio.peer) == (model, peer) for ratio in inside)]
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
        colour = _PEERS[peer]
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


def _legend(figure: Any, found: Sequence[Ratio]) -> None:
    """The peers by colour above, and below how to read it and what was measured on."""
    from matplotlib.lines import Line2D

    peers = [peer for peer in _PEERS if any(ratio.peer == peer for ratio in found)]
    handles = [Line2D([], [], color=_PEERS[peer], marker="o", markersize=4, linewidth=1) for peer in peers]
    figure.legend(handles, peers, loc="outside upper center", ncols=len(peers), frameon=False, fontsize=8.5,
                  labelcolor=INK, handlelength=1.2, columnspacing=1.2)  # fmt: skip
    days: dict[str, list[str]] = {}
    for ratio in found:
        days.setdefault(ratio.machine, []).append(ratio.date)
    machines = [f"{machine}, {' to '.join(sorted({min(dates), max(dates)}))}" for machine, dates in days.items()]
    foot = (
        "Each point is one cell: a batch size, an input length and a number of beams; hollow where the peer is ahead, "
        "the furthest with its number. Weights are random at real sizes. Of int8, whose exactness differs by "
        "engine, the faster of dynamic and static ranges on both sides; how near answers are to float32's is in "
        f"benchmarks/README.md. Measured with 2 threads on {'; '.join(machines)}. Each ratio is of one day."
    )
    figure.supxlabel("\n".join(textwrap.wrap(foot, 190)), x=0.01, ha="left", fontsize=7, color=GREY)


if __name__ == "__main__":
    main()
