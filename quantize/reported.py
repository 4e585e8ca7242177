"""What a report tells: a table, JSON, and the numbers of a picture."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

from .drift import Drift
from .evaluation import Scores
from .measure import Measured

_MIB = 2**20


@dataclass(frozen=True)
class Line:
    """A variant of all of a bundle's graphs.

    Attributes:
        name: what it is called, such as ``"int8"`` or ``"encoder_model=int8 decoder_model=q4"``.
        dtypes: the variant of each graph.
        bytes: of all its graphs.
        load_mib: MiB that a process grows by when it loads them; None where it was not measured.
        ms: of one answer: a call of each graph, of a decoder :data:`STEPS` of them where there is an encoder. What
            else the machine does changes from line to line: the time is float32's divided by the speed.
        size: share of float32's bytes.
        speed: how many times as fast as float32, which was run in turns with it, graph by graph.
        drift: how far the bundle's outputs are from float32's.
        scores: metrics of its task; None where no labelled file was given.
        lost: points of the first metric that are lost beside float32; see :meth:`.evaluation.Scores.lost`.
        graphs: what was measured of each graph.
    """

    name: str
    dtypes: dict[str, str]
    bytes: int
    load_mib: float | None
    ms: float
    size: float
    speed: float
    drift: Drift
    scores: Scores | None
    lost: float | None
    graphs: dict[str, Measured] = field(default_factory=dict)


@dataclass(frozen=True)
class Report:
    """Variants of a bundle beside float32, which is the first line.

    Attributes:
        bundle: name of its folder.
        task: its task, or the one that was measured.
        lines: the variants.
        inputs: where the inputs come from that drift and speed were measured on.
        data: name, SHA-256 and rows of the labelled file; None where there was none.
        machine: processor, threads and versions.
    """

    bundle: str
    task: str | None
    lines: tuple[Line, ...]
    inputs: dict[str, Any]
    data: dict[str, Any] | None
    machine: dict[str, Any]

    def to_json(self) -> str:
        """All numbers, as JSON; what is infinite becomes null."""
        return json.dumps(_finite(asdict(self)), indent=1, ensure_ascii=False, allow_nan=False) + "\n"

    def to_text(self) -> str:
        """A table for a terminal."""
        machine = self.machine
        title = (
            f"{self.bundle}: {self.task or 'no task'}; {machine['processor']}, {machine['threads']} threads, "
            f"onnxruntime {machine['onnxruntime']}"
        )
        rows = [[heading for heading, _ in self._columns()]]
        rows += [[show(line) for _, show in self._columns()] for line in self.lines]
        notes = [
            f"size and speed beside {self.lines[0].name}; drift and same (labels, tokens) on {_inputs(self.inputs)}"
        ]
        if self.data is not None:
            notes.append(f"{', '.join(self._metrics())} on {self.data['examples']} rows of {self.data['name']}; "
                         f"lost: points of {self._metrics()[0]}")  # fmt: skip
        return "\n".join([title, *aligned(rows), *notes]) + "\n"

    def _metrics(self) -> list[str]:
        scores = self.lines[0].scores
        return [] if scores is None else list(scores.values)

    def _columns(self) -> list[tuple[str, Callable[[Line], str]]]:
        columns: list[tuple[str, Callable[[Line], str]]] = [
            ("variant", lambda line: line.name),
            ("MiB", lambda line: f"{line.bytes / _MIB:.1f}"),
            ("size", lambda line: f"{100 * line.size:.0f}%"),
            ("load MiB", lambda line: "-" if line.load_mib is None else f"{line.load_mib:.1f}"),
            ("ms", lambda line: f"{line.ms:.2f}"),
            ("speed", lambda line: f"{line.speed:.2f}x"),
            ("max", lambda line: f"{line.drift.max:.2g}"),
            ("mean", lambda line: f"{line.drift.mean:.2g}"),
            ("cosine", lambda line: f"{line.drift.cosine:.5f}"),
            ("same", lambda line: percent(line.drift.agreement)),
        ]
        columns += [(name.replace("_", " "), partial(score, name)) for name in self._metrics()]
        if self.data is not None:
            columns.append(("lost", lambda line: "-" if line.lost is None else f"{line.lost:+.2f}"))
        return columns


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table: the first column to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) if place == 0 else cell.rjust(width)
                  for place, (cell, width) in enumerate(zip(row, widths, strict=True))).rstrip()
        for row in rows
    ]  # fmt: skip


def percent(share: float | None) -> str:
    """A share for a table."""
    return "-" if share is None else f"{100 * share:.1f}%"


def score(name: str, line: Line) -> str:
    """A metric for a table."""
    if line.scores is None:
        return "-"
    value = line.scores.values[name]
    return f"{value:.3f}" if name == "perplexity" else percent(value)


def _inputs(provenance: Mapping[str, Any]) -> str:
    return f"{provenance.get('count', '?')} inputs of {provenance.get('name', 'unknown origin')}"


def _finite(value: Any) -> Any:
    """The same without numbers that JSON does not have."""
    if isinstance(value, dict):
        return {name: _finite(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
