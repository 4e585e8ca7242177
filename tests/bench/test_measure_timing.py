"""Statistics of repeated calls, on numbers worked out by hand and by the binomial distribution."""

from __future__ import annotations

import itertools
import math

import pytest

from torchless.bench.timing import CERTAIN, Call, Share, Times, Turn, confidence, repeat, summarize


def missed(count: int, place: int) -> float:
    """How likely the median is outside the interval from the place-th smallest to the place-th largest of values."""
    return 2 * sum(math.comb(count, below) for below in range(place)) / 2**count


def test_a_summary_by_hand() -> None:
    found = summarize([9.0, 1.0, 3.0, 2.0, 100.0, 4.0, 5.0, 6.0, 7.0, 8.0])
    assert (found.n, found.mean, found.p50) == (10, 14.5, 5.5)
    assert (found.p90, found.p99) == (9.0, 100.0)
    # 1 + 10 of 1024 ways have fewer than two values below the median, on each side.
    assert (found.low, found.high) == (2.0, 9.0)
    assert missed(10, 2) == pytest.approx(22 / 1024)


def test_percentiles_are_nearest_ranks() -> None:
    found = summarize([float(value) for value in range(1, 101)])
    assert (found.p50, found.p90, found.p99) == (50.5, 90.0, 99.0)
    assert summarize([2.5]).p99 == summarize([2.5]).p50 == summarize([2.5]).low == 2.5


@pytest.mark.parametrize("count", [*range(CERTAIN, 40), 70, 71, 100, 333, 1000])
def test_the_interval_is_the_narrowest_with_its_confidence(count: int) -> None:
    found = summarize([float(place) for place in range(1, count + 1)])
    assert found.low + found.high == count + 1
    assert missed(count, int(found.low)) <= 0.05
    assert missed(count, int(found.low) + 1) > 0.05


@pytest.mark.parametrize("count", [1001, 1500, 4001])
def test_many_values_are_approximated(count: int) -> None:
    found = summarize([float(place) for place in range(1, count + 1)])
    assert found.low + found.high == count + 1
    assert 0.04 < missed(count, int(found.low)) < 0.0505


@pytest.mark.parametrize("count", range(1, CERTAIN))
def test_few_values_are_less_certain(count: int) -> None:
    found = summarize([float(place) for place in range(1, count + 1)])
    assert (found.low, found.high) == (1, count)
    assert confidence(count) == pytest.approx(1 - missed(count, 1))
    assert confidence(count) < 0.95 <= confidence(CERTAIN)


def test_the_order_does_not_matter() -> None:
    assert len({summarize(list(order)) for order in itertools.permutations([1.0, 2.0, 3.0, 5.0])}) == 1


class Clock:
    """Time that goes on only by being told to."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.cpu = 0.0

    def call(self) -> Call:
        self.seconds += 0.5
        self.cpu += 0.75
        return Call(500.0)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("time.perf_counter", lambda: clock.seconds)
    monkeypatch.setattr("time.process_time", lambda: clock.cpu)
    return clock


@pytest.mark.parametrize(
    ("share", "calls"),
    [
        (Share(calls=4), 4),
        (Share(seconds=1.9), 4),
        (Share(seconds=2.0), 4),
        (Share(seconds=2.1), 5),
        (Share(seconds=0), 1),
    ],
)
def test_a_share_of_calls(clock: Clock, share: Share, calls: int) -> None:
    turn = repeat(clock.call, share)
    assert turn.calls == [Call(500.0)] * calls
    assert turn.rate == 2.0
    assert turn.cpu_s == 0.75 * calls


def test_turns_together() -> None:
    times = Times()
    times.add(Turn([Call(100.0)] * 10, rate=10.0, cpu_s=1.0))
    times.add(Turn([Call(50.0)] * 10, rate=20.0, cpu_s=0.5))
    assert len(times.calls) == 20
    assert times.rate == pytest.approx(20 / 1.5)
    assert times.cpu_s == 1.5
