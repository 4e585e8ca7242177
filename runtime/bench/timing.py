"""Times of calls, and what repeated measurements say: median, percentiles, and how well the median is known."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache

from .result import Summary

# Intervals from here on by the normal approximation, which then differs by a place or two of the exact one.
_LARGE = 1000
_CONFIDENCE = 0.95

CERTAIN = 6
"""Values from which on the median's interval has its confidence of 95 %."""


@dataclass(frozen=True)
class Call:
    """One call.

    Attributes:
        ms: milliseconds from the raw input to the answer.
        first_token_ms: until the first token was there; None where nothing is generated.
        token_ms: of each step after it.
        tokens: that were generated, for all inputs.
        amount: tokens that were read, or seconds that were heard, of all inputs.
    """

    ms: float
    first_token_ms: float | None = None
    token_ms: tuple[float, ...] = ()
    tokens: int = 0
    amount: float = 0.0


@dataclass(frozen=True)
class Share:
    """How much is measured in one turn: a number of calls, or as many as fit into some seconds, one at least.

    Attributes:
        calls: of each worker; None where time decides.
        seconds: None where the number decides.
    """

    calls: int | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class Turn:
    """Calls that followed each other.

    Attributes:
        calls: those that count.
        rate: calls per second, of all workers together.
        cpu_s: seconds that all threads were on processors meanwhile.
    """

    calls: list[Call]
    rate: float
    cpu_s: float


@dataclass
class Times:
    """All turns of a configuration."""

    calls: list[Call] = field(default_factory=list)
    cpu_s: float = 0.0
    _seconds: float = 0.0

    def add(self, turn: Turn) -> None:
        """Add a turn."""
        self.calls += turn.calls
        self.cpu_s += turn.cpu_s
        self._seconds += len(turn.calls) / turn.rate

    @property
    def rate(self) -> float:
        """Calls per second, over all turns."""
        return len(self.calls) / self._seconds


def repeat(call: Callable[[], Call], share: Share) -> Turn:
    """Call again and again, as much as the share says."""
    calls: list[Call] = []
    cpu, start = time.process_time(), time.perf_counter()
    while _goes_on(len(calls), time.perf_counter() - start, share):
        calls.append(call())
    return Turn(calls, len(calls) / (time.perf_counter() - start), time.process_time() - cpu)


def _goes_on(calls: int, seconds: float, share: Share) -> bool:
    if share.calls is not None:
        return calls < share.calls
    return not calls or seconds < (share.seconds or 0.0)


def summarize(values: Sequence[float]) -> Summary:
    """Mean, percentiles, and the 95 % interval of the median.

    The interval ends at two of the values themselves, those between which the median of what was sampled lies with
    95 % confidence however the times are distributed: they are skewed, with a long tail (J.-Y. Le Boudec, Performance
    Evaluation of Computer and Communication Systems, 2010, theorem 2.1). Fewer than 6 values cannot give 95 %; the
    smallest and the largest then stand for the interval, see :func:`confidence`. It is exact for independent calls;
    what slows the machine down for longer than a call makes it too narrow, which is why configurations take turns.
    Percentiles above the median are the smallest value that as many are not larger than (nearest rank).

    Args:
        values: at least one.

    Example:
        >>> summarize([3.0, 1.0, 2.0, 5.0, 4.0, 6.0])
        Summary(n=6, mean=3.5, p50=3.5, p90=6.0, p99=6.0, low=1.0, high=6.0)
    """
    ordered = sorted(values)
    count = len(ordered)
    low, high = _places(count)
    return Summary(
        n=count,
        mean=math.fsum(ordered) / count,
        p50=(ordered[(count - 1) // 2] + ordered[count // 2]) / 2,
        p90=_nearest_rank(ordered, 90),
        p99=_nearest_rank(ordered, 99),
        low=ordered[low],
        high=ordered[high],
    )


def confidence(count: int) -> float:
    """How sure it is that the median lies between the smallest and the largest of so many values.

    Example:
        >>> confidence(3)
        0.75
    """
    return 1.0 - 0.5 ** (count - 1)


def _nearest_rank(ordered: Sequence[float], percent: int) -> float:
    return ordered[-(-percent * len(ordered) // 100) - 1]


@cache
def _places(count: int) -> tuple[int, int]:
    """Indices of the sorted values between which the median lies with 95 % confidence at least, the narrowest such.

    The number of values below the median is binomial with 1/2: the interval from the k-th smallest to the k-th largest
    misses the median with probability ``2 P(B < k)``.
    """
    if count > _LARGE:
        lowest = math.floor((count - 1.96 * math.sqrt(count)) / 2) - 1
        return lowest, count - 1 - lowest
    allowed = (1 - _CONFIDENCE) / 2 * 2**count
    missed, ways, lowest = 0, 1, 0  # ways: binomial(count, lowest), in whole numbers
    while missed + ways <= allowed:
        missed += ways
        ways = ways * (count - lowest) // (lowest + 1)
        lowest += 1
    # P(B < lowest) is the last that was small enough; below 6 values even the first is not.
    lowest = max(lowest - 1, 0)
    return lowest, count - 1 - lowest
