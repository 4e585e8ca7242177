"""What has to be known to read a benchmark: the machine, how busy it was, and versions."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers

from .. import __version__, processor
from ..environment import available_memory, cpu_count, onnxruntime

# Modules of optional packages that read what a task's inputs are.
_READERS = {"audio": {"soundfile": "soundfile", "soxr": "soxr"}, "image": {"PIL": "pillow"}}


def describe(providers: Iterable[str]) -> dict[str, Any]:
    """The machine.

    Args:
        providers: what the graphs run on: ``"CPU"``, ``"CUDA"``.

    Returns:
        ``processor`` and its ``features`` (None where the system does not tell), ``cpus`` of the machine and
        ``cpus_allowed`` to this process, ``memory_mib`` of the machine and ``memory_available_mib``, ``system``,
        ``load`` (the average of the last minute, None where the system does not tell); on CUDA ``gpus``.
    """
    features = processor.features()
    available = available_memory()
    found: dict[str, Any] = {
        "processor": processor.name(),
        "features": None if features is None else sorted(features),
        "cpus": os.cpu_count(),
        "cpus_allowed": cpu_count(),
        "memory_mib": _memory_mib(),
        "memory_available_mib": None if available is None else available // 2**20,
        "system": platform.platform(),
        "load": load(),
    }
    return found | ({"gpus": _gpus()} if any("CUDA" in provider for provider in providers) else {})


def load() -> float | None:
    """Processes that wanted a CPU, on average over the last minute; None where the system does not tell."""
    try:
        return round(os.getloadavg()[0], 2)
    except (AttributeError, OSError):
        return None


def versions(kind: str) -> dict[str, str]:
    """Versions of Python and of the packages that take part, by name.

    Args:
        kind: what is read: ``"text"``, ``"audio"`` or ``"image"``.
    """
    readers = _READERS.get(kind, {}).items()
    extras = {name: sys.modules[module].__version__ for module, name in readers if module in sys.modules}
    return {
        "python": platform.python_version(),
        "torchless": __version__,
        "onnxruntime": onnxruntime().__version__,
        "numpy": np.__version__,
        "tokenizers": tokenizers.__version__,
        **extras,
    }


def _memory_mib() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) // 1024 for line in lines if line.startswith("MemTotal:"))
    except (OSError, ValueError, StopIteration):
        return None


def _gpus() -> list[str]:
    """Name, memory and driver of each GPU, as ``nvidia-smi`` tells them."""
    query = ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    return done.stdout.splitlines()
