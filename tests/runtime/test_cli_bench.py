"""``torchless bench``: what is printed and written, and what is refused before anything is measured."""

import csv
import io
import json
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from torchless import cli_bench, progress
from torchless.bench import Result
from torchless.bench import bench as measure
from torchless.errors import MissingDependencyError, SessionError

from .factories import make_bundle
from .image_factories import make_classifier

QUICK = ("--repeats", "1", "--starts", "0", "--threads", "1")
WORDS = "fine bread water stone tree bird day night".split()


@pytest.fixture
def bundle(tmp_path):
    rows = dict.fromkeys(WORDS, (0.0, 1.0))
    return str(make_bundle(tmp_path / "words", "text-classification", rows, ("NEG", "POS"), max_length=64))


@pytest.fixture
def unmeasured(monkeypatch):
    monkeypatch.setattr("torchless.bench.bench", lambda *arguments, **options: pytest.fail("something was measured"))


def test_a_table(run, bundle):
    status, out, err = run("bench", bundle, *QUICK, "--batch", "1", "2", "--length", "16", "99")
    assert (status, err) == (0, ""), "no progress where there is no terminal"
    assert "words: text-classification" in out
    assert "99 tokens: a text of 99 tokens is too long" in out


def test_json(run, bundle):
    words = ("bench", bundle, *QUICK, "--batch", "1", "2", "--length", "16", "--warmup", "0", "--format", "json")
    status, out, _ = run(*words)
    found = Result.from_json(json.loads(out))
    assert status == 0
    assert [(row.batch, row.length) for row in found.rows] == [(1, 16), (2, 16)]
    assert found.command == shlex.join(["torchless", *words])


def test_csv(run, bundle):
    rows = list(csv.DictReader(io.StringIO(run("bench", bundle, *QUICK, "--length", "8", "--format", "csv")[1])))
    assert [row["length"] for row in rows] == ["8"]


def test_every_option_is_handed_on(run, bundle, monkeypatch):
    given = {}

    def kept(folder, **options):
        given.update(options, folder=folder)
        return measure(folder, repeats=1, starts=0, threads=1)

    monkeypatch.setattr("torchless.bench.bench", kept)
    status, _, _ = run(
        "bench", bundle, "--task", "ner", "--against", "a", "b", "--batch", "1", "8", "--length", "16",
        "--seconds", "0.5", "--threads", "2", "--dtype", "fp32", "encoder_model=int8", "decoder_model=q4",
        "--device", "cpu", "cuda:1", "--new-tokens", "5", "--beams", "1", "4", "--concurrency", "2", "3",
        "--concurrency-mode", "processes", "threads", "--min-time", "1.5", "--warmup", "0", "--starts", "0",
        "--optimized", "no",
    )  # fmt: skip
    del given["progress"]
    assert status == 0
    assert given == {
        "folder": bundle, "task": "ner", "against": ["a", "b"], "batch": [1, 8], "length": [16], "seconds": [0.5],
        "threads": [2], "dtype": ["fp32", {"encoder_model": "int8", "decoder_model": "q4"}],
        "device": ["cpu", "cuda:1"], "new_tokens": [5], "beams": [1, 4], "concurrency": [2, 3],
        "concurrency_mode": ["processes", "threads"], "min_time": 1.5, "warmup": 0, "starts": 0,
        "optimized": False,
    }  # fmt: skip


def test_files(run, bundle, tmp_path):
    pytest.importorskip("matplotlib")
    output = tmp_path / "deep" / "out"
    options = ("--batch", "1", "2", "--length", "8", "16", "--output", output)
    status, out, err = run("bench", bundle, *QUICK, *options)
    assert status == 0
    assert f"written to {output}" in err
    names = {path.name for path in output.iterdir()}
    assert {"bench.txt", "bench.json", "bench.csv", "bench.md", "bench.html", "latency.svg", "latency.png"} <= names
    assert not [name for name in names if name.startswith(".")]
    assert (output / "bench.txt").read_text(encoding="utf-8").strip() == out.strip()
    assert len(Result.read(output / "bench.json").rows) == 4
    assert (output / "latency.png").read_bytes()[:4] == b"\x89PNG"


def test_chosen_files(run, bundle, tmp_path):
    assert run("bench", bundle, *QUICK, "--output", tmp_path / "out", "--format", "json", "csv")[0] == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"bench.json", "bench.csv"}


def test_files_without_matplotlib(run, bundle, tmp_path, monkeypatch):
    def missing():
        raise MissingDependencyError("pictures need matplotlib: pip install 'torchless[report]'")

    monkeypatch.setattr("torchless.bench.plots.check", missing)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert run("bench", bundle, *QUICK, "--output", tmp_path / "out")[0] == 0
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"bench.txt", "bench.json", "bench.csv", "bench.md", "bench.html"}
    status, _, err = run("bench", bundle, *QUICK, "--output", tmp_path / "other", "--format", "png")
    assert (status, err) == (2, "torchless: pictures need matplotlib: pip install 'torchless[report]'\n")
    assert not (tmp_path / "other").exists()


def stretch(path, by):
    """The result in a file, with all latencies that many times as long."""
    found = Result.read(path)
    rows = []
    for row in found.rows:
        latency = row.metrics["latency_ms"]
        numbers = {name: by * getattr(latency, name) for name in ("mean", "p50", "p90", "p99", "low", "high")}
        rows.append(replace(row, metrics={"latency_ms": replace(latency, **numbers)}))
    path.write_text(json.dumps(replace(found, rows=tuple(rows)).to_json()), encoding="utf-8")


@pytest.mark.parametrize(("by", "status"), [(1000.0, 0), (0.001, 1)])
def test_compared(run, bundle, tmp_path, by, status):
    options = ("--repeats", "6", "--starts", "0", "--threads", "1", "--length", "8")
    old = tmp_path / "old.json"
    old.write_text(run("bench", bundle, *options, "--format", "json")[1], encoding="utf-8")
    stretch(old, by)
    found, out, _ = run("bench", bundle, *options, "--compare", old)
    assert found == status
    assert ("slower" if status else "faster") in out
    found, out, err = run("bench", bundle, *options, "--compare", old, "--format", "json")
    assert found == status
    assert Result.from_json(json.loads(out)).rows
    assert ("slower" if status else "faster") in err


def test_inputs(run, bundle, tmp_path):
    file = tmp_path / "texts.txt"
    file.write_text('fine day\n\nbird\n{"text": "a", "text_pair": "b"}\n', encoding="utf-8")
    found = json.loads(run("bench", bundle, *QUICK, "--inputs", file, "--format", "json")[1])
    assert found["rows"][0]["length"] == round((4 + 3 + 5) / 3)
    assert found["settings"]["inputs"] == [str(file)]


def test_pictures(run, tmp_path):
    from PIL import Image

    folder = make_classifier(tmp_path / "colours")
    for name in ("a.png", "b.png"):
        Image.new("RGB", (9, 5), "red").save(tmp_path / name)
    pictures = (tmp_path / "a.png", tmp_path / "b.png")
    found = json.loads(run("bench", folder, *QUICK, "--inputs", *pictures, "--format", "json")[1])
    assert found["rows"][0]["size"] == [5, 9]
    assert found["versions"]["pillow"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--batch", "0"], "batch must be a whole number of at least 1, not 0"),
        (["--dtype", "q4"], "has no 'q4' variant of 'model'; it has ['fp32']"),
        (["--seconds", "10"], "text-classification hears nothing"),
        (["--min-time", "-1"], "min_time must be"),
        (["--concurrency-mode", "fibers"], "'fibers'"),
        (["--task", "chess"], "unknown task 'chess'"),
    ],
)
def test_mistakes_in_what_is_measured(run, bundle, options, message, monkeypatch):
    monkeypatch.setattr("torchless.bench.run.in_turns", lambda *arguments: pytest.fail("something was measured"))
    status, out, err = run("bench", bundle, "--starts", "0", *options)
    assert (status, out) == (2, "")
    assert err.startswith("torchless: ")
    assert err.count("\n") == 1
    assert message in err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--format", "xml"], "'xml' is none of table, json, csv, markdown, html, png, svg"),
        (["--format", "json", "csv"], "name a folder to write to: --output DIR"),
        (["--format", "png"], "name a folder to write to: --output DIR"),
        (["--compare", "{tmp}/nothing.json"], "cannot read"),
        (["--compare", "{tmp}/words/config.json"], "is not a result of torchless bench"),
        (["--output", "{tmp}/words/config.json"], "cannot write to"),
        (["--output", "/proc/nothing/here"], "cannot write to"),
        (["--inputs", "{tmp}/nothing.txt"], "no file at"),
        (["--inputs", "{tmp}/words/onnx/model.onnx"], "is not UTF-8 text"),
    ],
)
@pytest.mark.usefixtures("unmeasured")
def test_mistakes_in_files(run, bundle, tmp_path, options, message):
    if options[-1].startswith("/proc") and sys.platform != "linux":
        pytest.skip("no /proc")
    (tmp_path / "words" / "onnx" / "model.onnx").write_bytes(b"\xff\xfe\n")
    status, out, err = run("bench", bundle, *(option.format(tmp=tmp_path) for option in options))
    assert (status, out) == (2, "")
    assert err.count("\n") == 1
    assert message in err


def test_two_answers_to_how_long(run, bundle):
    status, _, err = run("bench", bundle, "--repeats", "3", "--min-time", "1")
    assert status == 2
    assert "not allowed with" in err


def test_a_disk_that_is_full(run, bundle, tmp_path, monkeypatch):
    """Nothing is left of the files, an old result stays, and the table is printed all the same."""
    output = tmp_path / "out"
    output.mkdir()
    (output / "bench.json").write_text("old", encoding="utf-8")

    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cli_bench, "_draw", full)
    status, out, err = run("bench", bundle, *QUICK, "--output", output)
    assert status == 2
    assert "No space left on device" in err
    assert "written" not in err
    assert "ms/call" in out, "what was measured is not lost"
    assert [path.name for path in output.iterdir()] == ["bench.json"]
    assert (output / "bench.json").read_text(encoding="utf-8") == "old"


def test_what_failed_is_told_and_what_was_measured_is_not_lost(run, bundle, tmp_path, monkeypatch):
    def fail(*arguments):
        raise SessionError("a worker ended")

    monkeypatch.setattr("torchless.bench.turns.Threads", fail)
    output = tmp_path / "out"
    options = ("--length", "8", "--concurrency", "2", "--output", output, "--format", "json", "csv")
    status, out, err = run("bench", bundle, *QUICK, *options)
    assert status == 2
    failed = "words fp32 CPU, 1 thread, batch 1, 8 tokens, 2 threads: a worker ended"
    assert err.splitlines()[-1] == f"torchless: failed while it was measured: {failed}"
    assert "ms/call" in out
    assert f"failed: {failed}" in out
    found = Result.read(output / "bench.json")
    assert found.failed == (failed,)
    assert [row.mode for row in found.rows] == ["alone"]


def test_interrupted_with_something_measured(run, bundle, tmp_path, monkeypatch):
    """It is shown and written all the same."""
    from torchless.bench.runners import Alone

    plain, turns = Alone.turn, []

    def interrupt(self, share):
        turns.append(share)
        if len(turns) == 2:
            raise KeyboardInterrupt
        return plain(self, share)

    monkeypatch.setattr(Alone, "turn", interrupt)
    options = ("--repeats", "6", "--starts", "0", "--threads", "1", "--output", tmp_path / "out", "--format", "json")
    status, out, err = run("bench", bundle, *options)
    assert status == 130
    assert "failed: interrupted at: measuring 2 of 6" in out
    assert "ms/call" in out
    assert "Traceback" not in err
    found = Result.read(tmp_path / "out" / "bench.json")
    assert found.rows[0].metrics["latency_ms"].n == 1
    assert found.command


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT")
def test_interrupted(bundle, tmp_path):
    """Before anything was measured: nothing is written, no worker stays, no traceback is shown."""
    command = [
        sys.executable,
        "-m",
        "torchless",
        "bench",
        bundle,
        "--min-time",
        "60",
        "--starts",
        "0",
        "--concurrency",
        "2",
    ]
    output = tmp_path / "out"
    process = subprocess.Popen(
        [*command, "--concurrency-mode", "processes", "--output", str(output)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # which background jobs ignore, and inherit
    )  # fmt: skip
    try:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        workers: list[str] = []
        end = time.monotonic() + 60
        while children.exists() and len(workers) < 2 and time.monotonic() < end:
            time.sleep(0.05)
            workers = children.read_text(encoding="ascii").split()
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 130
    assert out == ""
    assert "Traceback" not in err
    assert not output.exists()
    assert [pid for pid in workers if Path("/proc", pid).exists()] == []


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_progress(run, bundle, monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    run("bench", bundle, *QUICK)
    assert "measuring 1 of 1: words fp32 CPU" in terminal.getvalue()
    assert terminal.getvalue().endswith("\r")
    monkeypatch.setattr(sys, "stderr", quiet := Terminal())
    run("bench", bundle, *QUICK, "--quiet")
    assert quiet.getvalue() == ""


def test_a_line_takes_the_place_of_the_one_before(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("COLUMNS", "10")
    progress.show_line("x" * 30)
    progress.show_line("")
    assert terminal.getvalue() == "\r" + "x" * 9 + "\r\r" + " " * 9 + "\r"
