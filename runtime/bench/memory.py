"""Memory of this process."""

from __future__ import annotations

import sys
from pathlib import Path

_MIB = 2**20


def resident_mib() -> float | None:
    """MiB of this process in memory, pages that it shares with others included; None where the system does not tell."""
    return field(_text("/proc/self/status"), "VmRSS:")


def peak_mib() -> float | None:
    """The most MiB that this process has had in memory; None where the system does not tell."""
    # Not getrusage() on Linux: what it says of a process begins with the memory of the process that started it.
    found = field(_text("/proc/self/status"), "VmHWM:")
    if found is not None or sys.platform == "win32":
        return found
    import resource

    unit = 1 if sys.platform == "darwin" else 1024  # bytes
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / _MIB


def proportional_mib() -> float | None:
    """The same, but of a page that n processes share the n-th part; all of it where the system does not tell."""
    found = field(_text("/proc/self/smaps_rollup"), "Pss:")
    return resident_mib() if found is None else found


def field(text: str, name: str) -> float | None:
    """A field of a file of /proc, which counts in KiB, in MiB; None where it is not there."""
    return next((int(line.split()[1]) / 1024 for line in text.splitlines() if line.startswith(name)), None)


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
