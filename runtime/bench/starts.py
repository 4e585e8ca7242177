"""What starting costs: each variant in fresh processes, again and again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .configurations import Configuration
from .failures import Failures, Progress
from .process import start
from .result import Start
from .timing import summarize


class Starts:
    """What starting each variant costs, with its first configuration; and the memory of every configuration.

    Args:
        configurations: all of them; of those of a variant the first is started again and again, the others once.
    """

    def __init__(self, configurations: Sequence[Configuration]) -> None:
        self._ran: dict[Configuration, list[dict[str, float]]] = {one: [] for one in configurations}
        self._first = {one.variant: one for one in reversed(configurations)}

    def measure(self, repeats: int, tell: Progress, failures: Failures) -> None:
        """Start the processes, all configurations in turns; one that fails is not started again."""
        failed = set()
        for number in range(repeats):
            for one in self._ran:
                if one in failed or not (number == 0 or self._first[one.variant] is one):
                    continue
                tell(f"starting, {number + 1} of {repeats}: {one}")
                count = len(self._ran[one])
                with failures.noted(f"starting {one}"):
                    self._ran[one].append(start(one.job))
                if len(self._ran[one]) == count:
                    failed.add(one)

    def memory(self, one: Configuration) -> dict[str, float]:
        """Of a process that makes one call at a time; without what was not measured."""
        return _medians(self._ran[one], ("resident_mib", "peak_mib"))

    def rows(self) -> tuple[Start, ...]:
        """Those of each variant that has been started."""
        chosen = [one for one, ran in self._ran.items() if self._first[one.variant] is one and ran]
        return tuple(self._row(one) for one in chosen)

    def _row(self, one: Configuration) -> Start:
        variant, times = one.variant, ("import_ms", "load_ms", "cold_start_ms")
        return Start(
            bundle=variant.bundle,
            dtype=variant.dtype,
            provider=variant.provider,
            threads=variant.threads,
            metrics={name: summarize([ran[name] for ran in self._ran[one]]) for name in times},
            values={**self.memory(one), "bundle_mib": variant.mib},
            optimized=variant.optimized,
        )


def _medians(found: Sequence[Mapping[str, float]], names: Sequence[str]) -> dict[str, float]:
    """Of those that the system tells."""
    told = {name: [one[name] for one in found if name in one] for name in names}
    return {name: summarize(values).p50 for name, values in told.items() if values}
