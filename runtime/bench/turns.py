"""Calls of all configurations, in turns."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from .configurations import Configuration
from .failures import Failures, Progress
from .plan import ALONE, Plan
from .result import Row
from .runners import Alone, Processes, Runner, Threads
from .timing import Share, Times, summarize

# Turns that each configuration has at least, between those of the others.
_TURNS = 6


@dataclass(eq=False)
class Measured:
    """A configuration while it is measured, called in one way."""

    configuration: Configuration
    mode: str
    workers: int
    runner: Runner
    times: Times = field(default_factory=Times)

    def __str__(self) -> str:
        return _words(self.configuration, self.mode, self.workers)

    def row(self, memory: Mapping[str, float]) -> Row:
        """What was found; ``memory`` is that of a process that makes one call at a time."""
        variant, shape = self.configuration.variant, self.configuration.work.shape
        calls, rate = self.times.calls, self.times.rate
        metrics = {"latency_ms": summarize([call.ms for call in calls])}
        values = {"throughput_per_s": shape.batch * rate, "cpu_per_call_ms": 1e3 * self.times.cpu_s / len(calls)}
        first = [call.first_token_ms for call in calls if call.first_token_ms is not None]
        if first and shape.beams == 1:  # which beam is the best shows only in the end
            metrics["first_token_ms"] = summarize(first)
        if steps := [step for call in calls for step in call.token_ms]:
            metrics["token_ms"] = summarize(steps)
        if shape.seconds is not None:
            metrics["real_time_factor"] = summarize([1e3 * call.amount / call.ms for call in calls])
        if generated := sum(call.tokens for call in calls):
            values["tokens_per_s"] = generated / len(calls) * rate
        elif shape.length is not None:
            values["tokens_per_s"] = sum(call.amount for call in calls) / len(calls) * rate
        if self.mode == ALONE:
            values |= memory
        elif (of_workers := self.runner.memory()) is not None:
            found = {"resident_mib": of_workers.resident, "peak_mib": of_workers.peak}
            values |= {name: value for name, value in found.items() if value is not None}
        return Row(
            bundle=variant.bundle, dtype=variant.dtype, provider=variant.provider, threads=variant.threads,
            batch=shape.batch, length=shape.length, seconds=shape.seconds, size=shape.size, new_tokens=shape.new_tokens,
            beams=shape.beams, mode=self.mode, workers=self.workers, metrics=metrics, values=values,
            optimized=variant.optimized,
        )  # fmt: skip


def opened(
    configurations: Sequence[Configuration], asked: Plan, stack: ExitStack, tell: Progress, failures: Failures
) -> list[Measured]:
    """Every configuration in every way of calling it, warmed up; without those that fail."""
    found = []
    for one in configurations:
        for mode, workers in asked.loads():
            with failures.noted(_words(one, mode, workers)):
                measured = Measured(one, mode, workers, _runner(one, mode, workers, asked.warmup))
                stack.callback(measured.runner.close)
                tell(f"warmed up: {measured}")
                found.append(measured)
    return found


def _words(one: object, mode: str, workers: int) -> str:
    return str(one) + ("" if mode == ALONE else f", {workers} {mode}")


def _runner(one: Configuration, mode: str, workers: int, warmup: int) -> Runner:
    if mode == ALONE:
        return Alone(one.call, warmup)
    if mode == "processes":
        return Processes(one.job, workers, warmup)
    for role in one.variant.optimized:
        one.variant.opened.session(role).prepare(workers)
    return Threads(one.call, workers, warmup)


def in_turns(measured: list[Measured], asked: Plan, tell: Progress, failures: Failures) -> None:
    """Let all take turns, each time in another order, so that none always follows the same one.

    Those that fail are closed and taken from the list.
    """
    turns = _TURNS if asked.repeats is None else min(_TURNS, asked.repeats)
    begin, done, total = time.perf_counter(), 0, turns * len(measured)
    for turn in range(turns):
        share = Share(seconds=asked.time / turns)
        if asked.repeats is not None:
            share = Share(calls=asked.repeats // turns + (turn < asked.repeats % turns))
        for one in random.Random(turn).sample(measured, len(measured)):
            spent = time.perf_counter() - begin
            left = f", {spent / done * (total - done):.0f} s left" if done else ""
            tell(f"measuring {done + 1} of {total}{left}: {one}")
            calls = len(one.times.calls)
            with failures.noted(one):
                one.times.add(one.runner.turn(share))
            if len(one.times.calls) == calls:
                measured.remove(one)
                one.runner.close()
                total -= turns - turn - 1
            done += 1
