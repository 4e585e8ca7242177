"""What the operating system says of the processor: its name, and its instructions for vectors and 8-bit products.

Asked are ``/proc/cpuinfo`` of Linux and ``sysctl`` of macOS. Where neither answers, as on Windows, instructions are not
known.
"""

from __future__ import annotations

import platform
import subprocess
from functools import cache
from pathlib import Path

# What the systems call the instructions: Linux on x86 and ARM; macOS on ARM and Intel.
_NAMES = {
    "avx2": "AVX2",
    "avx512f": "AVX512",
    "avx_vnni": "AVX-VNNI",
    "avx512_vnni": "AVX512-VNNI",
    "amx_int8": "AMX",
    "asimddp": "dot product",
    "i8mm": "I8MM",
    "hw.optional.arm.feat_dotprod": "dot product",
    "hw.optional.arm.feat_i8mm": "I8MM",
    "hw.optional.avx2_0": "AVX2",
    "hw.optional.avx512f": "AVX512",
    "hw.optional.avx512vnni": "AVX512-VNNI",
}
_X86 = ("x86_64", "amd64", "i386", "i686")


@cache
def features() -> frozenset[str] | None:
    """Instructions for vectors and 8-bit products that this processor has, by name; None where that is unknown."""
    found = flags()
    return None if found is None else frozenset(name for word, name in _NAMES.items() if word in found)


def flags() -> set[str] | None:
    """All instructions and features that this processor has, as the system calls them; None where that is unknown."""
    system = platform.system()
    return _linux() if system == "Linux" else _macos() if system == "Darwin" else None


def is_x86() -> bool:
    """Whether the processor is one of Intel's or AMD's."""
    return platform.machine().lower() in _X86


@cache
def name() -> str:
    """What the maker calls the processor, or its architecture where the system does not say.

    Example:
        >>> name()      # doctest: +SKIP
        'AMD EPYC 9R14'
    """
    if platform.system() == "Linux":
        fields = (line.partition(":") for line in _cpuinfo())
        found = next((value.strip() for field, _, value in fields if field.strip() == "model name"), "")
    elif platform.system() == "Darwin":
        found = _sysctl("-n", "machdep.cpu.brand_string").strip()
    else:
        found = platform.processor()
    return found or platform.machine()


def _linux() -> set[str] | None:
    """Words of the first processor's flags."""
    flags = (line.partition(":")[2] for line in _cpuinfo() if line.lower().startswith(("flags", "features")))
    words = next(flags, None)
    return None if words is None else set(words.split())


def _cpuinfo() -> list[str]:
    try:
        return Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return []


def _macos() -> set[str] | None:
    """Names of the optional features that are there."""
    pairs = [line.lower().partition(":") for line in _sysctl("hw.optional").splitlines()]
    return {name.strip() for name, _, value in pairs if value.strip() == "1"} if pairs else None


def _sysctl(*words: str) -> str:
    """What ``sysctl`` answers; nothing where it does not."""
    try:
        return subprocess.run(["sysctl", *words], capture_output=True, text=True, timeout=10, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return ""
