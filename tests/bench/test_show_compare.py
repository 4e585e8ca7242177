"""What counts as a change from one result to another."""

from dataclasses import replace

import pytest

from tests.bench.results import MACHINE, encoder, loaded, result, row, start, summary
from torchless.bench import Result, Row
from torchless.bench.compare import Change, Comparison, compare, text


def one(old: Row, new: Row, name: str = "latency_ms") -> Change:
    """The change of one quantity of two results that have one row each."""
    return next(change for change in compare(result((old,)), result((new,))).changes if change.name == name)


def test_the_same_result_has_not_changed() -> None:
    found = compare(encoder(), encoder())
    assert {change.verdict for change in found.changes} == {"same"}
    assert {change.ratio for change in found.changes} == {1}
    assert not found.worse
    assert not found.warnings
    assert not found.only_old
    assert not found.only_new
    assert "0 better, 0 worse" in text(found)


@pytest.mark.parametrize(
    ("ms", "width", "verdict"),
    [
        (12.0, 0.01, "worse"),
        (8.0, 0.01, "better"),
        (12.0, 0.15, "same"),  # intervals of 8.5 to 11.5 and 10.2 to 13.8 meet
        (10.4, 0.001, "same"),  # apart, but by less than two processes of one program differ
        (9.6, 0.001, "same"),
        (10.6, 0.001, "worse"),
    ],
)
def test_a_median_moves_if_intervals_are_apart_and_further_than_processes_differ(
    ms: float, width: float, verdict: str
) -> None:
    old = row(ms=10.0, metrics={"latency_ms": summary(10.0, width)})
    new = row(ms=ms, metrics={"latency_ms": summary(ms, width)})
    change = one(old, new)
    assert change.verdict == verdict
    assert change.ratio == pytest.approx(10 / ms)


def test_few_measurements_prove_nothing() -> None:
    old, new = (row(metrics={"latency_ms": replace(summary(ms), n=4)}) for ms in (10.0, 20.0))
    assert one(old, new).verdict == "same"
    assert one(old, row(ms=20.0)).verdict == "same"
    assert one(row(ms=10.0), row(ms=20.0)).verdict == "worse"


def test_more_sound_in_a_second_is_better() -> None:
    old, new = (row(metrics={"real_time_factor": summary(factor)}) for factor in (20.0, 30.0))
    assert (one(old, new, "real_time_factor").verdict, one(old, new, "real_time_factor").ratio) == ("better", 1.5)
    assert one(new, old, "real_time_factor").verdict == "worse"


@pytest.mark.parametrize(("old", "new", "verdict"), [
    (100.0, 104.0, "same"), (100.0, 106.0, "worse"), (106.0, 100.0, "better"),
    (10.0, 11.5, "same"),  # fewer MiB than an allocator takes and gives back
])  # fmt: skip
def test_memory_has_bounds_of_its_own(old: float, new: float, verdict: str) -> None:
    rows = [row(values={"peak_mib": value}) for value in (old, new)]
    assert one(*rows, "peak_mib").verdict == verdict


def test_throughput_counts_where_there_are_several_callers() -> None:
    alone = compare(result((row(ms=10),)), result((row(ms=5),)))
    assert {change.name for change in alone.changes} == {"latency_ms", "peak_mib"}
    old, new = (
        row(mode="threads", workers=4, values={"throughput_per_s": rate}) for rate in (100.0, 89.0)
    )  # fmt: skip
    change = one(old, new, "throughput_per_s")
    assert (change.verdict, change.ratio) == ("worse", pytest.approx(0.89))
    slightly = replace(new, values={"throughput_per_s": 93.0})
    assert one(old, slightly, "throughput_per_s").verdict == "same"


def test_files_and_starts() -> None:
    old, new = start(ms=200.0), start(ms=100.0, values={"bundle_mib": 4.2})
    found = compare(result(starts=(old,)), result(starts=(new,)))
    assert [(change.name, change.verdict) for change in found.changes] == [
        ("import_ms", "better"), ("load_ms", "better"), ("cold_start_ms", "better"), ("bundle_mib", "worse"),
    ]  # fmt: skip
    assert found.worse
    assert all(change.what.startswith("start, fp32") for change in found.changes)


def test_what_only_one_of_them_has() -> None:
    found = compare(result((row(), row(batch=8))), result((row(), row("int8"))))
    assert found.only_old == ("fp32, CPU, 2 threads, batch 8, 16 tokens",)
    assert found.only_new == ("int8, CPU, 2 threads, batch 1, 16 tokens",)
    assert "not measured any more:\n  fp32, CPU, 2 threads, batch 8" in text(found)


def test_callers_are_a_part_of_the_configuration() -> None:
    found = compare(loaded(), result((row(),)))
    assert len(found.only_old) == len(loaded().rows) - 1
    assert "fp32, CPU, 2 threads, batch 1, 16 tokens, 4 callers in threads" in found.only_old


def renamed(found: Result, name: str) -> Result:
    return replace(found, rows=tuple(replace(one, bundle=name) for one in found.rows))


def test_the_only_bundle_may_be_called_otherwise() -> None:
    found = compare(result((row(),)), renamed(result((row(),)), "model-2"))
    assert len(found.changes) == 2
    assert not found.only_old


def test_of_several_bundles_names_count() -> None:
    two = result((row(ms=10), row(ms=20, bundle="other")))
    found = compare(two, result((row(ms=20, bundle="other"),)))
    assert {change.verdict for change in found.changes} == {"same"}
    assert len(found.only_old) == 1
    assert found.only_old[0].startswith("model, fp32")


@pytest.mark.parametrize(("changed", "said"), [
    ({"machine": {**MACHINE, "processor": "Another"}}, "another machine (Some Processor, now Another)"),
    ({"machine": {**MACHINE, "cpus": 4}}, "another machine (2 CPUs, now 4 CPUs)"),
    ({"versions": {"python": "3.11.7", "onnxruntime": "1.23"}}, "versions: onnxruntime 1.31.1, now onnxruntime 1.23"),
    ({"settings": {"optimized": True}}, "measured in another way: no optimized, now optimized True"),
    ({"settings": {"inputs": ["texts.txt"]}}, "measured in another way: no inputs, now inputs texts.txt"),
    ({"failed": ("int8: no memory",)}, "not all was measured now: int8: no memory"),
    ({"bundle": {"task": "fill-mask"}}, "another task: text-classification, now fill-mask"),
])  # fmt: skip
def test_warnings(changed: dict[str, object], said: str) -> None:
    warnings = compare(result((row(),)), result((row(),), **changed)).warnings
    assert any(said in warning for warning in warnings), warnings


def test_other_graphs_are_told() -> None:
    """Rows that tell which graphs ran count, not what was asked for."""
    old = result((row(optimized=()), row("int8", optimized=())), settings={"optimized": "auto"})
    new = result((row(optimized=("model",)), row("int8", optimized=())), settings={"optimized": True})
    (warning,) = compare(old, new).warnings
    assert warning.startswith("other graphs of fp32, CPU: as they are, now model as torchless optimize keeps it")
    (warning,) = compare(new, old).warnings
    assert warning.startswith("other graphs of fp32, CPU: model as torchless optimize keeps it, now as they are")
    assert not compare(new, new).warnings
    unknown = result((row(),), settings={"optimized": True})
    assert not compare(unknown, new).warnings, "a document from before does not tell"


def test_load_of_the_machine_is_no_difference() -> None:
    old, new = (
        result((row(),), machine={**MACHINE, "load": load, "memory_available_mib": free})
        for load, free in ((0.1, 9000), (0.2, 8000))
    )  # fmt: skip
    assert not compare(old, new).warnings
    busy = result((row(),), machine={**MACHINE, "load": 3.0})
    for pair, when in (((busy, new), "before"), ((old, busy), "now"), ((busy, busy), "before and now")):
        assert [warning.partition(":")[0] for warning in compare(*pair).warnings] == [
            f"the machine was not idle {when}"
        ]


def test_nothing_in_common() -> None:
    found = compare(result((row(),)), result((row("int8"),)))
    assert "no configuration was measured in both" in found.warnings
    assert "nothing was measured in both" in text(found)
    assert not found.worse


def test_numbers_that_are_none_are_not_compared() -> None:
    broken = row(metrics={"latency_ms": summary(float("nan"))}, values={"peak_mib": 0.0})
    assert not compare(result((broken,)), result((row(),))).changes


def test_text_says_what_got_slower_first() -> None:
    found = compare(result((row(), row("int8"))), result((row(ms=20), row("int8", ms=5))))
    lines = text(found).splitlines()
    assert lines[0].endswith("1 better, 1 worse, 2 unchanged or within the noise")
    assert lines[1:] == [
        "slower or larger:", "  fp32, CPU, 2 threads, batch 1, 16 tokens: latency 10.0 -> 20.0 ms (0.50x)",
        "faster or smaller:", "  int8, CPU, 2 threads, batch 1, 16 tokens: latency 10.0 -> 5.00 ms (2.00x)",
    ]  # fmt: skip


def test_the_largest_changes_come_first() -> None:
    changes = tuple(Change(str(ratio), "latency_ms", 1, 1, ratio, "worse") for ratio in (0.9, 0.5, 0.8))
    ordered = Comparison("", "", changes, (), (), ()).of("worse")
    assert [change.what for change in ordered] == ["0.5", "0.8", "0.9"]
