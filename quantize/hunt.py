"""What a search does: variants made one by one, combined, judged from the fastest on, and repaired."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from glob import escape
from itertools import pairwise, product

from torchless.errors import SessionError
from torchless.progress import Report, timed

from . import hardware
from .measure import answer_ms
from .schemes import OPTIONS, Scheme
from .trials import Trial, Trials

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
        speed: how many times as fast as float32 an answer is; see :func:`.measure.answer_ms`.
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


class Hunt:
    """One search.

    Args:
        trials: what makes variants.
        budget: points.
        progress: called with each step.

    Attributes:
        tried: the choices that were judged, in order.
        slower: those that were not, because float32 is faster.
    """

    def __init__(self, trials: Trials, budget: float, progress: Report) -> None:
        self._trials, self._budget, self._progress = trials, budget, progress
        self._baseline: dict[str, tuple[float, int]] = {}  # milliseconds and bytes of the float32 graphs
        self.tried: list[Choice] = []
        self.slower: list[Choice] = []

    def run(self, roles: Sequence[str], schemes: Sequence[Scheme]) -> Choice | None:
        """The fastest choice inside the budget that float32 is not better than; None if there is none."""
        combinations, halves = self._combinations(roles, schemes)
        if not combinations:
            return None
        float32 = _order(self._choice({}, None))
        failed: list[dict[str, Trial]] = []
        best: Choice | None = None
        for parts in combinations:
            if _order(choice := self._choice(parts, None)) > float32:
                self.slower.append(choice)
                continue
            judged = self._judged(parts)
            if self._fits(judged):
                best = judged
                break
            failed.append(parts)
        for parts in [parts for parts in failed if parts is not halves][:_REPAIRED]:
            repaired = self._repaired(parts)
            if repaired is not None and _order(repaired) < (float32 if best is None else _order(best)):
                best = repaired
        return best

    def _combinations(
        self, roles: Sequence[str], schemes: Sequence[Scheme]
    ) -> tuple[list[dict[str, Trial]], dict[str, Trial] | None]:
        """What may be chosen, the fastest first, and which of it is several graphs in float16.

        Several graphs are in float16 together or not at all, for they hand each other caches.
        """
        whole = [scheme for scheme in schemes if scheme.name == "fp16" and len(roles) > 1]
        made = {role: list(self._made(role, [scheme for scheme in schemes if scheme not in whole])) for role in roles}
        found = [
            {trial.role: trial for trial in parts if trial is not None}
            for parts in product(*([*trials, None] for trials in made.values()))
        ]
        halves: dict[str, Trial] | None = None
        for scheme in whole:
            with timed(self._progress, f"{scheme.name} of all graphs"):
                halves = self._together(roles, scheme)
            found.append(halves)
        return sorted(filter(None, found), key=lambda parts: _order(self._choice(parts, None))), halves

    def _together(self, roles: Sequence[str], scheme: Scheme) -> dict[str, Trial]:
        """All graphs by a scheme; nothing where they cannot run it."""
        try:
            trials = self._trials.make_all(roles, scheme)
        except SessionError:
            return {}
        for trial in trials.values():
            self._count(trial)
        return trials

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
            self._count(trial)
        return trial

    def _count(self, trial: Trial) -> None:
        """Remember what float32 took beside the first trial of a graph."""
        measured = trial.measured
        self._baseline.setdefault(trial.role, (measured.baseline_ms, measured.baseline_bytes))

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
                scheme = replace(scheme, rest=scheme_here(_GENTLER[scheme.name])) if scheme.name in _GENTLER else scheme
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
        before = {role: ms for role, (ms, _) in self._baseline.items()}
        after = before | {role: before[role] / trial.measured.ratio for role, trial in parts.items()}
        speed = answer_ms(before) / answer_ms(after)
        sizes = {role: size for role, (_, size) in self._baseline.items()}
        sizes |= {role: trial.measured.bytes for role, trial in parts.items()}
        return Choice({role: trial.scheme for role, trial in parts.items()}, speed, lost, sum(sizes.values()))


def _order(choice: Choice) -> tuple[int, int, str]:
    """What is better comes first: faster, or equally fast and smaller."""
    return -round(math.log(choice.speed) / _EQUAL), choice.bytes, str(choice.schemes)


def scheme_here(name: str) -> Scheme:
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
