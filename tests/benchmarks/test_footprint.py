"""Starting and memory: what a fresh process measures, with this project alone."""

import os
import sys
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="the benchmarks are for an environment that has it")

from benchmarks import footprint
from benchmarks.footprints import fresh, program, shared, starts
from tests.runtime.factories import make_bundle

pytestmark = pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="Linux tells memory")
PYTHON = Path(sys.executable)


@pytest.fixture(autouse=True)
def empty(monkeypatch, tmp_path):
    monkeypatch.setattr(fresh, "EMPTY", tmp_path / "footprint" / "empty")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    folder = tmp_path_factory.mktemp("footprint") / "bundle"
    return make_bundle(folder, "text-classification", {"good": (0, 1), "bad": (1, 0)}, ("NEG", "POS"))


def test_an_answer_is_timed_and_its_memory_taken(bundle):
    command = {"do": "answer", "engine": "torchless", "task": "text-classification", "folder": str(bundle)}
    found = fresh.run(PYTHON, {**command, "input": "good", "options": {"top_k": 2}})
    assert found["texts"] == ["POS", "NEG"]
    assert 0.05 < found["process_s"] < 60
    assert 30 < found["peak_mib"] < 500
    assert 200 < found["modules"] < 1000


def test_imports_are_measured_beside_those_that_come_first():
    found = fresh.run(PYTHON, {"do": "import", "after": ["json"], "modules": ["json", "wave"]})
    assert 1 <= found["modules"] <= 5  # what wave brings; json is there
    assert fresh.run(PYTHON, {"do": "import", "after": ["wave"], "modules": ["wave"]})["modules"] == 0


def test_a_size_is_that_of_a_distribution_with_what_it_needs():
    one, more = (fresh.run(PYTHON, {"do": "size", "of": of}) for of in (["numpy"], ["numpy", "numpy", "tokenizers"]))
    files = {Path(str(file.locate())) for file in metadata.distribution("numpy").files}
    assert one["mib"] == pytest.approx(sum(path.stat().st_size for path in files if path.is_file()) / 2**20)
    assert one["distributions"] == 1
    assert more["distributions"] > 2  # tokenizers needs more
    assert more["mib"] > one["mib"]


def test_ragged_calls_tell_their_memory(bundle):
    command = {"do": "ragged", "folder": str(bundle), "dtype": "fp32", "options": {"enable_mem_pattern": True}}
    # Its texts use up to 1,000 token ids.
    wide = make_bundle(bundle.parent / "wide", "text-classification", {str(i): (0, 1) for i in range(1000)}, ("A", "B"))
    found = fresh.run(PYTHON, {**command, "folder": str(wide), "calls": 20})
    assert 10 < found["loaded_mib"] <= found["peak_mib"] < 500
    assert {"tenth_mib", "all_mib", "cpu_s"} <= set(found)


def test_a_failure_is_told_with_its_reason(bundle):
    command = {"do": "answer", "engine": "torchless", "task": "no-task", "folder": str(bundle), "input": "x"}
    with pytest.raises(SystemExit, match="TaskError"):
        fresh.run(PYTHON, {**command, "options": {}})


def test_ways_take_turns_and_the_first_turn_is_left_out():
    calls = []

    def once(way):
        calls.append(way)
        return {"n": len(calls), "text": "x"}

    found = fresh.interleaved({"a": 1, "b": 2}, 3, once)
    assert calls == [1, 2] * 4
    assert [result["n"] for result in found["b"]] == [4, 6, 8]
    assert fresh.medians(found["b"]) == {"n": 6}


def test_texts_of_answers_without_scores():
    answer = [{"label": "A", "score": 0.1}, {"word": "b", "start": np.int64(1), "parts": ("c",)}]
    assert program._texts(answer) == ["A", "c", "b"]


def test_memory_of_a_process():
    block = np.ones(50 << 17)  # 50 MiB
    found = shared._memory(os.getpid(), "Pss")
    assert block.nbytes / 2**20 < found <= shared._memory(os.getpid(), "Rss")


def test_every_checkpoint_is_answered_by_everyone():
    ways = [starts._ways(sample) for sample in starts.one_of_each()]
    assert {way["torchless"][1]["task"] for way in ways} >= {"summarization", "question-answering"}
    assert {Path(way["transformers"][1]["folder"]).name for way in ways} == set(starts.OPTIMUM)
    assert all(list(way) == ["torchless", "torchless optimized", "transformers", "optimum"] for way in ways)


def test_contenders_are_those_of_the_suites():
    names = {model.name: model.contenders() for model in shared.MODELS}
    assert "torch fp32" in names["gpt2"]
    assert "torch int8" not in names["gpt2"]
    assert names["bert"][-2:] == ["torchless fp32 optimized", "torchless int8 optimized"]


def test_parts_that_are_not_measured_again_stay(monkeypatch):
    rows = [{"part": "import", "n": 1}, {"part": "ragged", "n": 2}, {"what": "of an older kind"}]
    monkeypatch.setattr(footprint, "read", lambda name: {"rows": rows})
    assert footprint._others(["import"]) == [{"part": "ragged", "n": 2}]
