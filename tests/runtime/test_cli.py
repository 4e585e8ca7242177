"""The ``torchless`` command."""

import json
import subprocess
import sys

import numpy as np
import pytest

import torchless
from torchless import cli_run

from .factories import edit_json, make_bundle, reference, write_manifest

TASK = "text-classification"
LOG3 = float(np.log(3))


def command(*arguments, **settings):
    """Call the command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "torchless", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        **settings,
    )


def test_a_text(run, bundle):
    assert run("run", TASK, bundle, "good") == (0, "POS  0.7500\n", "")


def test_several_texts(run, bundle):
    assert run("run", TASK, bundle, "good", "bad good", "bad") == (0, "POS  0.7500\nNEG  0.5000\nNEG  0.7500\n", "")


@pytest.mark.parametrize("task", ["auto", "sentiment-analysis"])
def test_the_task_may_be_the_bundles_own_or_an_alias(run, bundle, task):
    assert run("run", task, bundle, "good")[:2] == (0, "POS  0.7500\n")


def test_a_file_of_lines(run, bundle, tmp_path):
    (tmp_path / "texts.txt").write_bytes(b"good\nbad\r\n\ngood")
    status, out, _ = run("run", TASK, bundle, tmp_path / "texts.txt")
    assert (status, out) == (0, "POS  0.7500\nNEG  0.7500\nNEG  0.5000\nPOS  0.7500\n")


def test_standard_input(run, bundle):
    assert run("run", TASK, bundle, "-", stdin="good\nbad\n")[:2] == (0, "POS  0.7500\nNEG  0.7500\n")


def test_json_lines(run, bundle):
    status, out, _ = run("run", TASK, bundle, "--json", "--top-k", "2", "good", "bad")
    first, second = map(json.loads, out.splitlines())
    assert status == 0
    assert first == [{"label": "POS", "score": pytest.approx(0.75)}, {"label": "NEG", "score": pytest.approx(0.25)}]
    assert [answer["label"] for answer in second] == ["NEG", "POS"]


def test_inputs_of_several_parts(run, bundle):
    pair = json.dumps({"text": "good", "text_pair": "good"})
    assert run("run", TASK, bundle, pair)[:2] == (0, "POS  0.9000\n")
    assert (
        run("run", TASK, bundle, "-", stdin=f"{pair}\ngood\n{{good\n")[1] == "POS  0.9000\nPOS  0.7500\nPOS  0.7500\n"
    )


@pytest.mark.parametrize(
    "arguments",
    [["--top-k", "2", "good"], ["good", "--top-k", "2"], ["--top-k=2", "good"], ["good", "--top-k", "none"],
     ["--threads", "1", "--top-k", "2", "good"]],
)  # fmt: skip
def test_options_of_the_task_may_stand_anywhere(run, bundle, arguments):
    assert run("run", TASK, bundle, *arguments) == (0, "POS  0.7500\nNEG  0.2500\n", "")


def test_an_input_between_options(run, bundle):
    assert run("run", TASK, bundle, "good", "--top-k", "1", "bad", "--json")[0] == 0
    out = run("run", TASK, bundle, "good", "--top-k", "1", "bad", "--json")[1]
    assert [json.loads(line)[0]["label"] for line in out.splitlines()] == ["POS", "NEG"]


def test_a_word_as_an_option(run, tmp_path):
    folder = make_bundle(tmp_path, "token-classification", {"anna": (0, 9), "##s": (0, 9)}, ("O", "B-PER"))
    status, out, _ = run("run", "ner", folder, "annas", "--aggregation-strategy", "first")
    assert (status, out) == (0, "PER  0.9999  annas  0  5\n")
    assert run("run", "ner", folder, "annas")[1] == "B-PER  0.9999  1  anna  0  4\nB-PER  0.9999  2  ##s  4  5\n"
    split = run("run", "ner", folder, "annas", "--ignore-labels", '["B-PER"]')
    assert split[:2] == (0, "\n")


def test_candidate_labels(run, tmp_path):
    labels = ("contradiction", "entailment")
    folder = make_bundle(tmp_path, TASK, {"a": (0, LOG3), "b": (0, 0)}, labels)
    status, out, _ = run("run", "zero-shot-classification", folder, "x", "--candidate-labels", "b,a", "--json")
    assert status == 0
    expected = {"sequence": "x", "labels": ["a", "b"], "scores": pytest.approx([0.75, 0.25])}
    assert json.loads(out) == expected
    out = run("run", "zero-shot-classification", folder, "-", "--candidate-labels", "b,a", "--json", stdin="x\r\nx")[1]
    assert [json.loads(line) for line in out.splitlines()] == [expected, expected]


def test_a_question_and_a_context(run, tmp_path):
    folder = make_bundle(tmp_path, "question-answering", {"berlin": (9, 9), "in": (0, 0)})
    assert run("run", "question-answering", folder, "where", "in berlin")[1].endswith("3  9  berlin\n")
    item = json.dumps({"question": "where", "context": "in berlin"})
    assert run("run", "question-answering", folder, item, item)[1].count("berlin") == 2


def test_vectors(run, tmp_path):
    folder = make_bundle(tmp_path, "feature-extraction", {"a": (3, 4), "[CLS]": (1, 0)})
    assert run("run", "feature-extraction", folder, "a", "--pooling", "cls")[1] == "float32 (2,) [1. 0.]\n"
    assert json.loads(run("run", "feature-extraction", folder, "a", "--json")[1]) == [[[1, 0], [3, 4], [0, 0]]]


@pytest.mark.parametrize("text", ["good " * 60, "good " * 2000, "good/good\0", "good\ngood"])
def test_a_text_that_cannot_be_the_name_of_a_file(run, bundle, text):
    assert run("run", TASK, bundle, text)[:2] == (0, run("run", TASK, bundle, "-", stdin=text.replace("\n", " "))[1])


def test_a_warning_is_one_line(bundle, tmp_path):
    edit_json(tmp_path / "bundle" / "tokenizer_config.json", model_max_length=3)
    found = command("run", TASK, bundle, "good bad")
    assert found.stdout == "POS  0.7500\n"
    assert found.stderr.startswith("torchless: warning: 1 of 1 texts exceed the limit of 3 tokens")
    assert found.stderr.count("\n") == 1


def test_version(run):
    assert run("--version") == (0, f"torchless {torchless.__version__}\n", "")


def test_as_a_module(bundle):
    found = command("run", TASK, bundle, "good")
    assert (found.returncode, found.stdout, found.stderr) == (0, "POS  0.7500\n", "")
    found = command("run", TASK, bundle)
    assert (found.returncode, found.stdout) == (2, "")
    assert "Traceback" not in found.stderr


def test_help_lists_the_options_of_every_task(run):
    status, out, _ = run("run", "--help")
    assert status == 0
    for option in (
        "--top-k",
        "--aggregation-strategy",
        "--candidate-labels",
        "--max-answer-len",
        "--pooling",
        "--targets",
    ):
        assert option in out


def test_info(run, bundle, tmp_path):
    status, out, _ = run("info", bundle)
    lines = dict(line.split(maxsplit=1) for line in out.splitlines())
    assert status == 0
    assert (lines["task"], lines["model_type"], lines["labels"]) == (TASK, "bert", "['NEG', 'POS']")
    write_manifest(tmp_path / "bundle", TASK, max_length=7, provenance={"checkpoint": "org/name"})
    found = json.loads(run("info", bundle, "--json")[1])
    size = (tmp_path / "bundle" / "onnx" / "model.onnx").stat().st_size
    assert found == {
        "folder": bundle, "task": TASK, "model_type": "bert", "max_length": 7, "labels": ["NEG", "POS"],
        "graphs": {"model": {"fp32": size}}, "auto": {"cpu": "fp32", "cuda": "fp32"},
        "provenance": {"checkpoint": "org/name"},
    }  # fmt: skip


def test_info_of_a_bundle_without_labels(run, bundle, tmp_path):
    edit_json(tmp_path / "bundle" / "config.json", id2label=None)
    assert json.loads(run("info", bundle, "--json")[1])["labels"] == []


def test_verify(run, bundle, tmp_path):
    folder = tmp_path / "bundle"
    write_manifest(folder, TASK, references=[reference(folder, [[2, 5, 3]])])
    status, out, _ = run("verify", bundle)
    assert (status, out) == (0, "model fp32: files intact, outputs within 0 of the recorded ones (tolerance 0.001)\n")
    assert json.loads(run("verify", bundle, "--json")[1]) == [
        {"graph": "model fp32", "difference": 0.0, "tolerance": 0.001}
    ]
    write_manifest(folder, TASK, references=[reference(folder, [[2, 5, 3]], shift=0.5)])
    status, out, err = run("verify", bundle)
    assert (status, out) == (2, "")
    assert "differs from the recorded outputs by" in err


def test_verify_without_references_says_so(run, bundle, tmp_path):
    write_manifest(tmp_path / "bundle", TASK)
    assert run("verify", bundle)[:2] == (0, "files intact; the manifest has no recorded outputs to compare with\n")


@pytest.mark.parametrize(
    ("annotation", "text", "value"),
    [
        ("int | None", "3", 3),
        ("int | None", "none", None),
        ("bool", "false", False),
        ("Literal['none', 'simple']", "none", "none"),
        ("Literal['cls', 'mean'] | None", "none", None),
        ("str | Sequence[str]", "2024", "2024"),
        ("str | Sequence[str]", '["a", "b"]', ["a", "b"]),
        ("Sequence[str]", "O,I-LOC", ["O", "I-LOC"]),
    ],
)
def test_the_value_of_a_task_option(annotation, text, value):
    assert cli_run.value(annotation, text) == value


@pytest.mark.parametrize("line", ['["New", "York"]', "New York"])
def test_a_line_of_words(line):
    assert cli_run.words(line) == ["New", "York"]
