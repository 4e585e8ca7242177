"""What results hold, and what tables and second measurements make of rows of several runs."""

import json

import pytest

from benchmarks import measure, repeat
from benchmarks.peers import process, table

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


KEYS = ("model", "contender", "batch", "input", "beams")


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
