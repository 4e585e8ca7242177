"""What each variant of a bundle costs and gains, measured."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from torchless.bundle import Bundle
from torchless.environment import cpu_count
from torchless.errors import OptionError
from torchless.progress import Report as Progress
from torchless.progress import silent, timed

from . import hardware
from .drift import Drift
from .evaluation import METRICS, Scores, evaluate
from .forced import Forced, continues
from .labelled import Labelled, read_labelled
from .measure import Measured, answer_ms, compare, outputs_drift
from .reported import Line, Report
from .samples import Feeds


def report(
    bundle: Path,
    dtypes: Sequence[str | Mapping[str, str]],
    feeds: Feeds,
    metric_file: Path | Labelled | None = None,
    *,
    task: str | None = None,
    metrics: Sequence[str] | None = None,
    baseline: str = "fp32",
    baseline_scores: Scores | None = None,
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
        metric_file: a labelled file, see :mod:`.labelled`, or what was read of one.
        task: what the file is for; None takes the bundle's task.
        metrics: the wanted ones, the first counts; None takes all of the task's.
        baseline: what is compared with.
        baseline_scores: its metrics on the labelled file, where they are known.
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
    data = read_labelled(metric_file, base, task) if isinstance(metric_file, Path) else metric_file
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
        scores = None if lines else baseline_scores
        if data is not None and scores is None:
            with timed(progress, f"answer with {name}"):
                scores = evaluate(variant, data, metrics)
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
    baseline_ms = answer_ms({role: measured.baseline_ms for role, measured in graphs.items()})
    speed = 1.0 if base is None else baseline_ms / answer_ms({role: measured.ms for role, measured in graphs.items()})
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
