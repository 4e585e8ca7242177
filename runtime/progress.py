"""Steps of long work, told to the user as they pass."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Report = Callable[[str, float | None], None]
"""Called with a step's name and None when it starts, and with the seconds it took when it ends."""


def print_steps(step: str, seconds: float | None) -> None:
    """Show the step on stderr, on one line that is completed when the step ends."""
    text = f"{step} ..." if seconds is None else f"\r{step} {seconds:.1f} s\n"
    sys.stderr.write(text)
    sys.stderr.flush()


def silent(step: str, seconds: float | None) -> None:
    """Show nothing."""


def default_report() -> Report:
    """Steps are shown where stderr is a terminal."""
    return print_steps if sys.stderr.isatty() else silent


@contextmanager
def timed(report: Report, step: str) -> Iterator[None]:
    """Report the start of a step and, if it succeeds, its end."""
    report(step, None)
    start = time.perf_counter()
    yield
    report(step, time.perf_counter() - start)


def show_line(text: str) -> None:
    """Show a line on stderr in the place of the one before; an empty one takes it away."""
    width = shutil.get_terminal_size().columns - 1
    sys.stderr.write(f"\r{text[:width].ljust(width)}\r")
    sys.stderr.flush()


def default_line() -> Callable[[str], None]:
    """Lines are shown where stderr is a terminal."""
    return show_line if sys.stderr.isatty() else lambda text: None
