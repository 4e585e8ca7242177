"""Tables of labelled data, JSON Lines, JSON, CSV and TSV, row by row; what is wrong is told by line and field."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torchless.errors import InputError, OptionError

SUFFIXES = (".jsonl", ".json", ".csv", ".tsv")


@dataclass(frozen=True)
class Row:
    """A row of a table.

    Attributes:
        path: the file.
        line: number of its line, from 1; in a .json its place in the list.
        values: what it holds by field.
    """

    path: Path
    line: int
    values: Mapping[str, Any]

    def text(self, name: str, *, empty: bool = False) -> str:
        """The text in a field; numbers are written out.

        Raises:
            InputError: the field is missing, or holds something else, or nothing where ``empty`` is false.
        """
        value = self.values.get(name)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            value = str(value)
        if not isinstance(value, str):
            raise self.error(name, "is missing" if value is None else f"holds no text but {value!r:.60}")
        if not value.strip() and not empty:
            raise self.error(name, "is empty")
        return value

    def pair(self) -> str | dict[str, str]:
        """The text to classify, with the second text of a pair where the row has one that is not blank.

        Raises:
            InputError: a field that holds no text, or no first text.
        """
        text = self.text("text")
        if self.values.get("text_pair") is None or not (second := self.text("text_pair", empty=True)).strip():
            return text
        return {"text": text, "text_pair": second}

    def texts(self, name: str) -> list[str]:
        """The texts in a field: a list, or a text that holds one as JSON, or texts with spaces between them.

        Raises:
            InputError: the field is missing or holds something else.
        """
        value = self.values.get(name)
        if isinstance(value, str):
            value = self.parsed(name, value) if value.lstrip().startswith("[") else value.split()
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self.error(name, "is missing" if value is None else f"holds no list of texts but {value!r:.60}")
        return value

    def file(self, name: str) -> str:
        """The path of the file that a field names, relative to the table.

        Raises:
            InputError: the field is missing, or there is no such file.
        """
        found = self.path.parent / self.text(name)
        if not found.is_file():
            raise self.error(name, f"names a file that is not there: {found}")
        return str(found)

    def error(self, name: str, what: str) -> InputError:
        """The error that a field is."""
        found = ", ".join(map(str, self.values)) or "none"
        return InputError(f"line {self.line} of {self.path}: field {name!r} {what}; the line's fields are {found}")

    def parsed(self, name: str, value: str) -> Any:
        """A field's text, read as JSON.

        Raises:
            InputError: it is none.
        """
        try:
            return json.loads(value)
        except json.JSONDecodeError as error:
            raise self.error(name, f"is no JSON list: {error}") from error


def read_rows(path: Path) -> list[Row]:
    """The rows of a table; blank lines are left out.

    Raises:
        OptionError: no such file, or one of another format.
        InputError: a file without rows, or a line that cannot be read.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise OptionError(f"labelled data: expected a file that ends in {', '.join(SUFFIXES)}, not {path}")
    try:
        content = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise OptionError(f"labelled data: no file at {path}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise OptionError(f"labelled data: cannot read {path}: {error}") from error
    reader = {".jsonl": _json_lines, ".json": _json_list}.get(suffix)
    rows = list(reader(path, content) if reader else _separated(path, content, "," if suffix == ".csv" else "\t"))
    if not rows:
        raise InputError(f"labelled data: {path} holds no rows")
    return rows


def _json_lines(path: Path, content: str) -> Iterator[Row]:
    for number, line in enumerate(content.split("\n"), 1):
        if line.strip():
            yield _row(path, number, _json(path, number, line))


def _json_list(path: Path, content: str) -> Iterator[Row]:
    rows = _json(path, 1, content)
    if not isinstance(rows, list):
        raise InputError(f"{path} holds no list of objects; one object on each line goes into a .jsonl file")
    yield from (_row(path, number, row) for number, row in enumerate(rows, 1))


def _separated(path: Path, content: str, delimiter: str) -> Iterator[Row]:
    reader = csv.DictReader(io.StringIO(content, newline=""), delimiter=delimiter, strict=True)
    try:
        for row in reader:
            if row.pop(None, None) is not None:
                raise InputError(f"line {reader.line_num} of {path} has more values than the header has names")
            yield Row(path, reader.line_num, row)
    except csv.Error as error:
        raise InputError(f"{path} cannot be read after line {reader.line_num}: {error}") from error


def _json(path: Path, line: int, text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"line {line + error.lineno - 1} of {path} is not JSON: {error}") from error


def _row(path: Path, number: int, values: Any) -> Row:
    if not isinstance(values, dict):
        raise InputError(f"line {number} of {path} is no JSON object but {values!r:.60}")
    return Row(path, number, values)
