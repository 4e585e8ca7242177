"""What is measured: a pipeline and the inputs that it is called with, such that another process can open the same."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import count, pairwise
from pathlib import Path
from typing import Any

from ..bundle import Bundle
from ..generation.generator import Generator
from ..generation.loop import Steps
from ..generation.output import GenerationOutput
from ..pipelines import Pipeline, pipeline
from ..session import Session, Settings
from .timing import Call


@dataclass(frozen=True)
class Job:
    """A pipeline, and its calls. It can be pickled.

    Attributes:
        folder: the bundle's.
        task: what the pipeline does; may name languages.
        dtype: variant of the graphs.
        settings: where and how they run.
        batch_size: rows that run together: all of one call's.
        options: the pipeline's.
        batches: lists of inputs; calls take them in turn.
        amounts: what :class:`.timing.Call` says of each.
        beams: of the search, among whose sequences tokens are counted once.
    """

    folder: Path
    task: str
    dtype: str | Mapping[str, str]
    settings: Settings
    batch_size: int
    options: Mapping[str, Any]
    batches: tuple[list[Any], ...]
    amounts: tuple[float, ...]
    beams: int = 1

    def open(self, bundle: TimedBundle | None = None) -> Caller:
        """The pipeline, ready to be called.

        Args:
            bundle: whose sessions are used; None opens one.

        Raises:
            TorchlessError: the bundle cannot be opened, or an option not be had.
        """
        bundle = bundle or TimedBundle(self.folder, self.settings, self.dtype)
        return Caller(self, pipeline(self.task, bundle, batch_size=self.batch_size, **self.options), bundle.record)


class Caller:
    """Calls a job's pipeline with its batches in turn, and takes the time. It may be shared between threads.

    Args:
        job: what is called.
        answer: its pipeline.
        record: where the pipeline's generator notes its steps.
    """

    def __init__(self, job: Job, answer: Pipeline[Any], record: Record) -> None:
        self._job, self._answer, self._record = job, answer, record
        self._numbers = count()

    def __call__(self) -> Call:
        """Make a call.

        Raises:
            TorchlessError: the pipeline cannot answer.
        """
        place = next(self._numbers) % len(self._job.batches)
        batch = self._job.batches[place]
        self._record.clear()
        start = time.perf_counter()
        # A list: an answer to one input would be the answer to its batch.
        self._answer(list(batch))
        end = time.perf_counter()
        runs = self._record.runs
        gaps = tuple(1e3 * (later - one) for run in runs for one, later in pairwise(run))
        first = 1e3 * (runs[0][0] - start) if runs and runs[0] else None
        tokens = self._record.tokens // self._job.beams
        return Call(1e3 * (end - start), first, gaps, tokens, self._job.amounts[place])


@dataclass
class Record(threading.local):
    """When a generator of this thread made its steps.

    Attributes:
        runs: for each time that it generated, the times of its steps in seconds.
        tokens: in all rows of all steps, those of a search's beams too.
    """

    runs: list[list[float]] = field(default_factory=list)
    tokens: int = 0

    def clear(self) -> None:
        """Forget all steps."""
        self.runs, self.tokens = [], 0


class TimedBundle(Bundle):
    """A bundle whose generators note when they made their steps.

    Attributes:
        record: of the steps.
        roles: the graphs that were opened, in this order.
    """

    def __init__(self, folder: Path, settings: Settings, dtype: str | Mapping[str, str]) -> None:
        super().__init__(folder, settings, dtype)
        self.record = Record()
        self.roles: dict[str, None] = {}

    def session(self, role: str = "model") -> Session:
        """The session of a graph; see :class:`~torchless.Bundle`."""
        self.roles[role] = None
        return super().session(role)

    def generator(self) -> Generator:
        """A generator that notes its steps."""
        return _TimedGenerator(self, self.record)


class _TimedGenerator(Generator):
    def __init__(self, bundle: Bundle, record: Record) -> None:
        super().__init__(bundle)
        self._record = record

    def stream(self, *args: Any, **options: Any) -> Steps:
        return self._noted(super().stream(*args, **options))

    def _noted(self, steps: Steps) -> Steps:
        times: list[float] = []
        self._record.runs.append(times)
        while True:
            try:
                step = next(steps)
            except StopIteration as end:
                output: GenerationOutput = end.value
                return output
            times.append(time.perf_counter())
            self._record.tokens += len(step.tokens)
            yield step
