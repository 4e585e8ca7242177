"""Measuring a bundle's speed, start-up and memory, all configurations in turns."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any

from ..errors import OptionError
from . import machine
from .configurations import Configurations
from .doubts import doubts
from .failures import Failures, Interrupted, Progress
from .plan import Plan, Several, listed, plan
from .result import FORMAT, Result, Row, Start
from .starts import Starts
from .turns import Measured, in_turns, opened


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
    meets them alike; a configuration that the model cannot do is left out, and the result's notes say why. One that
    fails while it is measured does not end the others: :attr:`.Result.failed` names it.

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
        progress: called with a line that says what is being done, and how long it may take.

    Raises:
        OptionError: a value that is malformed, contradicts another, or has no meaning for the task; a dtype that no
            bundle has; nothing that can be measured.
        TaskError: an unknown task, or bundles of different tasks.
        BundleError: a folder that is no bundle, or more of them than memory holds.
        DeviceError: a device that cannot be had.
        InputError: an input that cannot be read.
        SessionError: nothing could be measured; or what else was raised first.
        Interrupted: Ctrl-C, a ``KeyboardInterrupt``; its ``result`` is what had been measured, if there is any.

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
    failures, last, interrupt = Failures(), "", None

    def noted(line: str) -> None:
        nonlocal last
        last = line
        tell(line)

    beginnings = Starts(configurations)
    measured: list[Measured] = []
    with ExitStack() as stack:
        try:
            beginnings.measure(asked.starts, noted, failures)
            measured = opened(configurations, asked, stack, noted, failures)
            in_turns(measured, asked, noted, failures)
        except KeyboardInterrupt as error:
            interrupt = error
            failures.said.append(f"interrupted at: {last}; what there is was measured for less time than was asked for")
        rows = tuple(one.row(beginnings.memory(one.configuration)) for one in measured if one.times.calls)
    starts_found = beginnings.rows()
    if not rows and not starts_found:
        raise interrupt or failures.errors[0]
    shown = f"torchless.bench.bench({os.fspath(bundle)!r}, ...)"
    result = _document(shown, found, asked, inputs, before, starts_found, rows, failures)
    if interrupt is not None:
        raise Interrupted(result) from interrupt
    return result


def _document(
    command: str,
    found: Configurations,
    asked: Plan,
    inputs: list[Any] | None,
    load: float | None,
    starts: tuple[Start, ...],
    rows: tuple[Row, ...],
    failures: Failures,
) -> Result:
    """What was measured, with all that has to be known to read it; ``load`` is the machine's before it began."""
    described = machine.describe({row.provider for row in rows} | {start.provider for start in starts}) | {"load": load}
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
        failed=tuple(failures.said),
    )
