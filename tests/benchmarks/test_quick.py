"""The quick paths of the suites with this project alone: everything but the peers, and nothing is written."""

import ast
import os
import warnings
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="checkpoints are written by torch")

from benchmarks import concurrency, generation, measure, operators, recognition, scale
from benchmarks.peers import models, preparation, recognition_models, table
from benchmarks.peers.torchless import write

pytestmark = pytest.mark.export
OURS = "torchless fp32"
FULL = ("fp32",)
TOKENIZED = (recognition_models.TOKENIZER / "tokenizer.json").is_file()
LATER = 4e9  # no source is newer, whoever edits one meanwhile


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """The small BERT, GPT-2 and Whisper as preparation would leave them, made in this process."""
    folder = tmp_path_factory.mktemp("benchmarks")
    wanted = [(recognition_models, "bert", FULL), (models, "gpt2", FULL)]
    if TOKENIZED:
        wanted.append((recognition_models, "whisper-tiny", ("int8",)))
    for module, model, precisions in wanted:
        place = folder / f"{model}-small"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            module.write(model, place / "checkpoint", small=True)
            for precision in precisions:
                write(place / "checkpoint", place / f"torchless-{precision}", precision)
        for name in ("checkpoint", *(f"torchless-{precision}" for precision in precisions)):
            ready = place / f"{name}.ready"
            ready.touch()
            os.utime(ready, (LATER, LATER))
    return folder


@pytest.fixture
def quick(folder, monkeypatch, tmp_path, capsys):
    """Call a suite's command; returns the rows that it prints. Fails if it writes a result or the README."""
    monkeypatch.setattr(preparation, "FOLDER", folder)
    monkeypatch.setattr(recognition, "FOLDER", folder)
    for suite in (concurrency, generation, operators, recognition, scale):
        monkeypatch.setattr(suite, "PAUSE_S", 0)  # there is nobody whose threads could spin
    monkeypatch.setattr(measure, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(table, "README", tmp_path / "README.md")

    def call(main, *arguments):
        main(["--quick", *arguments])
        assert list(tmp_path.iterdir()) == []
        return [ast.literal_eval(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]

    return call


def test_generation(quick):
    rows = quick(generation.main, "--models", "gpt2", "--contenders", OURS, "--repeats", "1")
    assert [(row["batch"], row["beams"]) for row in rows] == [(1, 1), (1, 4), (4, 1), (4, 4)]
    assert all(row["step_ms"] > 0 and row["peak_mib"] > 0 and row["agreement"] is None for row in rows)


def test_recognition(quick):
    rows = quick(recognition.main, "--cases", "bert", "--contenders", OURS, "--repeats", "1")
    assert [(row["batch"], row["input"]) for row in rows] == [(1, "16 tokens"), (3, "32 tokens")]
    assert all(row["ms"] > 0 and row["contender"] == OURS for row in rows)


@pytest.mark.skipif(not TOKENIZED, reason="Whisper's tokenizer is not part of the repository")
def test_recognition_of_whisper_in_int8(quick):
    contender = "torchless int8"
    rows = quick(recognition.main, "--cases", "whisper-tiny", "--contenders", contender, "--repeats", "1")
    assert [(row["contender"], row["batch"]) for row in rows] == [(contender, 1), (contender, 4)]
    assert all(row["ms"] > 0 and row["realtime"] > 0 for row in rows)


def test_whisper_meets_its_peers_in_both_precisions():
    peers = ("torchless", "openvino", "ctranslate2", "faster-whisper", "onnx-asr")
    for case in ("whisper-tiny", "whisper-base"):
        found = set(recognition.CASES[case].contenders(recognition.RECOGNITION.contenders))
        assert {f"{name} {precision}" for name in peers for precision in ("fp32", "int8")} <= found


def test_concurrency(quick, folder):
    alone = f"{OURS} threads=1"
    rows = quick(concurrency.main, "--contenders", OURS, alone)
    assert [(row["model"], row["contender"], row["mode"], row["callers"], row["threads"]) for row in rows] == [
        ("bert", OURS, "threads", 2, 2),
        ("bert", alone, "threads", 2, 1),
        ("bert", OURS, "processes", 2, 1),
        ("gpt2", OURS, "threads", 2, 2),
        ("gpt2", alone, "threads", 2, 1),
        ("gpt2", OURS, "processes", 2, 1),
    ]
    kept = [path.parent.parent for path in folder.rglob("graph.onnx")]
    assert {(path.parent.name, path.name) for path in kept} >= {
        (f"{model}-small", "torchless-fp32-optimized") for model in ("bert", "gpt2")
    }
    assert all(row["same"] and row["calls"] >= 2 and 0 < row["p50_ms"] <= row["p99_ms"] for row in rows)


def test_operators(quick):
    rows = quick(operators.main, "--models", "bert", "--contenders", OURS)
    assert [(row["input"], row["threads"]) for row in rows] == [
        (given, threads) for given in ("16 tokens", "32 tokens") for threads in (1, 2)
    ]
    assert all(row["kinds"]["products"] > 0 and row["gops"]["all"] > 0 for row in rows)


def test_scale(quick):
    rows = quick(scale.main, "--series", "length", "rows", "--precisions", "fp32")
    assert {row["series"] for row in rows} == {"length", "rows"}
    assert len(rows) == 2 * (4 + 3)
    assert all(row["ms"] > 0 for row in rows)
    long, short = (
        next(r["ms"] for r in rows if (r["x"], r["threads"], r["series"]) == (n, 1, "length")) for n in (32, 8)
    )
    assert long > short


def test_scale_is_of_one_run(capsys):
    with pytest.raises(SystemExit):
        scale.main(["--series", "length"])
    assert "--quick" in capsys.readouterr().err
