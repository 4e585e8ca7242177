"""What each variant of a bundle costs and gains: a table, JSON, and the numbers of a picture."""

from __future__ import annotations

import json
import math
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

from torchless.bundle import Bundle
from torchless.environment import cpu_count
from torchless.errors import OptionError
from torchless.generation.generator import ENCODER
from torchless.progress import Report as Progress
from torchless.progress import silent, timed

from . import hardware
from .drift import Drift
from .evaluation import METRICS, Scores, evaluate
from .forced import Forced, continues
from .labelled import Labelled, read_labelled
from .measure import Measured, compare, outputs_drift
from .samples import Feeds

STEPS = 16
"""Tokens that an answer is taken to have, where the time of an encoder and a decoder become one number."""

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


def report(
    bundle: Path,
    dtypes: Sequence[str | Mapping[str, str]],
    feeds: Feeds,
    metric_file: Path | None = None,
    *,
    task: str | None = None,
    metrics: Sequence[str] | None = None,
    baseline: str = "fp32",
    threads: int | None = None,
    seconds: float = 1.0,
    memory: bool = True,
    progress: Progress = silent,
) -> Report:
    """Measure variants of a bundle.

    Args:
        bundle: the bundle's folder.
        dtypes: the variants: by name, for all graphs that have one of that name, or by role.
        feeds: recorded inputs, see :func:`.samples.record`.
        metric_file: a labelled file, see :mod:`.labelled`.
        task: what the file is for; None takes the bundle's task.
        metrics: the wanted ones, the first counts; None takes all of the task's.
        baseline: what is compared with.
        threads: threads inside one operator; None takes what the process may use.
        seconds: how long time is taken for each graph of each variant.
        memory: whether to measure the memory of loading.
        progress: called with each step.

    Raises:
        OptionError: a variant that no graph has, or a wrong file or metric.
        InputError: a malformed line of the file.
        TaskError: a task without metrics.
    """
    base = Bundle.open(bundle, dtype=baseline, threads=threads)
    chosen = [_chosen(base, dtype, baseline) for dtype in (baseline, *dtypes)]
    wanted = dict(chosen)
    data = None if metric_file is None else read_labelled(metric_file, base, task)
    _check_metrics(data, metrics)
    forced = Forced(base, feeds.by_role) if continues(base) else None
    lines: list[Line] = []
    for name, roles in wanted.items():
        with timed(progress, f"measure {name}"):
            graphs = compare(
                bundle, roles, feeds, baseline=baseline, threads=threads, seconds=seconds, memory=memory, forced=forced
            )
            variant = Bundle.open(bundle, dtype=roles, threads=threads)
            drift = outputs_drift(base, variant, feeds, forced)
        with timed(progress, f"answer with {name}"):
            scores = None if data is None else evaluate(variant, data, metrics)
        lines.append(_line(name, roles, graphs, drift, scores, lines[0] if lines else None))
    return Report(
        bundle=base.folder.name,
        task=base.task if data is None else data.task,
        lines=tuple(lines),
        inputs=feeds.provenance,
        data=None if data is None else {"name": data.name, "sha256": data.sha256, "examples": len(data.inputs)},
        machine=machine(threads),
    )


def machine(threads: int | None = None) -> dict[str, Any]:
    """What was measured on: processor, threads and versions."""
    versions = {name: metadata.version(name) for name in ("onnxruntime", "numpy")}
    return {
        "processor": hardware.describe(), "threads": threads or cpu_count(), "python": platform.python_version(),
        **versions,
    }  # fmt: skip


def answer_ms(graphs: Mapping[str, Measured], *, baseline: bool = False) -> float:
    """Milliseconds of one answer: a call of each graph, and of those that write :data:`STEPS` where one encodes."""
    total = 0.0
    for role, measured in graphs.items():
        calls = STEPS if ENCODER in graphs and role != ENCODER else 1
        total += calls * (measured.baseline_ms if baseline else measured.ms)
    return total


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


def _chosen(bundle: Bundle, dtype: str | Mapping[str, str], baseline: str) -> tuple[str, dict[str, str]]:
    """A variant's name, and the variant of each graph."""
    known = bundle.dtypes
    if isinstance(dtype, Mapping):
        wrong = [role for role, name in dtype.items() if name not in known.get(role, ())]
        name = " ".join(f"{role}={value}" for role, value in dtype.items())
        roles = dict.fromkeys(known, baseline) | dict(dtype)
    else:
        wrong = [] if any(dtype in names for names in known.values()) else [dtype]
        name, roles = dtype, {role: dtype if dtype in names else baseline for role, names in known.items()}
    if wrong:
        raise OptionError(f"{bundle.folder} has no variant {dtype!r}; it has {known}")
    return name, roles


def _check_metrics(data: Labelled | None, metrics: Sequence[str] | None) -> None:
    if metrics is not None and data is None:
        raise OptionError(f"metrics {list(metrics)} are measured on a labelled file: give one")
    if metrics is not None and data is not None and not set(metrics) <= set(METRICS[data.kind]):
        raise OptionError(f"metrics {list(metrics)}: {data.kind} has {', '.join(METRICS[data.kind])}")


def _line(
    name: str, dtypes: dict[str, str], graphs: dict[str, Measured], drift: Drift, scores: Scores | None,
    base: Line | None,
) -> Line:  # fmt: skip
    """A line beside the first one; None makes the first one."""
    loads = [measured.load_mib for measured in graphs.values() if measured.load_mib is not None]
    total = sum(measured.bytes for measured in graphs.values())
    baseline_ms = answer_ms(graphs, baseline=True)
    speed = 1.0 if base is None else baseline_ms / answer_ms(graphs)
    against = scores if base is None else base.scores
    return Line(
        name=name,
        dtypes=dtypes,
        bytes=total,
        load_mib=sum(loads) if len(loads) == len(graphs) else None,
        ms=baseline_ms if base is None else base.ms / speed,
        size=total / sum(measured.baseline_bytes for measured in graphs.values()),
        speed=speed,
        drift=drift,
        scores=scores,
        lost=None if scores is None or against is None else scores.lost(against),
        graphs=graphs,
    )


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
