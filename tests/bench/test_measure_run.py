"""Measuring: numbers that fit together, everything in turns, and what is refused before anything is measured."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.runtime.factories import make_bundle
from tests.runtime.generation_factories import make_causal, make_seq2seq
from torchless import Session
from torchless.bench import Interrupted, Result, bench, run, starts, turns
from torchless.bench.compare import compare
from torchless.bench.configurations import Configurations, names
from torchless.bench.doubts import doubts
from torchless.bench.failures import Failures
from torchless.bench.plan import Plan
from torchless.bench.timing import Call, Share, Turn
from torchless.errors import BundleNotFoundError, DeviceError, InputError, OptionError, SessionError, TaskError

WORDS = "fine bread water stone tree bird day night".split()
PLAN = Plan(
    batch=(1,), length=None, seconds=None, threads=(1,), dtype=("auto",), device=("cpu",), new_tokens=None, beams=None,
    concurrency=(), concurrency_mode=("threads",), repeats=10, min_time=None, warmup=0, starts=0,
    optimized="auto",
)  # fmt: skip


def classifier(folder: Path, **options: Any) -> Path:
    return make_bundle(
        folder, "text-classification", dict.fromkeys(WORDS, (0.0, 1.0)), ("NEG", "POS"), max_length=64, **options
    )


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses are for times that are looked at."""
    monkeypatch.setattr("torchless.bench.runners.PAUSE_S", 0.01)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A classifier with a second variant, which is the first."""
    folder = classifier(tmp_path / "words")
    shutil.copy(folder / "onnx" / "model.onnx", folder / "onnx" / "model_int8.onnx")
    return folder


@pytest.fixture
def unmeasured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measuring anything is a failure."""

    def fail(*arguments: object) -> None:
        pytest.fail("something was measured")

    monkeypatch.setattr(run, "in_turns", fail)
    monkeypatch.setattr(starts, "start", fail)


def test_numbers_fit_together(bundle: Path) -> None:
    lines: list[str] = []
    found = bench(
        bundle, batch=(1, 4), length=(16, 65), threads=1, dtype="int8", concurrency=2,
        concurrency_mode=("threads", "processes"), repeats=6, starts=2, progress=lines.append,
    )  # fmt: skip
    assert Result.from_json(json.loads(json.dumps(found.to_json()))) == found
    assert [(row.batch, row.mode, row.workers) for row in found.rows] == [
        (batch, mode, workers) for batch in (1, 4) for mode, workers in (("alone", 1), ("threads", 2), ("processes", 2))
    ]
    assert [note for note in found.notes if "left out" in note] == [
        f"left out: words, batch {batch}, 65 tokens: a text of 65 tokens is too long: the model has 64 positions"
        for batch in (1, 4)
    ]
    for row in found.rows:
        assert (row.bundle, row.dtype, row.provider, row.threads, row.length) == ("words", "int8", "CPU", 1, 16)
        latency = row.metrics["latency_ms"]
        assert latency.n == 6 * row.workers
        assert 0 < latency.low <= latency.p50 <= latency.p90 <= latency.p99
        assert latency.low <= latency.p50 <= latency.high
        # No more than as many calls at a time as there are workers; less where one is done before the others.
        busy = row.values["throughput_per_s"] * latency.mean / 1e3 / row.batch
        assert 0.3 < busy < row.workers
        assert row.values["tokens_per_s"] == pytest.approx(16 * row.values["throughput_per_s"])
        assert row.values["cpu_per_call_ms"] >= 0
        assert ("peak_mib" in row.values) == (row.mode != "threads")
    alone, _, processes = (row.values for row in found.rows[:3])
    assert 1.5 * alone["peak_mib"] < processes["peak_mib"] < 3 * alone["peak_mib"]
    (start,) = found.starts
    assert (start.bundle, start.dtype, start.provider, start.threads) == ("words", "int8", "CPU", 1)
    assert all(summary.n == 2 for summary in start.metrics.values())
    assert start.metrics["cold_start_ms"].low > start.metrics["import_ms"].low + start.metrics["load_ms"].low
    assert 10 < start.values["resident_mib"] <= start.values["peak_mib"] < 1000
    assert start.values["bundle_mib"] == (bundle / "onnx" / "model_int8.onnx").stat().st_size / 2**20
    assert any("of 36" in line and "s left" in line for line in lines)
    assert found.bundle == {
        "folder": str(bundle), "task": "text-classification", "model_type": "bert", "others": []
    }  # fmt: skip
    assert {"processor", "cpus", "cpus_allowed", "memory_mib", "system", "load"} <= set(found.machine)
    assert {"python", "torchless", "onnxruntime", "numpy", "tokenizers"} == set(found.versions)
    assert found.settings["repeats"] == 6
    assert found.settings["batch"] == [1, 4]


def test_generation(tmp_path: Path) -> None:
    folder = make_causal(tmp_path / "letters", {word: {"</s>": 2.0, "a": 1.0} for word in "abcdef"})
    found = bench(folder, length=9, new_tokens=5, batch=2, beams=(1, 2), threads=1, repeats=4, starts=0)
    greedy, beams = found.rows
    for row in (greedy, beams):
        assert row.metrics["token_ms"].n == 4 * 4
        assert row.values["tokens_per_s"] == pytest.approx(5 * row.values["throughput_per_s"])
    assert greedy.metrics["first_token_ms"].n == 4
    assert greedy.metrics["first_token_ms"].p50 < greedy.metrics["latency_ms"].p50
    assert "first_token_ms" not in beams.metrics
    assert (greedy.new_tokens, greedy.beams, beams.beams) == (5, 1, 2)
    assert found.starts == ()


def test_at_least_so_long(bundle: Path) -> None:
    (row,) = bench(bundle, threads=1, min_time=0.3, starts=0).rows
    assert row.metrics["latency_ms"].n * row.metrics["latency_ms"].mean >= 0.9 * 300 * 0.8
    (row,) = bench(bundle, threads=1, min_time=1e-6, starts=0).rows
    assert row.metrics["latency_ms"].n == 6, "one in each turn"


def test_bundles_side_by_side(bundle: Path, tmp_path: Path) -> None:
    other = classifier(tmp_path / "old" / "words")
    third = classifier(tmp_path / "third")
    found = bench(bundle, against=[other, third], dtype=("fp32", "int8"), threads=1, repeats=1, starts=0)
    tail = tmp_path.name
    assert [(row.bundle, row.dtype) for row in found.rows] == [
        (f"{tail}/words", "fp32"), (f"{tail}/words", "int8"), ("old/words", "fp32"), (f"{tail}/third", "fp32")
    ]  # fmt: skip
    assert sum("no 'int8' variant" in note for note in found.notes) == 2
    assert found.bundle["others"] == [str(other), str(third)]


def test_optimized_graphs(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = tmp_path / "kept"
    found = bench(
        bundle, optimized=str(kept), threads=1, repeats=1, starts=1, concurrency=1, concurrency_mode="processes"
    )
    assert len(list(kept.glob("model-*"))) == 1
    assert found.settings["optimized"] == str(kept)
    assert [one.optimized for one in (*found.rows, *found.starts)] == [("model",)] * 3
    assert "graphs in the form that torchless optimize keeps ran for fp32" in found.notes
    assert not any(warning.startswith("other graphs") for warning in compare(found, found).warnings)
    monkeypatch.setenv("TORCHLESS_CACHE", str(kept))
    # What is kept for one variant is not for the other.
    other = bench(bundle, dtype=("fp32", "int8"), threads=1, repeats=1, starts=0)
    assert {row.dtype: row.optimized for row in other.rows} == {"fp32": ("model",), "int8": ()}
    told = "ran for fp32, and not for int8: start-up, memory and callers in threads do not compare"
    assert any(told in note for note in other.notes)
    plain = bench(bundle, optimized=False, threads=1, repeats=1, starts=0)
    assert plain.rows[0].optimized == ()
    assert not any("optimize" in note for note in plain.notes)
    assert any(warning.startswith("other graphs of fp32") for warning in compare(plain, found).warnings)


def test_what_several_callers_use_is_opened_before_they_are_measured(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared: list[int] = []
    monkeypatch.setattr(Session, "prepare", lambda session, callers: prepared.append(callers))
    asked: dict[str, Any] = {"threads": 1, "repeats": 1, "starts": 0, "concurrency": (1, 3)}
    bench(bundle, optimized=str(tmp_path / "kept"), **asked)
    assert prepared == [1, 3]
    bench(bundle, optimized=False, **asked)
    assert prepared == [1, 3]


class Failing:
    """A runner that raises in its second turn."""

    def __init__(self, error: BaseException) -> None:
        self._error, self._turns, self.closed = error, 0, 0

    def turn(self, share: Share) -> Turn:
        self._turns += 1
        if self._turns > 1:
            raise self._error
        return Turn([Call(1.0)], 1.0, 0.0)

    def memory(self) -> None:
        return None

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Lets what is called by several threads fail in its second turn."""

    def fail(error: BaseException) -> Failing:
        runner = Failing(error)
        monkeypatch.setattr(turns, "Threads", lambda *arguments: runner)
        return runner

    return fail


@pytest.mark.parametrize(
    ("error", "reason"), [(SessionError("no memory"), "no memory"), (RuntimeError("odd"), "RuntimeError: odd")]
)
def test_what_fails_does_not_take_the_others_along(bundle: Path, failing: Any, error: Exception, reason: str) -> None:
    runner = failing(error)
    found = bench(bundle, threads=1, length=8, concurrency=2, repeats=6, starts=0)
    assert [(row.mode, row.metrics["latency_ms"].n) for row in found.rows] == [("alone", 6)]
    assert found.failed == (f"words fp32 CPU, 1 thread, batch 1, 8 tokens, 2 threads: {reason}",)
    assert runner._turns == 2, "it is not tried again"
    assert runner.closed
    assert Result.from_json(json.loads(json.dumps(found.to_json()))) == found


def test_what_cannot_be_warmed_up(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object) -> None:
        raise SessionError("a worker ended")

    monkeypatch.setattr(turns, "Processes", fail)
    found = bench(bundle, threads=1, concurrency=2, concurrency_mode=("processes", "threads"), repeats=1, starts=0)
    assert [row.mode for row in found.rows] == ["alone", "threads"]
    (failed,) = found.failed
    assert failed.endswith("2 processes: a worker ended")


def test_a_start_that_fails(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain, tried = starts.start, Counter[str]()

    def fail(job: Any) -> dict[str, float]:
        tried[job.dtype] += 1
        if job.dtype == "int8":
            raise SessionError("a process ended")
        return plain(job)

    monkeypatch.setattr(starts, "start", fail)
    found = bench(bundle, dtype=("fp32", "int8"), threads=1, length=8, repeats=1, starts=2)
    assert found.failed == ("starting words int8 CPU, 1 thread, batch 1, 8 tokens: a process ended",)
    assert tried == {"fp32": 2, "int8": 1}
    assert [start.dtype for start in found.starts] == ["fp32"]
    assert [("peak_mib" in row.values) for row in found.rows] == [True, False]


def test_where_nothing_can_be_measured_the_first_reason_is_raised(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object) -> None:
        raise SessionError("first")

    monkeypatch.setattr(starts, "start", fail)
    monkeypatch.setattr(turns, "Alone", fail)
    with pytest.raises(SessionError, match="first"):
        bench(bundle, threads=1, repeats=1, starts=1)


def test_interrupted_with_what_had_been_measured(bundle: Path, failing: Any) -> None:
    failing(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt) as caught:
        bench(bundle, threads=1, concurrency=2, repeats=6, starts=0)
    assert isinstance(caught.value, Interrupted)
    found = caught.value.result
    assert found.rows
    assert all(row.metrics["latency_ms"].n >= 1 for row in found.rows)
    (said,) = found.failed
    assert said.startswith("interrupted at: measuring ")
    assert "2 threads; what there is was measured for less time" in said


def test_dtypes_by_role_have_names_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where as many graphs have as many dtypes, of which each is in use."""
    folder = make_seq2seq(tmp_path / "words", {"a": {"b": 2.0}})
    for role in ("encoder_model", "decoder_model"):
        content = (folder / "onnx" / f"{role}.onnx").read_bytes()
        for name in (role, "decoder_with_past_model") if role == "decoder_model" else (role,):
            for dtype in ("", "_int8", "_q4"):
                (folder / "onnx" / f"{name}{dtype}.onnx").write_bytes(content)

    def every(task: str, bundle: Any) -> None:
        for role in bundle.dtypes:
            bundle.session(role)

    monkeypatch.setattr("torchless.bench.configurations.pipeline", every)
    choices = [
        {"encoder_model": "int8", "decoder_model": "q4", "decoder_with_past_model": "q4"},
        {"encoder_model": "int8", "decoder_model": "int8", "decoder_with_past_model": "q4"},
        {"encoder_model": "int8", "decoder_model": "q4", "decoder_with_past_model": "int8"},
        dict.fromkeys(("encoder_model", "decoder_model", "decoder_with_past_model"), "q4"),
    ]
    asked = _plan(dtype=(*choices, "q4"))
    variants = list(Configurations([folder], "summarization", None, asked)._variants())
    assert [variant.asked for variant in variants] == choices, "what is the same by two names only once"
    shown = [variant.dtype for variant in variants]
    assert len(set(shown)) == 4
    assert shown[-1] == "q4"
    assert all(name.count("+") == 2 for name in shown[:-1])


def test_the_same_by_two_names_is_measured_once(bundle: Path) -> None:
    found = bench(
        bundle, dtype=("auto", "fp32"), device=("cpu", "auto"), threads=(1, 1), batch=[1, 1], repeats=1, starts=0
    )
    assert len(found.rows) == 1


def test_names() -> None:
    assert names(["models/sst2", Path("old/mrpc"), "org/model"]) == ["sst2", "mrpc", "model"]
    assert names(["a/x/m", "b/x/m"]) == ["a/x/m", "b/x/m"]
    with pytest.raises(OptionError, match="m is there twice"):
        names(["m", "n", "./m"])


class Counted:
    """A runner that notes its turns."""

    def __init__(self, log: list[tuple[str, Share]], name: str) -> None:
        self._log, self._name = log, name

    def turn(self, share: Share) -> Turn:
        self._log.append((self._name, share))
        return Turn([Call(1.0)] * (share.calls or 1), 1.0, 0.0)

    def memory(self) -> None:
        return None

    def close(self) -> None:
        pass


@pytest.mark.parametrize(("repeats", "calls"), [(10, [2, 2, 2, 2, 1, 1]), (6, [1] * 6), (2, [1, 1])])
def test_all_take_turns(repeats: int, calls: list[int]) -> None:
    log: list[tuple[str, Share]] = []
    measured: list[Any] = [turns.Measured(name, "alone", 1, Counted(log, name)) for name in "abc"]  # type: ignore[arg-type]
    turns.in_turns(measured, _plan(repeats=repeats), lambda line: None, Failures())
    rounds = [log[start : start + 3] for start in range(0, len(log), 3)]
    assert [sorted(name for name, _ in turn) for turn in rounds] == [["a", "b", "c"]] * len(calls)
    assert [{share.calls for _, share in turn} for turn in rounds] == [{count} for count in calls]
    assert all(len(one.times.calls) == repeats for one in measured)
    if repeats > 2:
        assert len({tuple(name for name, _ in turn) for turn in rounds}) > 1, "not always behind the same one"


def test_time_is_shared_by_turns() -> None:
    log: list[tuple[str, Share]] = []
    one = turns.Measured("a", "alone", 1, Counted(log, "a"))  # type: ignore[arg-type]
    turns.in_turns([one], _plan(repeats=None, min_time=3.0), print, Failures())
    assert [share for _, share in log] == [Share(seconds=0.5)] * 6


def _plan(**changes: Any) -> Plan:
    from dataclasses import replace

    return replace(PLAN, **changes)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch": 0}, "batch must be a whole number of at least 1, not 0"),
        ({"batch": (1, 2.0)}, r"batch must be .*, not 2\.0"),
        ({"batch": True}, "batch must be .*, not True"),
        ({"batch": ()}, "batch: nothing to measure"),
        ({"length": -1}, "length must be"),
        ({"length": "16"}, "length must be .*, not '16'"),
        ({"threads": (1, 0)}, "threads must be .*, not 0"),
        ({"threads": ()}, "threads: nothing to measure"),
        ({"threads": (1, 100_000)}, "threads must be 1024 at the most, not 100000: .* processors"),
        ({"concurrency": 100_000}, "concurrency must be 1024 at the most, not 100000"),
        ({"repeats": 0}, "repeats must be"),
        ({"min_time": 0}, "min_time must be a number of seconds above 0, not 0"),
        ({"min_time": float("nan")}, "min_time must be"),
        ({"min_time": float("inf")}, "min_time must be"),
        ({"repeats": 3, "min_time": 1.0}, "give one of them"),
        ({"warmup": -1}, "warmup must be"),
        ({"starts": 1.5}, "starts must be"),
        ({"concurrency": 0}, "concurrency must be"),
        ({"concurrency": 2, "concurrency_mode": "fibers"}, "of threads, processes, not 'fibers'"),
        ({"concurrency": 2, "concurrency_mode": ()}, "needs a concurrency_mode"),
        ({"seconds": 10}, "seconds=10 has no meaning here: text-classification hears nothing"),
        ({"new_tokens": 5}, "new_tokens=5 has no meaning here: text-classification generates no tokens"),
        ({"beams": (1, 2)}, "beams=1 2 has no meaning here"),
        ({"inputs": ["fine day"], "length": 16}, "is given inputs that have their own"),
        ({"inputs": []}, "no inputs"),
        ({"inputs": "fine day"}, "inputs must be a list, not 'fine day'"),
        ({"inputs": {"text": "fine", "text_pair": "day"}}, "inputs must be a list, not {"),
        ({"inputs": 7}, "inputs must be a list, not 7"),
        ({"against": "models/other"}, "against must be a list, not 'models/other'"),
        ({"dtype": "q4"}, "has no 'q4' variant of 'model'; it has"),
        ({"dtype": {"decoder": "q4"}}, "names by role"),
        ({"device": "tpu"}, "device must be"),
        ({"optimized": 3}, "optimized must be True, False, 'auto' or a folder"),
        ({"length": (65, 1)}, "nothing that can be measured: left out: words, batch 1, 65 .*; left out: .* 1 tokens"),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("unmeasured")
def test_bad_options(bundle: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        bench(bundle, **options)


@pytest.mark.usefixtures("unmeasured")
def test_other_mistakes(bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="GPU build"):
        bench(bundle, device="cuda")
    with pytest.raises(BundleNotFoundError):
        bench(tmp_path / "nothing")
    with pytest.raises(BundleNotFoundError):
        bench(bundle, against=[tmp_path / "nothing"])
    with pytest.raises(TaskError, match="unknown task 'chess'"):
        bench(bundle, task="chess")
    with pytest.raises(TaskError):
        bench(bundle, against=[make_causal(tmp_path / "letters", {"a": {"a": 1.0}})])
    with pytest.raises(InputError, match="expected a text"):
        bench(bundle, inputs=["fine day", 7])
    with pytest.raises(OptionError, match="there twice"):
        bench(bundle, against=[bundle])


def test_more_weights_than_memory(bundle: Path, monkeypatch: pytest.MonkeyPatch, unmeasured: None) -> None:
    monkeypatch.setattr("torchless.bench.configurations.available_memory", lambda: 10)
    with pytest.raises(ValueError, match="measure fewer dtypes, threads or bundles at once"):
        bench(bundle)


def test_workers_end_where_measuring_fails(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []
    plain = turns.Processes

    def kept(*arguments: Any) -> Any:
        made.append(plain(*arguments))
        return made[-1]

    def interrupt(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(turns, "Processes", kept)
    monkeypatch.setattr(run, "in_turns", interrupt)
    with pytest.raises(KeyboardInterrupt):
        bench(bundle, concurrency=2, concurrency_mode="processes", threads=1, repeats=1, starts=0)
    workers = made[0]._workers
    assert len(workers) == 2
    assert all(worker._process.poll() is not None for worker in workers)


def test_doubts(bundle: Path) -> None:
    found = bench(bundle, threads=1, repeats=6, starts=0)
    idle = {"load": 0.1, "cpus": 2}
    (row,) = found.rows
    steady = _known(row, 1.0, 0.95, 1.05)
    assert doubts([steady], _plan(), idle) == []
    (note,) = doubts([steady], _plan(), {"load": 1.5, "cpus": 2})
    assert "not idle" in note
    (note,) = doubts([steady], _plan(repeats=3, starts=2), idle)
    assert "3 calls (75 %) and 2 starts (50 %)" in note
    (note,) = doubts([steady, _known(row, 1.0, 0.7, 1.3)], _plan(), idle)
    assert note.startswith("of 1 of 2 configurations the median latency is known to 10 % or worse")
    assert "(30 %)" in note
    from dataclasses import replace

    (note,) = doubts([replace(steady, mode="processes", workers=5000)], _plan(), idle)
    assert note.startswith("5000 threads on")
    assert doubts([replace(steady, mode="threads", workers=5000)], _plan(), {"load": None, "cpus": 2}) == []


def _known(row: Any, median: float, low: float, high: float) -> Any:
    from dataclasses import replace

    latency = replace(row.metrics["latency_ms"], p50=median, low=low, high=high)
    return replace(row, metrics={"latency_ms": latency})


def test_inputs_take_turns(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: Counter[str] = Counter()
    from torchless.pipelines.text_classification import TextClassificationPipeline

    plain = TextClassificationPipeline.__call__

    def heard(self: Any, inputs: list[str], **options: Any) -> Any:
        asked.update(inputs)
        return plain(self, inputs, **options)

    monkeypatch.setattr(TextClassificationPipeline, "__call__", heard)
    found = bench(bundle, inputs=["fine day", "night", "tree bird stone"], threads=1, repeats=3, warmup=0, starts=0)
    assert set(asked) == {"fine day", "night", "tree bird stone"}
    assert found.rows[0].length == 4
    assert found.settings["inputs"] == 3
