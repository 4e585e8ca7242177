"""The configurations of a benchmark: bundles, variants, devices, threads and shapes, opened and tried once."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from ..bundle import Bundle
from ..environment import available_memory
from ..errors import BundleError, InputError, OptionError, SessionError, TaskError
from ..files import graph_bytes
from ..pipelines import pipeline
from ..session import Settings
from .job import Caller, Job, TimedBundle
from .plan import Plan
from .workload import Work, Workload

_MIB = 2**20


@dataclass(frozen=True, eq=False)
class Variant:
    """A bundle in one precision, on one device, with so many threads: it has sessions of its own.

    Attributes:
        bundle: its name.
        dtype: of its graphs; where they differ that of each, in the order of the bundle's roles.
        provider: what its graphs run on: ``"CPU"``, ``"CUDA"``.
        threads: inside one operator.
        opened: the bundle.
        asked: the dtype that was asked for.
    """

    bundle: str
    dtype: str
    provider: str
    threads: int
    opened: TimedBundle
    asked: str | Mapping[str, str]

    def __str__(self) -> str:
        return f"{self.bundle} {self.dtype} {self.provider}, {self.threads} thread{'s' * (self.threads > 1)}"

    @property
    def mib(self) -> float:
        """Of the files of the graphs that were opened."""
        return sum(graph_bytes(self.opened, role) for role in self.opened.roles) / _MIB

    @property
    def optimized(self) -> tuple[str, ...]:
        """Roles of the graphs that were opened in their optimized form, see :mod:`torchless.optimized`."""
        return tuple(role for role in self.opened.roles if self.opened.session(role).optimized)


@dataclass(frozen=True, eq=False)
class Configuration:
    """A variant, and what it is called with.

    Attributes:
        variant: the sessions.
        work: the inputs.
        job: both, for another process.
        call: both, here.
    """

    variant: Variant
    work: Work
    job: Job
    call: Caller

    def __str__(self) -> str:
        return f"{self.variant}, {self.work.shape}"


class Configurations:
    """What a plan asks for, of one bundle or of several.

    Args:
        models: folders of bundles, or model ids on the hub.
        task: the pipeline's; None takes that of the first bundle.
        inputs: the caller's own; None makes some.
        asked: what to measure.

    Attributes:
        task: the pipeline's.
        kind: what it reads: ``"text"``, ``"audio"`` or ``"image"``.
        bundles: the bundles by name, the first one first.
        notes: what was left out, and why.

    Raises:
        TaskError: an unknown task, or a bundle of another one.
        OptionError: a dtype that no bundle has, or an option without a meaning for the task.
        BundleError: a folder that is no bundle.
    """

    def __init__(
        self, models: Sequence[str | os.PathLike[str]], task: str | None, inputs: Sequence[Any] | None, asked: Plan
    ) -> None:
        self._plan = asked
        self._models = dict(zip(names(models), models, strict=True))
        self.bundles = {name: Bundle.open(model) for name, model in self._models.items()}
        first = next(iter(self.bundles.values()))
        self.task = task or first.task or ""
        if not self.task:
            raise TaskError(f"{first.folder} does not tell its task: name it")
        self.notes: list[str] = []
        self._folders = self._found()
        workloads = {name: Workload(bundle, self.task, inputs) for name, bundle in self.bundles.items()}
        for workload in workloads.values():
            asked.check(workload)
        self.kind = workload.kind
        self._works = {name: self._made(name, workload) for name, workload in workloads.items()}

    def opened(self) -> Iterator[Configuration]:
        """Every configuration that the model can do, opened and called once.

        Raises:
            DeviceError: a device cannot be had.
            BundleError: a graph is damaged, or memory does not suffice for all of them.
        """
        for variant in self._variants():
            for work in self._works[variant.bundle]:
                job = self._job(variant.opened, variant.asked, work)
                try:
                    call = job.open(variant.opened)
                    call()
                except (InputError, OptionError, SessionError) as error:
                    self.notes.append(f"left out: {variant}, {work.shape}: {error}")
                    continue
                yield Configuration(variant, work, job, call)

    def _made(self, name: str, workload: Workload) -> list[Work]:
        """The calls of every shape that the model has room for."""
        found = []
        for shape in self._plan.shapes(workload):
            try:
                found.append(workload.work(shape))
            except InputError as error:
                self.notes.append(f"left out: {name}, {shape}: {error}")
        return found

    def _found(self) -> dict[tuple[str, int, str], Path]:
        """Folders with a variant by bundle, place of the dtype in the plan, and device.

        Raises:
            OptionError: a dtype that no bundle has.
        """
        found: dict[tuple[str, int, str], Path] = {}
        errors: list[tuple[int, OptionError]] = []
        for (name, model), (place, dtype), device in product(
            self._models.items(), enumerate(self._plan.dtype), self._plan.device
        ):
            try:
                found[name, place, device] = Bundle.open(model, dtype=dtype, device=device).folder
            except OptionError as error:
                errors.append((place, error))
        there = {place for _, place, _ in found}
        for place, nowhere in errors:
            if place not in there:
                raise nowhere
        self.notes += [f"left out: {missing}" for _, missing in errors]
        return found

    def _variants(self) -> Iterator[Variant]:
        """Variants with sessions; what is the same by two names only once."""
        known = set()
        for ((name, place, device), folder), threads in product(self._folders.items(), self._plan.threads):
            asked = self._plan.dtype[place]
            settings = Settings(device=device, threads=threads, optimized=self._plan.optimized)
            bundle = TimedBundle(folder, settings, asked)
            _check_memory(bundle)
            pipeline(self.task, bundle)
            dtypes = [bundle.dtype(role) for role in bundle.dtypes if role in bundle.roles]
            dtypes = dtypes[:1] if len(set(dtypes)) == 1 else dtypes
            (provider, *_) = bundle.session(next(iter(bundle.roles))).providers
            key = name, "+".join(dtypes), provider.removesuffix("ExecutionProvider"), threads
            if key not in known:
                known.add(key)
                yield Variant(*key, bundle, asked)

    @staticmethod
    def _job(bundle: TimedBundle, dtype: str | Mapping[str, str], work: Work) -> Job:
        return Job(
            folder=bundle.folder,
            task=work.task,
            dtype=dtype,
            settings=bundle.settings,
            batch_size=work.shape.batch * work.rows,
            options=work.options,
            batches=work.batches,
            amounts=work.amounts,
            beams=work.shape.beams or 1,
        )


def names(models: Sequence[str | os.PathLike[str]]) -> list[str]:
    """Names of folders, with as many of the folders above as tell them apart.

    Raises:
        OptionError: a folder that is there twice.

    Example:
        >>> names(["models/sst2", "old/sst2"])
        ['models/sst2', 'old/sst2']
    """
    parts = [Path(os.path.normpath(Path(model).absolute())).parts for model in models]
    if len(set(parts)) < len(parts):
        raise OptionError(f"{next(m for m in models if parts.count(parts[models.index(m)]) > 1)} is there twice")
    for count in range(1, max(map(len, parts)) + 1):
        found = ["/".join(own[-count:]) for own in parts]
        if len(set(found)) == len(found):
            break
    return found


def _check_memory(bundle: Bundle) -> None:
    """Check that there is memory for the weights, which every variant with its threads has to itself.

    Raises:
        BundleError: there is not.
    """
    wanted, left = sum(graph_bytes(bundle, role) for role in bundle.dtypes), available_memory()
    if left is not None and wanted > left:
        raise BundleError(
            f"{bundle.folder} has {wanted / _MIB:.0f} MiB of graphs and beside the sessions that are open "
            f"{left / _MIB:.0f} MiB of memory are left: measure fewer dtypes, threads or bundles at once"
        )
