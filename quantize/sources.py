"""Files of texts, sounds and pictures as inputs of a task."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from torchless.errors import OptionError
from torchless.files import sha256
from torchless.pipelines import PIPELINES

from .tables import SUFFIXES as TABLES
from .tables import Row, read_rows

ItemT = TypeVar("ItemT")

SUFFIXES = {
    "audio": frozenset(".wav .flac .ogg .oga .opus .mp3 .aif .aiff .au .w64".split()),
    "image": frozenset(".png .jpg .jpeg .bmp .gif .webp .tif .tiff .ppm .pgm".split()),
}
"""What files of sounds and of pictures are called."""


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
    ``text`` (and ``text_pair``, where it is not blank), ``question`` and ``context``, or ``tokens``, a list of words.
    What hears or sees takes a file, a folder of such files at any depth, or a table with the field ``audio`` or
    ``image``: a path relative to the table. Further fields are ignored.

    Args:
        task: the task's name.
        path: the file or folder.
        limit: inputs at the most.

    Raises:
        OptionError: no such file, one of the wrong kind, or without an input.
        InputError: a row without the field, or of a file that is missing.
    """
    kind = kind_of(task)
    if not path.exists():
        raise OptionError(f"calibration data: no file or folder at {path}")
    if path.suffix.lower() in TABLES and path.is_file():
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
            f"({' '.join(TABLES)}) with the field {kind!r}, not {path.name}"
        )


def _lines(path: Path, task: str) -> list[Any]:
    """The lines of a text file that are not blank."""
    if path.is_dir() or path.suffix.lower() in SUFFIXES["audio"] | SUFFIXES["image"]:
        found = "a folder" if path.is_dir() else path.name
        raise OptionError(f"calibration data for {task}: expected a text file or a table of texts, not {found}")
    if task == "question-answering":
        raise OptionError(
            f"calibration data for {task}: expected a table ({' '.join(TABLES)}) with the fields 'question' and "
            f"'context', not {path.name}"
        )
    return [line.strip() for line in _text(path).splitlines() if line.strip()]


def _table(task: str, kind: str, path: Path) -> list[Any]:
    """The inputs in the rows of a table."""
    return [_item(task, kind, row) for row in read_rows(path)]


def _item(task: str, kind: str, row: Row) -> Any:
    """The input in a row."""
    if kind != "text":
        return row.file(kind)
    if task == "question-answering":
        return {"question": row.text("question"), "context": row.text("context")}
    if task == "token-classification" and "tokens" in row.values:
        return " ".join(row.texts("tokens"))
    return row.pair() if task == "text-classification" else row.text("text")


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
