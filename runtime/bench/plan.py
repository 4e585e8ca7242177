"""What a benchmark was asked for, checked before anything takes time, and the configurations that come of it."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from typing import Any, TypeAlias, TypeVar

from ..environment import cpu_count
from ..errors import OptionError
from ..optimized import checked
from ..settings import MOST_THREADS
from .workload import Shape, Workload

ValueT = TypeVar("ValueT")
Several: TypeAlias = ValueT | Sequence[ValueT]
"""One value, or several to be measured."""

ALONE = "alone"
MODES = ("threads", "processes")
# Where the caller says nothing; less where the model has less room.
_LENGTH, _SECONDS, _NEW_TOKENS = 128, 10.0, 64
_MIN_TIME = 3.0


@dataclass(frozen=True)
class Plan:
    """What is measured; see :func:`.run.bench` for the fields.

    Raises:
        OptionError: a value that is malformed, or two that contradict each other.
    """

    batch: tuple[int, ...]
    length: tuple[int, ...] | None
    seconds: tuple[float, ...] | None
    threads: tuple[int, ...]
    dtype: tuple[str | Mapping[str, str], ...]
    device: tuple[str, ...]
    new_tokens: tuple[int, ...] | None
    beams: tuple[int, ...] | None
    concurrency: tuple[int, ...]
    concurrency_mode: tuple[str, ...]
    repeats: int | None
    min_time: float | None
    warmup: int
    starts: int
    optimized: bool | str

    def __post_init__(self) -> None:
        for name in ("batch", "length", "threads", "new_tokens", "beams", "concurrency"):
            _check_all(name, getattr(self, name), int, 1)
        for name in ("threads", "concurrency"):
            if crowds := [count for count in getattr(self, name) if count > MOST_THREADS]:
                raise OptionError(
                    f"{name} must be {MOST_THREADS} at the most, not {crowds[0]}: each would be started; this process "
                    f"may use {cpu_count()} processors"
                )
        _check_all("seconds", self.seconds, float, 0)
        for name, least in (("repeats", 1), ("warmup", 0), ("starts", 0)):
            value = getattr(self, name)
            _check_all(name, None if value is None else (value,), int, least)
        _check_all("min_time", None if self.min_time is None else (self.min_time,), float, 0)
        for name in ("batch", "threads", "dtype", "device", "length", "seconds", "new_tokens", "beams"):
            if getattr(self, name) == ():
                raise OptionError(f"{name}: nothing to measure, give one value at least")
        if unknown := [mode for mode in self.concurrency_mode if mode not in MODES]:
            raise OptionError(f"concurrency_mode must be of {', '.join(MODES)}, not {unknown[0]!r}")
        if self.concurrency and not self.concurrency_mode:
            raise OptionError(f"concurrency needs a concurrency_mode of {', '.join(MODES)}")
        if self.repeats is not None and self.min_time is not None:
            raise OptionError("repeats and min_time are two answers to how long to measure: give one of them")

    def check(self, workload: Workload) -> None:
        """Check that what was asked for has a meaning for a task.

        Raises:
            OptionError: it has none.
        """
        given, own = workload.given is not None, "is given inputs that have their own"
        reasons = [
            ("length", workload.kind != "text", "reads no text"),
            ("seconds", workload.kind != "audio", "hears nothing"),
            ("length", given, own),
            ("seconds", given, own),
            ("new_tokens", not workload.generates, "generates no tokens"),
            ("beams", not workload.generates, "generates no tokens"),
        ]
        for name, meaningless, reason in reasons:
            if meaningless and getattr(self, name) is not None:
                values = " ".join(map(str, getattr(self, name)))
                raise OptionError(f"{name}={values} has no meaning here: {workload.name} {reason}")

    def shapes(self, workload: Workload) -> list[Shape]:
        """What goes into the calls: every combination, each once."""
        generates = workload.generates
        new = (self.new_tokens or (_NEW_TOKENS,)) if generates else (None,)
        beams = (self.beams or (1,)) if generates else (None,)
        seconds = (self.seconds or (_SECONDS,)) if workload.kind == "audio" else (None,)
        found = []
        for batch, tokens, width, sound in product(self.batch, new, beams, seconds):
            found += [
                workload.complete(Shape(batch, length, sound, None, tokens, width))
                for length in self._lengths(workload, tokens)
            ]
        return list(dict.fromkeys(found))

    def loads(self) -> list[tuple[str, int]]:
        """How calls are made: mode and workers, one at a time first."""
        return [(ALONE, 1), *product(dict.fromkeys(self.concurrency_mode), dict.fromkeys(self.concurrency))]

    @property
    def time(self) -> float:
        """Seconds for which each configuration is measured, where no number of calls decides."""
        return _MIN_TIME if self.min_time is None else self.min_time

    def to_json(self) -> dict[str, Any]:
        """What was asked for, and what stands for what was not."""
        found = asdict(self) | {"min_time": self.time if self.repeats is None else None}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in found.items()}

    def _lengths(self, workload: Workload, new_tokens: int | None) -> Sequence[int | None]:
        if workload.kind != "text" or workload.given is not None:
            return (None,)
        if self.length is not None:
            return self.length
        room = workload.room(new_tokens)
        return (_LENGTH if room is None else max(1, min(_LENGTH, room)),)


def plan(
    *,
    batch: Several[int],
    length: Several[int] | None,
    seconds: Several[float] | None,
    threads: Several[int] | None,
    dtype: Several[str | Mapping[str, str]],
    device: Several[str],
    new_tokens: Several[int] | None,
    beams: Several[int] | None,
    concurrency: Several[int],
    concurrency_mode: Several[str],
    repeats: int | None,
    min_time: float | None,
    warmup: int,
    starts: int,
    optimized: bool | str,
) -> Plan:
    """A plan of single values and of several.

    Raises:
        OptionError: a value that is malformed, or two that contradict each other.
    """
    return Plan(
        batch=several(batch),
        length=_optional(length),
        seconds=_optional(seconds),
        threads=several(cpu_count() if threads is None else threads),
        dtype=several(dtype),
        device=several(device),
        new_tokens=_optional(new_tokens),
        beams=_optional(beams),
        concurrency=several(concurrency),
        concurrency_mode=several(concurrency_mode),
        repeats=repeats,
        min_time=min_time,
        warmup=warmup,
        starts=starts,
        optimized=checked(optimized),
    )


def several(value: Any) -> tuple[Any, ...]:
    """The values, each once, in the order given."""
    if isinstance(value, Iterable) and not isinstance(value, (str, bytes, Mapping)):
        listed = list(value)
        return tuple(one for place, one in enumerate(listed) if one not in listed[:place])
    return (value,)


def listed(name: str, values: Any) -> list[Any]:
    """A list of the caller's; a single text or dictionary would be taken apart.

    Raises:
        OptionError: it is no list.
    """
    if isinstance(values, (str, bytes, os.PathLike, Mapping)) or not isinstance(values, Iterable):
        raise OptionError(f"{name} must be a list, not {values!r:.60}")
    return list(values)


def _optional(value: Any) -> tuple[Any, ...] | None:
    return None if value is None else several(value)


def _check_all(name: str, values: Sequence[Any] | None, kind: type, least: int) -> None:
    """Check numbers: whole ones of at least ``least``, or finite ones above it."""
    for value in values or ():
        if kind is int and not (type(value) is int and value >= least):
            raise OptionError(f"{name} must be a whole number of at least {least}, not {value!r:.60}")
        real = type(value) in (int, float) and math.isfinite(value) and value > least
        if kind is float and not real:
            raise OptionError(f"{name} must be a number of seconds above {least}, not {value!r:.60}")
