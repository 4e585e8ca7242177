"""What fails while a benchmark runs, without ending it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..errors import TorchlessError

if TYPE_CHECKING:
    from .result import Result

Progress = Callable[[str], None]
"""Called with a line that says what is being done, and how long it may take."""


class Interrupted(KeyboardInterrupt):
    """Ctrl-C in the middle of a benchmark.

    Attributes:
        result: what had been measured.
    """

    def __init__(self, result: Result) -> None:
        super().__init__("a benchmark was interrupted")
        self.result = result


class Failures:
    """Configurations that failed, each with the reason.

    Attributes:
        said: what failed, and why, in words.
        errors: what was raised.
    """

    def __init__(self) -> None:
        self.said: list[str] = []
        self.errors: list[BaseException] = []

    @contextmanager
    def noted(self, what: object) -> Iterator[None]:
        """Note what is raised inside and go on: other configurations' numbers must not be lost to it.

        Args:
            what: is done inside.
        """
        try:
            yield
        except Exception as error:  # whatever it is
            self.add(what, error)

    def add(self, what: object, error: BaseException) -> None:
        """Note what was raised, and by what."""
        reason = str(error) if isinstance(error, TorchlessError) else f"{type(error).__name__}: {error}".rstrip(": ")
        self.said.append(f"{what}: {reason}")
        self.errors.append(error)
