"""Labelled files: per task, what its pipeline is asked in a row of a table and what it should answer.

==================================================  =============================================
task                                                fields
==================================================  =============================================
text-classification                                 text, label; for pairs text_pair, too (blank: no pair)
token-classification                                tokens, tags (B-PER, I-PER, O); or text, entities
question-answering                                  question, context, answers
fill-mask                                           text, with one mask, and target
text-generation                                     text
text2text-generation, summarization, translation    text, target
automatic-speech-recognition                        audio, text
audio-classification                                audio, label
image-classification                                image, label
==================================================  =============================================

``label`` is a label's name or its number. ``entities`` is a list of ``{"start", "end", "label"}``, which count
characters. ``answers`` is a list of texts, one text, or ``{"text": [...]}`` as SQuAD has it; an empty list says that
the context holds no answer. ``audio`` and ``image`` are paths, relative to the table. Lists in a CSV or TSV file are
JSON; tokens and tags may also have spaces between them. Further fields are ignored.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torchless.bundle import Bundle
from torchless.errors import TaskError
from torchless.tasks import normalize

from .tables import Row, read_rows

Entity = tuple[str, int, int]
"""An entity's type, its first character, and the one after its last."""


@dataclass(frozen=True)
class Labelled:
    """Inputs of a task and their right answers.

    Attributes:
        task: the task as it was asked for, such as ``"translation_en_to_de"``.
        inputs: what the task's pipeline takes.
        targets: what it should answer: a label, a text, texts, or entities.
        name: the file's name.
        sha256: of the file, in hex.
    """

    task: str
    inputs: list[Any]
    targets: list[Any]
    name: str
    sha256: str

    @property
    def kind(self) -> str:
        """The task's canonical name."""
        return normalize(self.task)


def read_labelled(path: Path, bundle: Bundle, task: str | None = None) -> Labelled:
    """Read a labelled file; see the module for its fields.

    Args:
        path: a .jsonl, .json, .csv or .tsv file.
        bundle: what will be asked; the labels must be its own.
        task: the task; None takes the bundle's.

    Raises:
        OptionError: no such file, or one of another format.
        InputError: no rows, a field that is missing or malformed, or a label that the bundle does not have.
        TaskError: a task that nothing is measured of.
    """
    name = task or bundle.task
    if name is None:
        raise TaskError(f"{bundle.folder} does not tell its task: name it")
    reader = _READERS.get(normalize(name))
    if reader is None:
        raise TaskError(f"no metric for {name!r}; there are some for {', '.join(_READERS)}")
    pairs = [reader(row, bundle) for row in read_rows(path)]
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return Labelled(name, [given for given, _ in pairs], [wanted for _, wanted in pairs], path.name, digest)


def spans(tags: Sequence[str], places: Sequence[tuple[int, int]]) -> list[Entity]:
    """The entities of tagged words; an I- of another type than the tag before it begins a new one.

    Args:
        tags: ``"O"``, ``"B-PER"``, ``"I-PER"``, ...; a tag without a prefix is taken for an I-.
        places: first character of each word, and the one after its last.
    """
    found: list[Entity] = []
    before = "O"
    for tag, (start, end) in zip(tags, places, strict=True):
        kind = tag[2:] if tag[:2] in ("B-", "I-") else tag
        if tag != "O" and tag[:2] != "B-" and before == kind:
            found[-1] = (kind, found[-1][1], end)
        elif tag != "O":
            found.append((kind, start, end))
        before = kind
    return found


def _classified(field: str) -> Callable[[Row, Bundle], tuple[Any, Any]]:
    return lambda row, bundle: (row.file(field), _label(row, bundle))


def _texts(row: Row, bundle: Bundle) -> tuple[Any, Any]:
    return row.pair(), _label(row, bundle)


def _label(row: Row, bundle: Bundle) -> str:
    """A label's name, whether the row has its name or its number."""
    label = row.text("label")
    if label in bundle.labels:
        return label
    if label.isdecimal() and int(label) < len(bundle.labels):
        return bundle.labels[int(label)]
    raise row.error("label", f"is {label!r}, and the labels are {', '.join(bundle.labels)}")


def _tagged(row: Row, bundle: Bundle) -> tuple[Any, Any]:
    if "entities" in row.values:
        return row.text("text"), _entities(row)
    words, tags = row.texts("tokens"), row.texts("tags")
    if len(words) != len(tags) or not words:
        raise row.error("tags", f"has {len(tags)} tags for {len(words)} tokens")
    places, start = [], 0
    for word in words:
        places.append((start, start + len(word)))
        start += len(word) + 1
    return words, spans(tags, places)


def _entities(row: Row) -> list[Entity]:
    value = row.values["entities"]
    parsed = row.parsed("entities", value) if isinstance(value, str) else value
    try:
        return [(str(entity["label"]), int(entity["start"]), int(entity["end"])) for entity in parsed]
    except (KeyError, TypeError, ValueError) as error:
        raise row.error("entities", 'is no list of {"start", "end", "label"}') from error


def _answered(row: Row, bundle: Bundle) -> tuple[Any, Any]:
    answers = row.values.get("answers")
    if isinstance(answers, dict):
        answers = answers.get("text")
    if isinstance(answers, str):
        text = answers.strip()
        answers = row.texts("answers") if text.startswith("[") else [text] if text else []
    if not isinstance(answers, list) or not all(isinstance(answer, str) for answer in answers):
        raise row.error("answers", "is missing" if answers is None else f"holds no texts but {answers!r:.60}")
    return {"question": row.text("question"), "context": row.text("context")}, answers


_READERS: dict[str, Callable[[Row, Bundle], tuple[Any, Any]]] = {
    "text-classification": _texts,
    "token-classification": _tagged,
    "question-answering": _answered,
    "fill-mask": lambda row, bundle: (row.text("text"), row.text("target")),
    "text-generation": lambda row, bundle: (row.text("text"), None),
    "text2text-generation": lambda row, bundle: (row.text("text"), row.text("target")),
    "summarization": lambda row, bundle: (row.text("text"), row.text("target")),
    "translation": lambda row, bundle: (row.text("text"), row.text("target")),
    "automatic-speech-recognition": lambda row, bundle: (row.file("audio"), row.text("text", empty=True)),
    "audio-classification": _classified("audio"),
    "image-classification": _classified("image"),
}
