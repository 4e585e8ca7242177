"""The document of a benchmark: to JSON and back, and what is none."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from torchless.bench import Result, Row, Start, Summary
from torchless.errors import InputError

SUMMARY = Summary(n=6, mean=3.5, p50=3.5, p90=6.0, p99=6.0, low=1.0, high=6.0)
ROW = Row(
    bundle="vit", dtype="fp32", provider="CPU", threads=2, batch=8, length=None, seconds=None, size=(224, 200),
    new_tokens=None, beams=None, mode="alone", workers=1, metrics={"latency_ms": SUMMARY},
    values={"throughput_per_s": 9.5}, optimized=("encoder_model",),
)  # fmt: skip
HEARD = replace(ROW, size=None, seconds=2.5, new_tokens=4, beams=1, length=7, mode="threads", workers=3)
START = Start("vit", "fp32", "CPU", 2, {"load_ms": SUMMARY}, {"bundle_mib": 4.5})
RESULT = Result(
    format=1, created="2026-11-28T02:54:50+00:00", command="torchless bench vit", bundle={"task": "feature"},
    machine={"cpus": 2}, versions={"numpy": "2.4"}, settings={"batch": [8]}, starts=(START,), rows=(ROW, HEARD),
    notes=("left out: ä",), failed=("starting vit: killed",),
)  # fmt: skip


def document() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(json.dumps(RESULT.to_json()))
    return content


def test_round_trip(tmp_path: Path) -> None:
    assert Result.from_json(document()) == RESULT
    path = tmp_path / "bench.json"
    path.write_text(json.dumps(RESULT.to_json()), encoding="utf-8")
    assert Result.read(path) == RESULT


def test_a_whole_number_is_a_number() -> None:
    content = document()
    content["rows"][0]["metrics"]["latency_ms"]["p50"] = 3
    assert Result.from_json(content).rows[0].metrics["latency_ms"].p50 == 3.0


def test_a_document_that_was_made_before_it_told_failures_and_optimized_graphs() -> None:
    content = document()
    del content["failed"], content["rows"][0]["optimized"]
    found = Result.from_json(content)
    assert found.failed == ()
    assert found.rows[0].optimized is None


CHANGES = [
    (("format",), 2, "format 2"),
    (("rows",), None, "'rows' of the document is None"),
    (("rows", 0), 3, r"rows\[0\] is 3, not an object"),
    (("rows", 1, "batch"), "8", r"'batch' of rows\[1\] is '8'"),
    (("rows", 1, "batch"), True, r"'batch' of rows\[1\] is True"),
    (("rows", 0, "size"), [224], r"'size' of rows\[0\]"),
    (("rows", 0, "metrics", "latency_ms"), 3.5, r"latency_ms of rows\[0\] is 3.5"),
    (("rows", 0, "values", "throughput_per_s"), None, r"'throughput_per_s' of values of rows\[0\]"),
    (("rows", 0, "optimized"), "all", r"'optimized' of rows\[0\] is 'all'"),
    (("rows", 0, "optimized"), [1], r"'optimized' of rows\[0\] is \[1\]"),
    (("failed",), 1, "'failed' of the document is 1"),
    (("starts", 0, "bundle"), 1, r"'bundle' of starts\[0\]"),
]


@pytest.mark.parametrize(("place", "value", "message"), CHANGES)
def test_a_malformed_document(tmp_path: Path, place: tuple[Any, ...], value: Any, message: str) -> None:
    content = document()
    inner = content
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    with pytest.raises(InputError, match=message):
        Result.from_json(content)
    path = tmp_path / "old.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(InputError, match=f"old.json is not a result of torchless bench: .*{message}"):
        Result.read(path)


@pytest.mark.parametrize("name", [name for name in RESULT.to_json() if name != "failed"])
def test_a_document_without_a_field(name: str) -> None:
    content = document()
    del content[name]
    with pytest.raises(InputError, match=f"has no '{name}'"):
        Result.from_json(content)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[]", b"[" * 100_000])
def test_a_file_that_is_none(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "old.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"old\.json is not a result of torchless bench"):
        Result.read(path)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot read .*old\.json: No such file"):
        Result.read(tmp_path / "old.json")
    with pytest.raises(InputError, match="cannot read"):
        Result.read(tmp_path)
