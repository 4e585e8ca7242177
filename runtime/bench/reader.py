"""Reading a benchmark's document: JSON whose fields are checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import InputError


class Reader:
    """Fields of a JSON object, checked as they are read.

    Args:
        data: the object.
        where: it stands, for messages.

    Raises:
        InputError: here and in all methods: it is no object, or the field is missing or of another kind.
    """

    def __init__(self, data: Any, where: str) -> None:
        if not isinstance(data, Mapping):
            raise InputError(f"{where} is {data!r:.60}, not an object")
        self.data, self.where = data, where

    def get(self, name: str, *kinds: type) -> Any:
        """The field, of one of the kinds."""
        if name not in self.data:
            raise InputError(f"{self.where} has no {name!r}")
        value = self.data[name]
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            raise InputError(f"{name!r} of {self.where} is {value!r:.60}")
        return value

    def text(self, name: str) -> str:
        """A text."""
        return str(self.get(name, str))

    def number(self, name: str) -> float:
        """A number."""
        return float(self.get(name, int, float))

    def integer(self, name: str) -> int:
        """A whole number."""
        return int(self.get(name, int))

    def optional(self, name: str) -> int | None:
        """A whole number, or None."""
        value: int | None = self.get(name, int, type(None))
        return value

    def mapping(self, name: str) -> dict[str, Any]:
        """An object."""
        return dict(self.get(name, dict))

    def items(self, name: str) -> list[Any]:
        """A list."""
        return list(self.get(name, list, tuple))

    def texts(self, name: str) -> tuple[str, ...] | None:
        """A list of texts; None where there is no such field, as in documents that were made before it was."""
        if self.data.get(name) is None:
            return None
        found = self.items(name)
        if not all(isinstance(text, str) for text in found):
            raise InputError(f"{name!r} of {self.where} is {found!r:.60}")
        return tuple(found)
