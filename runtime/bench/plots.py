"""Pictures of a benchmark's result: latency, throughput, tokens, callers, start and memory."""

from __future__ import annotations

import io
import textwrap
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..drawing import GREY, INK, matplotlib, reproducible
from .charts import bars, callers, lines, starts
from .names import CALLERS, differing, finite, key
from .result import Result, Row
from .tables import common, facts, heading

_DPI = 150
# Nothing in a file that changes from day to day.
_NO_METADATA = dict.fromkeys(("Creator", "Date", "Format", "Type"))


@dataclass(frozen=True)
class Chart:
    """A picture of one quantity.

    Attributes:
        name: of its file.
        quantity: as in :class:`.Row`.
        title: over it.
        along: the fields that may run to the right; the first in which rows differ does.
        single: whether there is a picture where rows differ in none of them.
    """

    name: str
    quantity: str
    title: str
    along: tuple[str, ...]
    single: bool = True


_INPUTS = ("length", "seconds", "size", "new_tokens")
CHARTS = (
    Chart("latency", "latency_ms", "Latency of a call", (*_INPUTS, "batch", "beams")),
    Chart("throughput", "throughput_per_s", "Throughput", ("batch",), single=False),
    Chart("first-token", "first_token_ms", "Time to the first token", (*_INPUTS, "batch", "beams")),
    Chart("token", "token_ms", "Time for each further token", (*_INPUTS, "batch", "beams")),
    Chart("real-time", "real_time_factor", "Seconds of sound heard per second", ("seconds", "batch")),
)
"""The pictures of what one caller sees."""


def check() -> None:
    """Whether pictures can be drawn.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    matplotlib()


def figures(result: Result) -> dict[str, str]:
    """Each picture that there are numbers for, as the text of an SVG file; the same for the same result.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    found = {}
    for name, figure in _drawn(result):
        out = io.StringIO()
        figure.savefig(out, format="svg", metadata=_NO_METADATA)
        found[name] = out.getvalue()
    return found


def write_pngs(result: Result, folder: Path) -> list[Path]:
    """The same pictures as PNG files in a folder that is there.

    Returns:
        The files, which are replaced.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    paths = []
    for name, figure in _drawn(result):
        path = folder / f"{name}.png"
        figure.savefig(path, dpi=_DPI, metadata={"Software": None})
        paths.append(path)
    return paths


def _drawn(result: Result) -> Iterator[tuple[str, Any]]:
    """The pictures one after the other, each with its name, to be saved before the next is asked for."""
    title = heading(result)[0]
    onnxruntime = result.versions.get("onnxruntime", "")
    footer = facts({name: result.machine.get(name) for name in ("processor", "cpus")})
    footer += f", onnxruntime {onnxruntime}" if onnxruntime else ""
    alone = [row for row in result.rows if row.mode == "alone"]
    for chart in CHARTS:
        rows = [row for row in alone if finite(row, chart.quantity)]
        apart = {field.name for field in differing(rows)}
        along = next((name for name in chart.along if name in apart), None)
        if rows and (along or chart.single):
            with _figure(chart.name) as figure:
                note = (
                    bars(figure, rows, chart.quantity) if along is None else lines(figure, rows, chart.quantity, along)
                )
                _frame(figure, f"{chart.title} · {title}", note, common(rows), footer)
                yield chart.name, figure
    several = _called_together(result.rows)
    if several:
        with _figure("callers") as figure:
            _frame(figure, f"Several callers · {title}", callers(figure, several), common(several), footer)
            yield "callers", figure
    if result.starts:
        with _figure("start") as figure:
            note = starts(figure, result.starts)
            _frame(figure, f"Start and memory · {title}", note, common(result.starts), footer)
            yield "start", figure


def _called_together(rows: tuple[Row, ...]) -> list[Row]:
    """Rows with several callers, and those with one in the same configuration."""
    together = [row for row in rows if row.mode != "alone" and finite(row, "throughput_per_s")]
    places = {_place(row) for row in together}
    return [row for row in rows if row in together or (row.mode == "alone" and _place(row) in places)]


def _place(row: Row) -> tuple[object, ...]:
    return key(row)[: -len(CALLERS)]


@contextmanager
def _figure(name: str) -> Iterator[Any]:
    """An empty figure."""
    modules, agg = matplotlib()
    with reproducible(name), warnings.catch_warnings():
        # A name in a script that matplotlib's font lacks: SVG has the text all the same.
        warnings.filterwarnings("ignore", "Glyph .* missing")
        figure = modules.Figure(layout="constrained")
        agg.FigureCanvasAgg(figure)
        yield figure


def _frame(figure: Any, title: str, *feet: str) -> None:
    """A title, and below how to read the picture and what was measured on; in lines that it has room for."""
    points = 72 * figure.get_size_inches()[0]
    style: dict[str, Any] = {"x": 0.01, "ha": "left"}
    figure.suptitle(_wrapped(title, points - 80, 12), fontsize=12, color=INK, **style)
    figure.supxlabel(_wrapped(" · ".join(filter(None, feet)), points, 7), fontsize=7, color=GREY, **style)


def _wrapped(text: str, points: float, size: float) -> str:
    """A text in lines of a width, a character taking 0.6 of the size of the font on average."""
    return textwrap.fill(text, int(points / (0.6 * size)))
