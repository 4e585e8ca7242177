"""Labelled files of every format and task, and what is said where one is wrong."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from tests.runtime.factories import make_bundle
from torchless import Bundle
from torchless.errors import InputError, OptionError, TaskError
from torchless.quantize.labelled import read_labelled, spans
from torchless.quantize.sources import read_source
from torchless.quantize.tables import read_rows

ROWS = [{"text": "good, very good", "label": "POS"}, {"text": 'so "so"\nbad', "label": "NEG"}]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("bundle")
    return Bundle.open(make_bundle(folder, "text-classification", {"good": [0.0, 1.0]}, ["NEG", "POS"]))


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    if path.suffix == ".json":
        path.write_text(json.dumps(rows), encoding="utf-8")
    elif path.suffix == ".jsonl":
        path.write_text("\n\n".join(map(json.dumps, rows)), encoding="utf-8")
    else:
        with path.open("w", encoding="utf-8-sig", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]), delimiter="," if path.suffix == ".csv" else "\t")
            writer.writeheader()
            writer.writerows(rows)
    return path


@pytest.mark.parametrize("suffix", [".json", ".jsonl", ".csv", ".tsv", ".CSV"])
def test_formats(bundle: Bundle, tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"data{suffix.lower()}", ROWS).rename(tmp_path / f"data{suffix}")
    found = read_labelled(path, bundle)
    assert found.inputs == [row["text"] for row in ROWS]
    assert found.targets == ["POS", "NEG"]
    assert (found.task, found.name, len(found.sha256)) == ("text-classification", path.name, 64)


def test_pairs_and_numbers_of_labels(bundle: Bundle, tmp_path: Path) -> None:
    path = write(tmp_path / "data.csv", [{"text": "a", "text_pair": "b", "label": 1, "more": "ignored"}])
    found = read_labelled(path, bundle)
    assert found.inputs == [{"text": "a", "text_pair": "b"}]
    assert found.targets == ["POS"]


@pytest.mark.parametrize("second", [None, "", "  "])
def test_a_blank_second_text_is_none_for_a_metric_as_for_calibration(
    bundle: Bundle, tmp_path: Path, second: str | None
) -> None:
    path = tmp_path / "data.jsonl"
    path.write_text(json.dumps({"text": "a", "text_pair": second, "label": "POS"}), encoding="utf-8")
    assert read_labelled(path, bundle).inputs == ["a"]
    assert read_source("text-classification", path, 1).items == ["a"]


TASKS: list[tuple[str, dict[str, Any], Any, Any]] = [
    (
        "ner",
        {"tokens": ["In", "New", "York"], "tags": ["O", "B-LOC", "I-LOC"]},
        ["In", "New", "York"],
        [("LOC", 3, 11)],
    ),
    ("ner", {"tokens": "In Rome", "tags": "O B-LOC"}, ["In", "Rome"], [("LOC", 3, 7)]),
    ("ner", {"text": "Ah!", "entities": [{"start": 0, "end": 2, "label": "X"}]}, "Ah!", [("X", 0, 2)]),
    ("ner", {"text": "Ah!", "entities": "[]"}, "Ah!", []),
    ("question-answering", {"question": "q", "context": "c", "answers": ["x", "y"]}, None, ["x", "y"]),
    ("question-answering", {"question": "q", "context": "c", "answers": {"text": ["x"], "start": [0]}}, None, ["x"]),
    ("question-answering", {"question": "q", "context": "c", "answers": "x"}, None, ["x"]),
    ("question-answering", {"question": "q", "context": "c", "answers": '["x", "y"]'}, None, ["x", "y"]),
    ("question-answering", {"question": "q", "context": "c", "answers": []}, None, []),
    ("question-answering", {"question": "q", "context": "c", "answers": ""}, None, []),
    ("fill-mask", {"text": "a [MASK]", "target": "b"}, "a [MASK]", "b"),
    ("text-generation", {"text": "once"}, "once", None),
    ("translation_en_to_de", {"text": "yes", "target": "ja"}, "yes", "ja"),
    ("summarization", {"text": "long", "target": "short"}, "long", "short"),
]


@pytest.mark.parametrize(("task", "row", "given", "wanted"), TASKS)
def test_tasks(bundle: Bundle, tmp_path: Path, task: str, row: dict[str, Any], given: Any, wanted: Any) -> None:
    found = read_labelled(write(tmp_path / "data.jsonl", [row]), bundle, task)
    assert found.inputs == [{"question": "q", "context": "c"} if given is None else given]
    assert found.targets == [wanted]


def test_files_are_relative_to_the_table(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "sounds").mkdir()
    (tmp_path / "sounds" / "a.wav").write_bytes(b"")
    path = write(tmp_path / "data.jsonl", [{"audio": "sounds/a.wav", "text": ""}])
    found = read_labelled(path, bundle, "asr")
    assert found.inputs == [str(tmp_path / "sounds" / "a.wav")]
    assert found.targets == [""]
    path = write(tmp_path / "data.jsonl", [{"image": "sounds/a.wav", "label": "NEG"}])
    assert read_labelled(path, bundle, "image-classification").targets == ["NEG"]
    path = write(tmp_path / "data.jsonl", [{"audio": "b.wav", "label": "NEG"}])
    with pytest.raises(InputError, match=r"line 1 of .*'audio' names a file that is not there"):
        read_labelled(path, bundle, "audio-classification")


@pytest.mark.parametrize(
    ("task", "row", "match"),
    [
        (None, {"text": "a"}, r"line 3 of .*'label' is missing; the line's fields are text"),
        (None, {"text": "a", "label": "MAYBE"}, r"line 3 of .*'label' is 'MAYBE', and the labels are NEG, POS"),
        (None, {"text": "a", "label": 2}, r"'label' is '2'"),
        (None, {"text": " ", "label": "NEG"}, r"'text' is empty"),
        (None, {"text": ["a"], "label": "NEG"}, r"'text' holds no text but \['a'\]"),
        ("ner", {"tokens": ["a", "b"], "tags": ["O"]}, r"'tags' has 1 tags for 2 tokens"),
        ("ner", {"tokens": ["a", 1], "tags": ["O", "O"]}, r"'tokens' holds no list of texts"),
        ("ner", {"tokens": "[1", "tags": "O"}, r"'tokens' is no JSON list"),
        ("ner", {"text": "a", "entities": [{"start": 0}]}, r"'entities' is no list"),
        ("question-answering", {"question": "q", "context": "c"}, r"'answers' is missing"),
        ("question-answering", {"question": "q", "context": "c", "answers": 3}, r"'answers' holds no texts but 3"),
        ("fill-mask", {"text": "a"}, r"'target' is missing"),
    ],
)
def test_wrong_rows(bundle: Bundle, tmp_path: Path, task: str | None, row: dict[str, Any], match: str) -> None:
    good = {"text": "a", "label": "NEG"} if task is None else row
    path = write(tmp_path / "data.jsonl", [good, row])
    with pytest.raises(InputError, match=match):
        read_labelled(path, bundle, task)


@pytest.mark.parametrize(
    ("name", "content", "kind", "match"),
    [
        ("data.txt", "a", OptionError, r"ends in \.jsonl, \.json, \.csv, \.tsv, not .*data\.txt"),
        ("data.jsonl", "", InputError, "holds no rows"),
        ("data.csv", "text,label\n", InputError, "holds no rows"),
        ("data.jsonl", '{"a": 1}\n{"a": ', InputError, "line 2 of .* is not JSON"),
        ("data.jsonl", "[1]", InputError, "line 1 of .* is no JSON object"),
        ("data.json", '{"a": 1}', InputError, "holds no list of objects"),
        ("data.json", "[\n1,\n", InputError, "line 3 of .* is not JSON"),
        ("data.csv", "text,label\na,b,c\n", InputError, "line 2 of .* has more values"),
        ("data.csv", 'text,label\n"a"b,c\n', InputError, r"cannot be read after line 1"),
    ],
)
def test_wrong_files(tmp_path: Path, name: str, content: str, kind: type[Exception], match: str) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(kind, match=match):
        read_rows(tmp_path / name)


def test_files_that_cannot_be_read(bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="no file at"):
        read_labelled(tmp_path / "none.csv", bundle)
    (tmp_path / "data.csv").write_bytes(b"text,label\n\xff,a\n")
    with pytest.raises(OptionError, match="cannot read"):
        read_labelled(tmp_path / "data.csv", bundle)
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(OptionError, match="cannot read"):
        read_labelled(tmp_path / "folder.csv", bundle)


@pytest.mark.parametrize("task", ["feature-extraction", "zero-shot-classification"])
def test_tasks_without_metrics(bundle: Bundle, tmp_path: Path, task: str) -> None:
    with pytest.raises(TaskError, match=f"no metric for '{task}'; there are some for text-classification"):
        read_labelled(write(tmp_path / "data.jsonl", ROWS), bundle, task)


def test_spans() -> None:
    places = [(0, 1), (2, 3), (4, 5), (6, 7), (8, 9)]
    assert spans(["B-A", "I-A", "B-A", "O", "I-B"], places) == [("A", 0, 3), ("A", 4, 5), ("B", 8, 9)]
    assert spans(["I-A", "I-B", "O", "A", "A"], places) == [("A", 0, 1), ("B", 2, 3), ("A", 6, 9)]
