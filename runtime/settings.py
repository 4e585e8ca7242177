"""Where and how graphs run: what a caller chooses, checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from . import optimized, providers
from .environment import cpu_count
from .errors import OptionError
from .providers import Provider

MOST_THREADS = 1024
"""ONNX Runtime starts as many threads as it is told to: a number by mistake would take the machine down."""

_THREADS = ("intra_op_num_threads", "inter_op_num_threads")


@dataclass(frozen=True)
class Settings:
    """Where and how graphs run; the same settings open the same sessions again in another process.

    Attributes:
        device: ``"cpu"``, ``"cuda"``, ``"cuda:1"``, or ``"auto"`` (CUDA where it can be had, otherwise the CPU).
        threads: threads inside one operator, :data:`MOST_THREADS` at the most; None takes what the process may use
            (affinity, cgroup quota). Where as many calls of a graph that was kept optimized run at once as there are
            processors, each may get one: :mod:`torchless.callers`.
        providers: ONNX Runtime execution providers, names or ``(name, options)``; replaces ``device``.
        session_options: attributes of ``onnxruntime.SessionOptions`` by name, and configuration entries (names with
            a dot, such as ``"session.intra_op.allow_spinning"``).
        provider_options: options of ONNX Runtime's CUDA execution provider by name, such as ``gpu_mem_limit`` (bytes)
            or ``use_tf32``; they replace ``providers.DEFAULTS``. With ``device="auto"`` they count where CUDA is had.
            The limit is of what a graph works in, not of the cache that generation keeps on the GPU.
        optimized: whether graphs on the CPU are opened in their optimized form (see :mod:`torchless.optimized`):
            ``"auto"`` where it was kept earlier, True and a folder write it where it is missing, False never.

    Raises:
        OptionError: a malformed value, or two that contradict each other.
    """

    device: str = "cpu"
    threads: int | None = None
    providers: Sequence[Provider] | None = None
    session_options: Mapping[str, Any] | None = None
    provider_options: Mapping[str, Any] | None = None
    optimized: bool | str = "auto"

    def __post_init__(self) -> None:
        kind, _, index = str(self.device).partition(":")
        if kind not in ("cpu", "cuda", "auto") or (":" in self.device and not (kind == "cuda" and index.isdecimal())):
            raise OptionError(f"device must be 'cpu', 'cuda', 'cuda:N' or 'auto', not {self.device!r}")
        if self.threads is not None and (type(self.threads) is not int or self.threads < 1):
            raise OptionError(f"threads must be a positive integer or None, not {self.threads!r}")
        if not isinstance(self.session_options, (Mapping, type(None))):
            raise OptionError(f"session_options must be a dictionary, not {self.session_options!r}")
        if self.session_options is not None:  # sessions are opened later too
            object.__setattr__(self, "session_options", dict(self.session_options))
        named = {f"session_options[{name!r}]": (self.session_options or {}).get(name) for name in _THREADS}
        for name, count in {"threads": self.threads, **named}.items():
            if isinstance(count, int) and count > MOST_THREADS:
                raise OptionError(
                    f"{name} must be {MOST_THREADS} at the most, not {count}: each would be started; this process may "
                    f"use {cpu_count()} processors"
                )
        if self.threads is not None and "intra_op_num_threads" in (self.session_options or {}):
            raise OptionError("threads and session_options['intra_op_num_threads'] contradict each other; give one")
        if self.providers is not None:
            object.__setattr__(self, "providers", providers.checked(self.providers))
            if kind == "cuda" and not any("CUDA" in name for name, _ in providers.split(self.providers)):
                raise OptionError(f"device={self.device!r} contradicts providers={list(self.providers)!r}")
        if self.provider_options is not None:
            options = providers.checked_options(self.provider_options, self.device, self.providers)
            object.__setattr__(self, "provider_options", options)
        object.__setattr__(self, "optimized", optimized.checked(self.optimized))
        if self.optimized not in (False, "auto"):
            self._check_optimized(kind)

    def _check_optimized(self, kind: str) -> None:
        """Refuse to keep optimized graphs where they would not be used."""
        names = [name for name, _ in providers.split(self.providers or ())]
        if kind == "cuda" or names not in ([], [providers.CPU]):
            where = names or self.device
            raise OptionError(f"optimized={self.optimized!r} is of graphs that run on the CPU alone, not on {where!r}")
        if "optimized_model_filepath" in (self.session_options or {}):
            raise OptionError("optimized and session_options['optimized_model_filepath'] contradict each other")

    @property
    def kind(self) -> str:
        """``"cuda"`` or ``"cpu"``: what ``dtype="auto"`` chooses for."""
        return providers.kind(self.device, self.providers)
