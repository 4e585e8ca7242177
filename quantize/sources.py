"""Files of texts, sounds and pictures as inputs of a task."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from torchless.errors import OptionError
from torchless.files import sha256
from torchless.pipelines import PIPELINES

ItemT = TypeVar("ItemT")

SUFFIXES = {
    "audio": frozenset(".wav .flac .ogg .oga .opus .mp3 .aif .aiff .au .w64".split()),
    "image": frozenset(".png .jpg .jpeg .bmp .gif .webp .tif .tiff .ppm .pgm".split()),
}
"""What files of sounds and of pictures are called."""

_TABLES = (".jsonl", ".json", ".csv", ".tsv")


@dataclass(frozen=True)
class Source:
    """Inputs of a task, and where they come from.

    Attributes:
        items: what the task's pipeline takes, at least one.
        kind: ``"text"``, ``"audio"`` or ``"image"``.
        sha256: of the contents of the files that were used, in hex.
        total: how many inputs there are, of which ``items`` may be some.
    """

    items: list[Any]
    kind: str
    sha256: str
    total: int


def read_source(task: str, path: Path, limit: int) -> Source:
    """The inputs in a file or folder, or as many of them as are wanted, evenly spread.

    A text task reads a text file with an input on each line, or a table (.jsonl, .json, .csv, .tsv) with the fields
    ``text`` (and ``text_pair``), ``question`` and ``context``, or ``tokens``, a list of words. What hears or sees takes
    a file, a folder of such files at any depth, or a table with the field ``audio`` or ``image``: a path relative to
    the table. Further fields are ignored.

    Args:
        task: the task's name.
        path: the file or folder.
        limit: inputs at the most.

    Raises:
        OptionError: no such file, one of the wrong kind, without an input, or with a field that is missing.
    """
    kind = kind_of(task)
    if not path.exists():
        raise OptionError(f"calibration data: no file or folder at {path}")
    if path.suffix.lower() in _TABLES and path.is_file():
        items, files = _table(task, kind, path), [path]
    elif kind == "text":
        items, files = _lines(path, task), [path]
    else:
        items = list(_media(path, kind, task))
        files = []
    if not items:
        raise OptionError(f"calibration data: {path} holds no {_WANTED[kind]}")
    chosen = spread(items, limit)
    heard = [Path(item) for item in chosen] if kind != "text" else []
    return Source(chosen, kind, _digest([*files, *heard]), len(items))


def kind_of(task: str) -> str:
    """What a task reads: ``"text"``, ``"audio"`` or ``"image"``."""
    if PIPELINES[task].reads_text:
        return "text"
    return "image" if task.startswith("image") else "audio"


def spread(items: Sequence[ItemT], limit: int) -> list[ItemT]:
    """At most ``limit`` items, evenly spread: data is often sorted by its labels.

    Example:
        >>> spread("abcdef", 3)
        ['a', 'c', 'e']
    """
    count = min(limit, len(items))
    return [items[place * len(items) // count] for place in range(count)]


_WANTED = {"text": "text", "audio": "sound", "image": "picture"}


def _media(path: Path, kind: str, task: str) -> Iterator[str]:
    """Paths of the sounds or pictures that a path stands for."""
    if path.is_dir():
        yield from (str(file) for file in sorted(path.rglob("*")) if file.suffix.lower() in SUFFIXES[kind])
    elif path.suffix.lower() in SUFFIXES[kind]:
        yield str(path)
    else:
        endings = " ".join(sorted(SUFFIXES[kind]))
        raise OptionError(
            f"calibration data for {task}: expected a {_WANTED[kind]} file ({endings}), a folder of them, or a table "
            f"({' '.join(_TABLES)}) with the field {kind!r}, not {path.name}"
        )


def _lines(path: Path, task: str) -> list[Any]:
    """The lines of a text file that are not blank."""
    if path.is_dir() or path.suffix.lower() in SUFFIXES["audio"] | SUFFIXES["image"]:
        found = "a folder" if path.is_dir() else path.name
        raise OptionError(f"calibration data for {task}: expected a text file or a table of texts, not {found}")
    lines = [line.strip() for line in _text(path).splitlines()]
    if task == "question-answering":
        raise OptionError(
            f"calibration data for {task}: expected a table ({' '.join(_TABLES)}) with the fields 'question' and "
            f"'context', not {path.name}"
        )
    return [line for line in lines if line]


def _table(task: str, kind: str, path: Path) -> list[Any]:
    """The inputs in the rows of a table."""
    return [_item(task, kind, path, number, row) for number, row in _rows(path)]


def _rows(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """The rows of a table, each with its line number, in a .json its place in the list."""
    text = _text(path)
    if path.suffix.lower() in (".csv", ".tsv"):
        reader = csv.DictReader(text.splitlines(), delimiter="," if path.suffix.lower() == ".csv" else "\t")
        yield from ((reader.line_num, row) for row in reader)
        return
    try:
        rows: Iterable[tuple[int, Any]]
        if path.suffix.lower() == ".json":
            rows = enumerate(json.loads(text), 1)
        else:
            rows = ((number, json.loads(line)) for number, line in enumerate(text.splitlines(), 1) if line.strip())
        for number, row in rows:
            if not isinstance(row, Mapping):
                raise OptionError(f"calibration data: line {number} of {path} is no JSON object")
            yield number, row
    except (json.JSONDecodeError, TypeError) as error:
        raise OptionError(f"calibration data: {path} is not JSON: {error}") from error


def _item(task: str, kind: str, path: Path, number: int, row: Mapping[str, Any]) -> Any:
    """The input in a row."""

    def field(name: str) -> str:
        value = row.get(name)
        if not isinstance(value, str) or not value:
            found = ", ".join(map(str, row)) or "none"
            raise OptionError(f"calibration data: line {number} of {path} has no {name!r}; its fields are {found}")
        return value

    if kind != "text":
        return str(path.parent / field(kind))
    if task == "question-answering":
        return {"question": field("question"), "context": field("context")}
    words = row.get("tokens")
    if task == "token-classification" and isinstance(words, list):
        return " ".join(map(str, words))
    if task == "text-classification" and row.get("text_pair"):
        return {"text": field("text"), "text_pair": field("text_pair")}
    return field("text")


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise OptionError(f"calibration data: {path} is not UTF-8 text: {error}") from error
    except OSError as error:
        raise OptionError(f"calibration data: cannot read {path}: {error.strerror or error}") from error


def _digest(files: Sequence[Path]) -> str:
    """SHA-256 of the only file, or of the hashes of several in order.

    Raises:
        OptionError: a file cannot be read.
    """
    try:
        hashes = [sha256(file) for file in files]
    except OSError as error:
        raise OptionError(f"calibration data: cannot read {error.filename}: {error.strerror}") from error
    return hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()
