"""What this process has to run on: ONNX Runtime's build, and CPUs."""

from __future__ import annotations

import contextlib
import math
import os
import re
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from .errors import MissingDependencyError

_BUILD = re.compile(r"(onnxruntime|onnxruntime_gpu)-[^-]+\.(?:dist|egg)-info")


@cache
def onnxruntime() -> Any:
    """The ``onnxruntime`` module, imported on first use.

    Raises:
        MissingDependencyError: it is not installed, or both builds are, one overwriting the other's files.
    """
    if len(_installed_builds()) > 1:
        raise MissingDependencyError(
            "onnxruntime and onnxruntime-gpu are both installed and share one import name: "
            "uninstall both, then install one: pip install 'torchless[cpu]' or 'torchless[gpu]'"
        )
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingDependencyError(
            f"onnxruntime cannot be imported ({error}): pip install 'torchless[cpu]' or 'torchless[gpu]'"
        ) from error
    return onnxruntime


def _installed_builds() -> set[str]:
    """Which builds have metadata on the path; ``importlib.metadata`` would load email, zipfile and sockets for it."""
    found: set[str] = set()
    for folder in sys.path:
        with contextlib.suppress(OSError):  # the path may name archives and folders that are not there
            names = [path.name for path in Path(folder).iterdir()]
            found.update(match[1] for match in map(_BUILD.fullmatch, names) if match)
    return found


def cpu_count() -> int:
    """CPUs that this process may really use: the smaller of its affinity and its container's quota, at least 1."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _cgroup_quota()
    return max(1, min(allowed, math.ceil(quota))) if quota else allowed


def _cgroup_quota() -> float | None:
    """CPUs granted by the control group (version 2, then 1), or None where there is no limit."""
    try:
        limit, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return None if limit == "max" else int(limit) / int(period)
    except (OSError, ValueError):
        pass
    try:
        base = Path("/sys/fs/cgroup/cpu")
        limit_us = int((base / "cpu.cfs_quota_us").read_text())
        return limit_us / int((base / "cpu.cfs_period_us").read_text()) if limit_us > 0 else None
    except (OSError, ValueError):
        return None


def available_memory() -> int | None:
    """Bytes that this process may still take: what is free, within its control group's limit; None where unknown."""
    limits = [limit for limit in (_free_memory(), _cgroup_memory()) if limit is not None]
    return min(limits, default=None)


def _free_memory() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return next(1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))
    except (OSError, ValueError, StopIteration):
        return None


def _cgroup_memory() -> int | None:
    """Bytes left to the control group (version 2), or None where there is no limit."""
    base = Path("/sys/fs/cgroup")
    try:
        limit = (base / "memory.max").read_text().strip()
        return None if limit == "max" else int(limit) - int((base / "memory.current").read_text())
    except (OSError, ValueError):
        return None


def release_memory() -> None:
    """Give memory that was freed back to the system, where the C library (glibc) would keep it for later.

    Opening a graph frees as much as its weights take. This takes some milliseconds: 26 after GPT-2 in int8, which then
    holds 55 MiB less.
    """
    trim = _malloc_trim()
    if trim is not None:
        trim(0)


@cache
def _malloc_trim() -> Callable[[int], int] | None:
    if sys.platform != "linux":
        return None
    import ctypes

    found: Callable[[int], int] | None = getattr(ctypes.CDLL(None), "malloc_trim", None)
    return found
