"""The ``torchless`` command: mistakes, interruptions, readers that go away."""

import io
import os
import subprocess
import sys

import pytest

from torchless import cli_run

from .factories import edit_json

TASK = "text-classification"

MISTAKES = [
    (["run", TASK, "{}/nowhere", "good"], "no folder"),
    (["run", "summarisation", "{}", "good"], "unknown task 'summarisation'"),
    (["run", "ner", "{}", "good"], "needs a graph with outputs"),
    (["run", TASK, "{}"], "no input: give a text, a file, or -"),
    (["run", TASK, "{}", "good", "--top-k", "3"], "top_k=3 exceeds the 2 labels"),
    (["run", TASK, "{}", "good", "--top-k", "-1"], "top_k must be"),
    (["run", TASK, "{}", "good", "--top-k", "many"], "top_k must be"),
    (["run", TASK, "{}", "good", "--batch-size", "0"], "batch_size must be"),
    (["run", TASK, "{}", "good", "--threads", "0"], "threads must be"),
    (["run", TASK, "{}", "good", "--device", "tpu"], "device must be"),
    (["run", TASK, "{}", "good", "--dtype", "int3"], "no 'int3' variant"),
    (["run", TASK, "{}", '{"label": 1}'], 'expected {"text"'),
    (["run", "zero-shot-classification", "{}", "good"], "needs candidate_labels"),
    (["run", "zero-shot-classification", "{}", "good", "--candidate-labels", "[5]"], "candidate_labels must be"),
    (["info", "{}/nowhere"], "no folder"),
    (["verify", "{}"], "no torchless.json to verify against"),
]


@pytest.mark.parametrize(("arguments", "message"), MISTAKES)
@pytest.mark.filterwarnings("ignore:no label of")
def test_a_mistake_is_one_line_and_status_2(run, bundle, arguments, message):
    status, out, err = run(*(argument.replace("{}", bundle) for argument in arguments if argument))
    assert (status, out) == (2, "")
    assert err.startswith("torchless: ")
    assert message in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [[], ["fly"], ["run"], ["run", TASK], ["info", "x", "--colour"], ["run", TASK, "{}", "good", "--tok-k", "1"],
     ["run", TASK, "{}", "good", "--top", "1"], ["run", TASK, "{}", "good", "--batch", "1"],
     ["run", TASK, "{}", "good", "--threads", "two"]],
)  # fmt: skip
def test_a_mistake_in_the_words_themselves(run, bundle, arguments):
    status, out, err = run(*(argument.replace("{}", bundle) for argument in arguments))
    assert (status, out) == (2, "")
    assert "usage: torchless" in err


def test_a_file_that_is_not_text(run, bundle, tmp_path):
    (tmp_path / "picture").write_bytes(b"\xff\xd8\xff")
    status, _, err = run("run", TASK, bundle, tmp_path / "picture")
    assert status == 2
    assert "is not UTF-8 text" in err


def test_a_file_that_cannot_be_read(run, bundle, tmp_path, monkeypatch):
    def refuse(*arguments, **options):
        raise PermissionError(13, "Permission denied")

    (tmp_path / "lines").touch()
    monkeypatch.setattr("pathlib.Path.open", refuse)
    assert run("run", TASK, bundle, tmp_path / "lines")[0] == 2


def test_standard_input_that_is_not_text(run, bundle, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"\xff\n"), encoding="utf-8"))
    status, _, err = run("run", TASK, bundle, "-")
    assert (status, "standard input is not UTF-8 text" in err) == (2, True)


@pytest.mark.parametrize("labels", [[], "x", {"1": "one"}])
def test_info_of_a_bundle_with_malformed_labels(run, bundle, tmp_path, labels):
    edit_json(tmp_path / "bundle" / "config.json", id2label=labels)
    status, _, err = run("info", bundle)
    assert (status, "id2label" in err) == (2, True)


@pytest.mark.skipif(not hasattr(os, "pipe2"), reason="needs POSIX pipes")
@pytest.mark.parametrize("arguments", [["info"], ["run", TASK]])
def test_a_reader_that_goes_away(bundle, arguments):
    read, write = os.pipe()
    os.close(read)
    words = [*arguments, bundle, *(["good"] * 3 if arguments[0] == "run" else [])]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with open(write, "w") as closed:  # noqa: PTH123
        found = subprocess.run(
            [sys.executable, "-m", "torchless", *words],
            stdout=closed, stderr=subprocess.PIPE, text=True, timeout=60, check=False, env=environment,
        )  # fmt: skip
    assert (found.returncode, found.stderr) == (0, "")


def test_an_interruption(run, bundle, monkeypatch):
    def interrupt(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli_run, "pipeline", interrupt)
    assert run("run", TASK, bundle, "good")[0] == 130


def test_export_without_torch_names_the_extra(bundle, tmp_path):
    code = (
        "import sys; sys.modules['torch'] = None; from torchless.cli import main;"
        f"sys.exit(main(['export', {bundle!r}, {str(tmp_path / 'output')!r}]))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert (found.returncode, found.stdout) == (2, "")
    assert "torchless[export]" in found.stderr
    assert found.stderr.count("\n") == 1
    assert not (tmp_path / "output").exists()
