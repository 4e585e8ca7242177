"""What results hold, and what tables and second measurements make of rows of several runs."""

import json
import os
from typing import ClassVar

import pytest

from benchmarks import generation, measure, repeat
from benchmarks.peers import preparation, process, table
from benchmarks.peers.reference import Reference

HERE, THERE = ("Mill, 2 CPUs", "2026-01-01"), ("Abacus, 1 CPUs", "2026-01-02")


def row(contender, step, run=HERE, **more):
    fixed = {"model": "gpt2", "batch": 1, "input": 32, "beams": 1, "new": 64, "turns": 3, "agreement": 64}
    numbers = {"step_ms": step, "prefill_ms": 10 * step, "tokens_per_s": 1000 / step, "peak_mib": 100}
    return {**fixed, "contender": contender, **numbers, "machine": run[0], "date": run[1], **more}


@pytest.fixture
def results(tmp_path, monkeypatch):
    monkeypatch.setattr(measure, "RESULTS", tmp_path)
    return tmp_path


def test_rows_carry_machine_and_date(results):
    measure.write("some", [{"name": "a", "ms": 1.0}])
    (found,) = json.loads((results / "some.json").read_text())["rows"]
    assert found["machine"] == measure.machine(measure.hardware())
    assert found["date"] == json.loads((results / "some.json").read_text())["date"]


def test_rows_without_them_get_those_of_the_file(results):
    head = {"hardware": {"processor": "Mill", "flags": ["avx2"], "cpus": 4}, "date": "2020-02-02"}
    rows = [{"name": "a", "ms": 1.0}, {"name": "b", "ms": 2.0, "machine": "Abacus", "date": "2019-01-01"}]
    (results / "some.json").write_text(json.dumps({**head, "rows": rows, "environments": {"old": 1, "both": 1}}))
    measure.merge("some", [{"name": "c", "ms": 3.0}], ("name",), environments={"both": 2})
    first, second, third = measure.read("some")["rows"]
    assert (first["machine"], first["date"]) == ("Mill (avx2), 4 CPUs", "2020-02-02")
    assert (second["machine"], second["date"]) == ("Abacus", "2019-01-01")
    assert third["machine"] == measure.machine(measure.hardware())
    assert measure.read("some")["environments"] == {"old": 1, "both": 2}


def test_merging_replaces_rows_of_the_same_keys(results):
    measure.write("some", [{"name": "a", "ms": 1.0}, {"name": "b", "ms": 2.0}])
    measure.merge("some", [{"name": "a", "ms": 3.0}], ("name",))
    assert [(found["name"], found["ms"]) for found in measure.read("some")["rows"]] == [("b", 2.0), ("a", 3.0)]


def test_a_table_of_one_run_names_it_once():
    text = table.tables([row("torchless fp32", 10.0), row("torch fp32", 25.0), row("optimum fp32", 20.0)])
    assert text.startswith("Measured on Mill, 2 CPUs, 2026-01-01:\n")
    assert "<sup>" not in text
    assert text.splitlines()[-1].endswith("| **2.00** · 2.00 |")


def test_a_table_of_several_runs_compares_only_within_one():
    text = table.tables([row("torchless fp32", 10.0), row("torch fp32", 25.0), row("optimum fp32", 5.0, THERE)])
    assert "1 Mill, 2 CPUs, 2026-01-01; 2 Abacus, 1 CPUs, 2026-01-02" in text
    assert "**5.0** · 50 <sup>2</sup>" in text
    assert text.splitlines()[-1].endswith("| **2.50** · 2.50 |")


def test_families_have_tables_of_their_own():
    text = table.tables([row("torchless fp32", 10.0), row("torchless q4", 4.0), row("onnxruntime-genai int4", 6.0)])
    heads = [line.split(" | ")[0] for line in text.splitlines() if "input x batch" in line]
    assert heads == ["| GPT-2 124M, fp32<br>input x batch x beams", "| GPT-2 124M, 4 bits<br>input x batch x beams"]
    assert "| **1.50** · 1.50 | **1.50** · 1.50 |" in text


KEYS = generation.KEYS


class Scripted:
    """A contender whose calls take given seconds, then a second each; it gives tokens that depend on the prompt."""

    asked: ClassVar[list[tuple[str, int]]] = []

    def __init__(self, contender, *folders, seconds=()):
        self.contender, self._seconds = contender, list(seconds)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def ask(self, do, *, tokens=(), beams=1, new=0):
        if do != "run":
            return {"versions": {}, "peak": 100.0}
        self.asked.append((self.contender, new))
        seconds = self._seconds.pop(0) if self._seconds else 1.0
        return {"seconds": seconds, "tokens": [[sum(row) % 50 + index for index in range(new)] for row in tokens]}


@pytest.fixture
def scripted(results, tmp_path, monkeypatch):
    """The suite of generation with such contenders. Returns what they were asked for."""
    monkeypatch.setattr(generation, "PAUSE_S", 0)
    monkeypatch.setattr(generation, "Worker", Scripted)
    monkeypatch.setattr(generation, "prepare", lambda *names, small: None)
    monkeypatch.setattr(generation, "insert", lambda rows: "")
    monkeypatch.setattr(preparation, "FOLDER", tmp_path)
    monkeypatch.setattr(Scripted, "asked", [])
    (tmp_path / "gpt2/checkpoint").mkdir(parents=True)
    (tmp_path / "gpt2/checkpoint/model.safetensors").touch()
    return Scripted.asked


@pytest.mark.parametrize(
    ("seconds", "counted"),
    [
        ((0.25, 0.0625, 0.125, 0.125), (0.0625, 0.125, 0.125)),
        ((0.125, *[0.03125] * 9), (0.03125,) * generation.FIRST_CALLS),
        ((0.5, 0.25), (0.5,)),
    ],
    ids=["until the seconds are spent", "until the calls are spent", "a long one warms nothing up"],
)
def test_the_first_token_is_asked_for_again_while_that_is_short(scripted, seconds, counted):
    turn, tokens = generation._turn(Scripted("torch fp32", seconds=seconds), [[1, 2]], generation.CELLS[0])
    assert turn.first == counted
    assert scripted[-1][1] == len(tokens[0]) == 64


def test_torch_beside_other_precisions_gives_its_tokens_and_no_row(scripted, results):
    written = row("torch fp32", 25.0)
    measure.write("generation", [written])
    command = ["--models", "gpt2", "--cells", "32x1x1", "--repeats", "2"]
    generation.main([*command, "--contenders", "torch fp32", "torchless int8"])
    assert [new for name, new in scripted if name == "torch fp32"] == [64]
    before, ours = measure.read("generation")["rows"]
    assert before == written
    assert (ours["contender"], ours["agreement"], ours["turns"], ours["prefill_calls"]) == ("torchless int8", 64, 2, 2)

    scripted.clear()
    for contenders in (["torchless int8"], ["torch fp32", "torchless int8"]):
        generation.main([*command, "--contenders", *contenders])
        assert measure.read("generation")["rows"][-1]["agreement"] == 64
    assert {name for name, _ in scripted} == {"torchless int8"}


def test_kept_tokens_are_of_the_same_prompts_and_checkpoint(scripted, tmp_path):
    Reference("gpt2", small=False).keep("a", [[1]], [[2, 3]])
    assert Reference("gpt2", small=False).tokens("a", [[1]]) == [[2, 3]]
    assert Reference("gpt2", small=False).tokens("a", [[4]]) is None
    assert Reference("gpt2", small=False).tokens("b", [[1]]) is None
    os.utime(tmp_path / "gpt2/checkpoint/model.safetensors", (4e9, 4e9))
    assert Reference("gpt2", small=False).tokens("a", [[1]]) is None


def test_a_second_measurement_within_the_target(capsys):
    before = [row("torchless fp32", 10.0), row("torch fp32", 20.0), row("optimum int8", 5.0)]
    again = [row("torchless fp32", 20.0, THERE), row("torch fp32", 42.0, THERE)]
    assert repeat.moved(before, again, KEYS, ("step_ms",)) == {
        "gpt2 1 32 1: step_ms, torch fp32 / torchless fp32": (2.0, 2.1)
    }
    repeat.check(before, again, KEYS, ("step_ms", "prefill_ms"))
    assert "2 of 2 ratios moved by 10% or less" in capsys.readouterr().out


def test_a_second_measurement_beyond_the_target(capsys):
    before = [row("torchless fp32", 10.0), row("torch fp32", 20.0)]
    with pytest.raises(SystemExit):
        repeat.check(before, [row("torchless fp32", 10.0), row("torch fp32", 30.0)], KEYS, ("step_ms",))
    assert "2.00, now 3.00 (+50%)" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="nothing to compare"):
        repeat.check(before, [row("torchless fp32", 10.0)], KEYS, ("step_ms",))


def test_a_missing_environment_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(process, "ROOT", tmp_path)
    with pytest.raises(SystemExit, match=r"make \.venv-peers/ready"):
        process.python("torch fp32")
    with pytest.raises(SystemExit, match=r"make \.venv-genai/ready"):
        process.python("onnxruntime-genai int4")
