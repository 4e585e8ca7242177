"""Measuring a bundle's speed, start-up and memory, all configurations in turns."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from ..errors import OptionError
from . import machine
from .configurations import Configuration, Configurations, Variant
from .doubts import doubts
from .plan import ALONE, Plan, Several, listed, plan
from .process import start
from .result import FORMAT, Result, Row, Start
from .runners import Alone, Processes, Runner, Threads
from .timing import Share, Times, summarize

Progress = Callable[[str], None]
"""Called with a line that says what is being done, and how long it may take."""

# Turns that each configuration has at least, between those of the others.
_TURNS = 6


def bench(
    bundle: str | os.PathLike[str],
    *,
    against: Sequence[str | os.PathLike[str]] = (),
    task: str | None = None,
    batch: Several[int] = 1,
    length: Several[int] | None = None,
    seconds: Several[float] | None = None,
    threads: Several[int] | None = None,
    dtype: Several[str | Mapping[str, str]] = "auto",
    device: Several[str] = "cpu",
    new_tokens: Several[int] | None = None,
    beams: Several[int] | None = None,
    concurrency: Several[int] = (),
    concurrency_mode: Several[str] = "threads",
    repeats: int | None = None,
    min_time: float | None = None,
    warmup: int = 2,
    starts: int = 6,
    optimized: bool | str = "auto",
    inputs: Sequence[Any] | None = None,
    progress: Progress | None = None,
) -> Result:
    """Measure a bundle: latency, throughput, start-up, memory.

    Every combination of the values is a configuration. All of them take turns, so that what else the machine does
    meets them alike; a configuration that the model cannot do is left out, and the result's notes say why.

    Args:
        bundle: a folder, or a model id on the hub.
        against: further bundles of the same task, measured in the same run.
        task: what the pipeline does; None takes the bundle's task.
        batch: inputs of one call.
        length: tokens of a text, special ones included; of a prompt, where text is generated. None is 128, or what
            the model has room for.
        seconds: of a recording; None is 10.
        threads: inside one operator, for each worker; None takes the CPUs that the process may use.
        dtype: variants of the graphs; ``"auto"`` is what the manifest recommends.
        device: ``"cpu"``, ``"cuda"``, ``"cuda:1"`` or ``"auto"``.
        new_tokens: generated for each input, no more and no fewer; None is 64.
        beams: of the search; None is 1, greedy.
        concurrency: workers that call at the same time, beside one that is alone.
        concurrency_mode: ``"threads"``: workers share one pipeline; ``"processes"``: each has its own.
        repeats: calls that are measured, of each worker; instead of ``min_time``.
        min_time: seconds that each configuration is measured at least, 6 calls however long they take; None is 3.
        warmup: calls before, which do not count.
        starts: processes that are started to measure starting and memory; 0 leaves both out.
        optimized: whether graphs are opened in their optimized form, as in :class:`~torchless.Settings`.
        inputs: what to call with instead of made inputs: what the pipeline takes. Calls take them in turn.
        progress: see :data:`Progress`.

    Raises:
        OptionError: a value that is malformed, contradicts another, or has no meaning for the task; a dtype that no
            bundle has; nothing that can be measured.
        TaskError: an unknown task, or bundles of different tasks.
        BundleError: a folder that is no bundle, or more of them than memory holds.
        DeviceError: a device that cannot be had.
        InputError: an input that cannot be read.
        SessionError: a process that was started failed.

    Example:
        >>> found = bench("models/sst2", batch=(1, 8), dtype=("fp32", "int8"), threads=2)      # doctest: +SKIP
        >>> found.rows[0].metrics["latency_ms"].p50      # doctest: +SKIP
        5.21
    """
    asked = plan(
        batch=batch, length=length, seconds=seconds, threads=threads, dtype=dtype, device=device, new_tokens=new_tokens,
        beams=beams, concurrency=concurrency, concurrency_mode=concurrency_mode, repeats=repeats, min_time=min_time,
        warmup=warmup, starts=starts, optimized=optimized,
    )  # fmt: skip
    inputs = None if inputs is None else listed("inputs", inputs)
    before = machine.load()
    tell = progress or (lambda line: None)
    tell("opening")
    found = Configurations([bundle, *listed("against", against)], task, inputs, asked)
    configurations = []
    for one in found.opened():
        tell(f"opened {one}")
        configurations.append(one)
    if not configurations:
        raise OptionError(f"there is nothing that can be measured: {'; '.join(found.notes)}")
    beginnings, memory = _starts(configurations, asked.starts, tell)
    with ExitStack() as stack:
        measured = _loads(configurations, asked, stack, tell)
        _in_turns(measured, asked, tell)
        rows = tuple(one.row(memory[one.configuration]) for one in measured)
    shown = f"torchless.bench.bench({os.fspath(bundle)!r}, ...)"
    return _document(shown, found, asked, inputs, before, beginnings, rows)


def _document(
    command: str,
    found: Configurations,
    asked: Plan,
    inputs: list[Any] | None,
    load: float | None,
    starts: tuple[Start, ...],
    rows: tuple[Row, ...],
) -> Result:
    """What was measured, with all that has to be known to read it; ``load`` is the machine's before it began."""
    described = machine.describe({row.provider for row in rows}) | {"load": load}
    first, *others = found.bundles.values()
    return Result(
        format=FORMAT,
        created=datetime.now(UTC).astimezone().isoformat(timespec="seconds"),
        command=command,
        bundle={
            "folder": str(first.folder),
            "task": found.task,
            "model_type": first.config.get("model_type"),
            "others": [str(other.folder) for other in others],
        },
        machine=described,
        versions=machine.versions(found.kind),
        settings={"task": found.task, **asked.to_json(), "inputs": None if inputs is None else len(inputs)},
        starts=starts,
        rows=rows,
        notes=(*found.notes, *doubts(rows, asked, described)),
    )


@dataclass
class _Measured:
    """A configuration while it is measured, called in one way."""

    configuration: Configuration
    mode: str
    workers: int
    runner: Runner
    times: Times = field(default_factory=Times)

    def __str__(self) -> str:
        return str(self.configuration) + ("" if self.mode == ALONE else f", {self.workers} {self.mode}")

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
        )  # fmt: skip


def _loads(configurations: Sequence[Configuration], asked: Plan, stack: ExitStack, tell: Progress) -> list[_Measured]:
    """Every configuration in every way of calling it, warmed up."""
    found = []
    for one in configurations:
        for mode, workers in asked.loads():
            measured = _Measured(one, mode, workers, _runner(one, mode, workers, asked.warmup))
            stack.callback(measured.runner.close)
            tell(f"warmed up: {measured}")
            found.append(measured)
    return found


def _runner(one: Configuration, mode: str, workers: int, warmup: int) -> Runner:
    if mode == ALONE:
        return Alone(one.call, warmup)
    return Threads(one.call, workers, warmup) if mode == "threads" else Processes(one.job, workers, warmup)


def _in_turns(measured: Sequence[_Measured], asked: Plan, tell: Progress) -> None:
    """Let all take turns, each time in another order, so that none always follows the same one."""
    turns = _TURNS if asked.repeats is None else min(_TURNS, asked.repeats)
    begin, done, total = time.perf_counter(), 0, turns * len(measured)
    for turn in range(turns):
        share = Share(seconds=asked.time / turns)
        if asked.repeats is not None:
            share = Share(calls=asked.repeats // turns + (turn < asked.repeats % turns))
        for place in random.Random(turn).sample(range(len(measured)), len(measured)):
            spent = time.perf_counter() - begin
            left = f", {spent / done * (total - done):.0f} s left" if done else ""
            tell(f"measuring {done + 1} of {total}{left}: {measured[place]}")
            measured[place].times.add(measured[place].runner.turn(share))
            done += 1


def _starts(
    configurations: Sequence[Configuration], repeats: int, tell: Progress
) -> tuple[tuple[Start, ...], dict[Configuration, dict[str, float]]]:
    """What starting each variant costs, with its first configuration; and the memory of every configuration."""
    ran: dict[Configuration, list[dict[str, float]]] = {one: [] for one in configurations}
    first = {one.variant: one for one in reversed(configurations)}
    for number in range(repeats):
        for one in configurations:
            if number == 0 or first[one.variant] is one:
                tell(f"starting, {number + 1} of {repeats}: {one}")
                ran[one].append(start(one.job))
    memory = {one: _medians(found, ("resident_mib", "peak_mib")) for one, found in ran.items()}
    chosen = [one for one in configurations if first[one.variant] is one and ran[one]]
    return tuple(_start(one.variant, ran[one], memory[one]) for one in chosen), memory


def _medians(found: Sequence[Mapping[str, float]], names: Sequence[str]) -> dict[str, float]:
    """Of those that the system tells."""
    told = {name: [one[name] for one in found if name in one] for name in names}
    return {name: summarize(values).p50 for name, values in told.items() if values}


def _start(variant: Variant, ran: Sequence[Mapping[str, float]], memory: Mapping[str, float]) -> Start:
    times = ("import_ms", "load_ms", "cold_start_ms")
    return Start(
        bundle=variant.bundle,
        dtype=variant.dtype,
        provider=variant.provider,
        threads=variant.threads,
        metrics={name: summarize([one[name] for one in ran]) for name in times},
        values={**memory, "bundle_mib": variant.mib},
    )
