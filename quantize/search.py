"""The fastest variant of a bundle that loses no more than a budget.

Each scheme is tried on each graph, and the combinations are judged from the fastest on. One that loses too much is
repaired: the weights are taken in groups, in the order of the graph, each group in turn is left in float32, and those
without which the outputs are nearest to float32's are excluded, as few as bring the loss inside the budget; or they go
through a scheme that loses less, where that is faster still.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from glob import escape
from itertools import pairwise, product
from pathlib import Path

from torchless.bundle import Bundle
from torchless.errors import OptionError, QuantizationError, SessionError
from torchless.generation.generator import ENCODER
from torchless.progress import Report, silent, timed

from . import hardware
from .labelled import read_labelled
from .plans import local_folder
from .report import STEPS
from .samples import Feeds
from .schemes import OPTIONS, Scheme
from .staging import staged
from .trials import Trial, Trials

CANDIDATES = ("int8", "int8-static", "q8", "q4")
"""The schemes that are tried on each graph, unless others are asked for."""

# Groups of weights of a graph, combinations that are repaired, and what the excluded weights may go through instead.
_GROUPS = 16
_REPAIRED = 3
_GENTLER = {"q4": "q8", "int8": "q8", "int8-static": "int8"}
# Speeds that are nearer than this are equal: then the smaller one is better.
_EQUAL = 0.03


@dataclass(frozen=True)
class Choice:
    """Schemes by graph, and what they cost.

    Attributes:
        schemes: of each graph that is quantized; the others stay in float32.
        speed: how many times as fast as float32 an answer is; see :func:`.report.answer_ms`.
        lost: points, see :meth:`.trials.Trials.lost`; None where they were not counted.
        bytes: of all graphs.
    """

    schemes: dict[str, Scheme]
    speed: float
    lost: float | None
    bytes: int

    def __str__(self) -> str:
        parts = (f"{role} {_named(scheme)}" for role, scheme in self.schemes.items())
        lost = "" if self.lost is None else f", lost {self.lost:.2f} points"
        return f"{', '.join(parts)}: {self.speed:.2f} times as fast{lost}, {self.bytes / 2**20:.1f} MiB"


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
        QuantizationError: nothing that was tried is inside the budget; tells what came nearest.
        BundleError: a folder that has no manifest.
    """
    budget = points(max_drop)
    wanted = [_scheme(name) for name in schemes]
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
        hunt = _Search(trials, budget, progress)
        choice = hunt.run(list(base.dtypes), wanted)
    if choice is None:
        nearest = min(hunt.tried, key=lambda tried: tried.lost or 0.0, default=None)
        raise QuantizationError(
            f"nothing stays within {budget:g} points of {trials.metric}; nearest came "
            f"{nearest or 'nothing: no scheme finds anything to quantize'}"
        )
    return Found(choice, tuple(hunt.tried), budget, trials.metric)


class _Search:
    """One search.

    Args:
        trials: what makes variants.
        budget: points.
        progress: called with each step.
    """

    def __init__(self, trials: Trials, budget: float, progress: Report) -> None:
        self._trials, self._budget, self._progress = trials, budget, progress
        self._baseline: dict[str, tuple[float, int]] = {}  # milliseconds and bytes of the float32 graphs
        self.tried: list[Choice] = []

    def run(self, roles: Sequence[str], schemes: Sequence[Scheme]) -> Choice | None:
        """The fastest choice inside the budget; None if there is none."""
        made = {role: list(self._made(role, schemes)) for role in roles}
        combinations = [
            {trial.role: trial for trial in parts if trial is not None}
            for parts in product(*([*trials, None] for trials in made.values()))
        ]
        combinations = sorted(filter(None, combinations), key=lambda parts: _order(self._choice(parts, None)))
        failed: list[dict[str, Trial]] = []
        best: Choice | None = None
        for parts in combinations:
            judged = self._judged(parts)
            if self._fits(judged):
                best = judged
                break
            failed.append(parts)
        for parts in failed[:_REPAIRED]:
            repaired = self._repaired(parts)
            if repaired is not None and (best is None or _order(repaired) < _order(best)):
                best = repaired
        return best

    def _made(self, role: str, schemes: Sequence[Scheme]) -> Iterator[Trial]:
        """The graph by each scheme; one that cannot run it is left out."""
        for scheme in schemes:
            with timed(self._progress, f"{role} {scheme.name}"):
                trial = self._try(role, scheme)
            if trial is not None:
                yield trial

    def _try(self, role: str, scheme: Scheme) -> Trial | None:
        try:
            trial = self._trials.make(role, scheme)
        except SessionError:
            return None
        if trial is not None:
            measured = trial.measured
            self._baseline.setdefault(role, (measured.baseline_ms, measured.baseline_bytes))
        return trial

    def _repaired(self, parts: Mapping[str, Trial]) -> Choice | None:
        """The choice with as few sensitive groups excluded as bring it inside the budget; None if none does."""
        groups = self._sensitive(parts)
        inside: dict[int, tuple[dict[str, Trial], Choice]] = {}

        def fits(count: int) -> bool:
            changed = self._without(parts, groups[:count], gentler=False)
            judged = None if changed is None else self._judged(changed)
            if changed is not None and judged is not None and self._fits(judged):
                inside[count] = (changed, judged)
            return count in inside

        least = _least(len(groups) - 1, fits)
        if least is None:
            return None
        repaired = inside[least][1]
        gentler = self._without(parts, groups[:least], gentler=True)
        if gentler is not None and _order(self._choice(gentler, None)) < _order(repaired):
            judged = self._judged(gentler)
            repaired = judged if self._fits(judged) else repaired
        return repaired

    def _sensitive(self, parts: Mapping[str, Trial]) -> list[tuple[str, tuple[str, ...]]]:
        """Groups of weights by graph, those first without which the outputs are nearest to float32's."""
        found = []
        for role, trial in parts.items():
            for place, group in enumerate(_grouped(trial.weights)):
                with timed(self._progress, f"{role} {trial.scheme.name}, sensitivity of group {place + 1}"):
                    drift = self._trials.drift(role, _excluding(trial.scheme, group))
                found.append((trial.measured.drift.relative - drift.relative, role, group))
        found.sort(key=lambda item: -item[0])
        return [(role, group) for _, role, group in found]

    def _without(
        self, parts: Mapping[str, Trial], groups: Sequence[tuple[str, tuple[str, ...]]], *, gentler: bool
    ) -> dict[str, Trial] | None:
        """The trials with groups excluded, or through a gentler scheme; None if that leaves nothing quantized."""
        changed = dict(parts)
        for role in dict.fromkeys(role for role, _ in groups):
            names = [name for other, group in groups if other == role for name in group]
            scheme = _excluding(parts[role].scheme, names)
            if gentler:
                scheme = replace(scheme, rest=_scheme(_GENTLER[scheme.name])) if scheme.name in _GENTLER else scheme
            trial = self._try(role, scheme)
            if trial is None:
                return None
            changed[role] = trial
        return changed

    def _judged(self, parts: Mapping[str, Trial]) -> Choice:
        names = ", ".join(f"{role} {_named(trial.scheme)}" for role, trial in parts.items())
        with timed(self._progress, f"answers of {names}"):
            choice = self._choice(parts, self._trials.lost(parts))
        self.tried.append(choice)
        return choice

    def _fits(self, choice: Choice) -> bool:
        return choice.lost is not None and choice.lost <= self._budget + 1e-9

    def _choice(self, parts: Mapping[str, Trial], lost: float | None) -> Choice:
        """What trials cost together: a graph's time is float32's first one, divided by the trial's speed."""
        before = after = 0.0
        size = 0
        for role, (ms, whole) in self._baseline.items():
            calls = STEPS if ENCODER in self._baseline and role != ENCODER else 1
            before += calls * ms
            after += calls * (ms / parts[role].measured.ratio if role in parts else ms)
            size += parts[role].measured.bytes if role in parts else whole
        return Choice({role: trial.scheme for role, trial in parts.items()}, before / after, lost, size)


def _order(choice: Choice) -> tuple[int, int, str]:
    """What is better comes first: faster, or equally fast and smaller."""
    return -round(math.log(choice.speed) / _EQUAL), choice.bytes, str(choice.schemes)


def _scheme(name: str) -> Scheme:
    """A scheme as this machine needs it."""
    scheme = Scheme.checked(name)
    return replace(scheme, reduce_range=hardware.saturates()) if "reduce_range" in OPTIONS[name] else scheme


def _excluding(scheme: Scheme, names: Sequence[str]) -> Scheme:
    return replace(scheme, exclude=tuple(sorted(map(escape, names))))


def _named(scheme: Scheme) -> str:
    """A scheme in a few words."""
    left = f" but {len(scheme.exclude)} weights" if scheme.exclude else ""
    return f"{scheme.name}{left}" + (f" ({scheme.rest.name})" if scheme.rest is not None else "")


def _grouped(weights: Sequence[str]) -> list[tuple[str, ...]]:
    """Weights that follow each other, in groups of like size."""
    count = min(_GROUPS, len(weights))
    edges = [place * len(weights) // count for place in range(count + 1)]
    return [tuple(weights[start:end]) for start, end in pairwise(edges)]


def _least(most: int, fits: Callable[[int], bool]) -> int | None:
    """The least number that fits, taken to fit from there on; None if none up to the last one does."""
    low, high = 0, 1
    while high <= most and not fits(high):
        low, high = high, 2 * high if 2 * high <= most or high == most else most
    if high > most:
        return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if fits(middle) else (middle, high)
    return high
