"""The fastest variant of a bundle that loses no more than a budget.

Each scheme is tried on each graph, and the combinations are judged from the fastest on. One that loses too much is
repaired: the weights are taken in groups, in the order of the graph, each group in turn is left in float32, and those
without which the outputs are nearest to float32's are excluded, as few as bring the loss inside the budget; or they go
through a scheme that loses less, where that is faster still.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torchless.bundle import Bundle
from torchless.errors import OptionError, QuantizationError
from torchless.progress import Report, silent, timed

from .hunt import Choice, Hunt, scheme_here
from .labelled import read_labelled
from .plans import local_folder
from .samples import Feeds
from .staging import staged
from .trials import Trials

CANDIDATES = ("int8", "int8-static", "q8", "q4")
"""The schemes that are tried on each graph, unless others are asked for."""


@dataclass(frozen=True)
class Found:
    """What a search found.

    Attributes:
        choice: the fastest one inside the budget; write it with ``quantize(bundle, choice.schemes)``.
        tried: all that were judged, in order.
        budget: points that may be lost.
        metric: what is counted.
    """

    choice: Choice
    tried: tuple[Choice, ...]
    budget: float
    metric: str


def points(drop: str | float) -> float:
    """A budget in points: hundredths of a share, so that ``"0.5%"`` and ``0.5`` allow 0.900 instead of 0.905.

    Raises:
        OptionError: no number, or a negative one.
    """
    try:
        value = float(drop.strip().removesuffix("%") if isinstance(drop, str) else drop)
    except (TypeError, ValueError):
        value = float("nan")
    if not 0 <= value < float("inf") or isinstance(drop, bool):
        raise OptionError(f"a budget is a number of points that may be lost, such as 0.5%, not {drop!r}")
    return value


def search(
    bundle: str | Path,
    max_drop: str | float,
    feeds: Feeds,
    *,
    metric_file: Path | None = None,
    task: str | None = None,
    metrics: Sequence[str] | None = None,
    schemes: Sequence[str] = CANDIDATES,
    threads: int | None = None,
    seconds: float = 0.5,
    progress: Report = silent,
) -> Found:
    """Find the fastest variant inside a budget. The bundle stays as it is.

    Args:
        bundle: the bundle's folder.
        max_drop: points of the metric that may be lost beside float32, such as ``"0.5%"``; of perplexity, percent.
        feeds: recorded inputs, see :func:`.samples.record`: speed and drift are measured on them, and the ranges of
            int8-static are taken there.
        metric_file: a labelled file, see :mod:`.labelled`. Without one a point is one answer in a hundred, label or
            token, that is not float32's on ``feeds``.
        task: what the file is for; None takes the bundle's task.
        metrics: the first is what counts; None takes the task's first.
        schemes: what is tried.
        threads: threads inside one operator; None takes what the process may use.
        seconds: how long time is taken for each graph that is tried.
        progress: called with each step.

    Raises:
        OptionError: a malformed budget or option.
        QuantizationError: nothing that was tried is inside the budget and as fast as float32; tells what came nearest.
        BundleError: a folder that has no manifest.
    """
    budget = points(max_drop)
    wanted = [scheme_here(name) for name in schemes]
    folder = local_folder(bundle)
    base = Bundle.open(folder, dtype="fp32", threads=threads)
    data = None if metric_file is None else read_labelled(metric_file, base, task)
    if metrics is not None and data is None:
        raise OptionError(f"metrics {list(metrics)} are measured on a labelled file: give one")
    if missing := [role for role in base.dtypes if not feeds.by_role.get(role)]:
        raise OptionError(f"no recorded inputs of {missing[0]}")
    with staged(folder) as staging:
        with timed(progress, "float32"):
            trials = Trials(staging, feeds, data, None if metrics is None else tuple(metrics), threads, seconds)
        hunt = Hunt(trials, budget, progress)
        choice = hunt.run(list(base.dtypes), wanted)
    if choice is None:
        raise QuantizationError(_nothing(hunt, budget, trials.metric))
    return Found(choice, tuple(hunt.tried), budget, trials.metric)


def _nothing(hunt: Hunt, budget: float, metric: str) -> str:
    """Why nothing was found."""
    if hunt.tried:
        nearest = min(hunt.tried, key=lambda tried: tried.lost or 0.0)
        also = "; the other choices are slower than float32 here" if hunt.slower else ""
        return f"nothing stays within {budget:g} points of {metric}; nearest came {nearest}{also}"
    if hunt.slower:
        return (
            f"nothing is as fast as float32 here; nearest came {hunt.slower[0]}. To have what is smaller all the same, "
            "name its scheme, without a budget"
        )
    return "no scheme finds anything to quantize that runs here: float32 stays"
