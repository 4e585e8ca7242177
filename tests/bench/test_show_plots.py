"""Pictures of results."""

import re
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.bench.results import encoder, generator, loaded, result, row, start, summary
from torchless.bench import Result
from torchless.bench.charts import PANELS
from torchless.bench.plots import check, figures, write_pngs
from torchless.drawing import COLOURS, GREY
from torchless.errors import MissingDependencyError

pytest.importorskip("matplotlib")

NAMES = {
    encoder: ["latency", "throughput", "start"],
    generator: ["latency", "throughput", "first-token", "token", "start"],
    loaded: ["latency", "callers"],
}


def words(svg: str) -> list[str]:
    """The texts of a picture."""
    texts = ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")
    return ["".join(text.itertext()) for text in texts]


@pytest.mark.parametrize("made", NAMES)
def test_only_pictures_that_there_are_numbers_for(made: Callable[[], Result]) -> None:
    assert list(figures(made())) == NAMES[made]


def test_a_picture_is_the_same_each_time() -> None:
    drawn = figures(loaded())
    assert figures(loaded()) == drawn
    assert not any(re.search(r"20\d\d-\d\d-\d\d|Matplotlib v", svg) for svg in drawn.values())


def test_nothing_measured_nothing_drawn() -> None:
    assert figures(result()) == {}
    assert figures(result((row(metrics={"latency_ms": summary(float("nan"))}, values={}),))) == {}


def test_a_picture_says_what_it_shows() -> None:
    shown = words(figures(encoder())["latency"])
    assert shown.count("tokens") == 2  # a panel for each batch size
    assert {"batch 1", "batch 8", "16", "128", "384", "fp32", "int8", "ms, log scale"} <= set(shown)
    assert "Latency of a call · model: text-classification, bert" in shown
    foot = next(text for text in shown if "percentile" in text)
    assert foot == "median, band to the 90th percentile · CPU, 2 threads · Some Processor, 2 CPUs, onnxruntime 1.31.1"


def test_small_differences_are_drawn_from_zero() -> None:
    shown = words(figures(result((row(ms=10), row(batch=2, ms=12))))["latency"])
    assert "ms" in shown
    assert "0" in shown
    assert "batch" in shown


def heights(svg: str, colour: str) -> list[float]:
    """How far up the points of the line of a colour lie, from left to right."""
    (path,) = re.findall(rf'<path d="([^"]*)" clip-path="[^"]*" style="[^"]*stroke: {colour.lower()}; ', svg)
    return [-float(point) for point in re.findall(r"[ML] \S+ (\S+)", path)]


def test_lines_lie_where_the_numbers_are() -> None:
    """fp32 takes 10 and 20 ms, int8 takes 5 and 15, on an axis that begins with zero."""
    rows = (row(ms=10), row(length=32, ms=20), row("int8", ms=5), row("int8", length=32, ms=15))
    svg = figures(result(rows))["latency"]
    (low, high), (other_low, other_high) = heights(svg, GREY), heights(svg, COLOURS[0])
    assert high - low == pytest.approx(other_high - other_low, rel=1e-3)
    assert high - other_high == pytest.approx((high - low) / 2, rel=1e-3)
    assert low - other_low == pytest.approx((high - low) / 2, rel=1e-3)


def test_precisions_have_colours_and_threads_have_dashes() -> None:
    rows = [
        row(dtype, length=length, threads=threads)
        for dtype in ("fp32", "int8")
        for threads in (1, 2)
        for length in (16, 32)
    ]
    svg = figures(result(tuple(rows)))["latency"]
    assert {"fp32, 1 thread", "fp32, 2 threads", "int8, 1 thread", "int8, 2 threads"} <= set(words(svg))
    for colour in (GREY, COLOURS[0]):
        dashed = re.findall(rf"stroke-dasharray: [^;]+; stroke-dashoffset: 0; stroke: {colour.lower()}", svg)
        assert len(dashed) == 2  # a line, and its entry in the legend


def test_more_configurations_than_there_is_room_for_are_told() -> None:
    rows = tuple(row(batch=batch, length=length) for batch in range(1, PANELS + 3) for length in (16, 32))
    shown = words(figures(result(rows))["latency"])
    assert sum(text.startswith("batch") for text in shown) == PANELS
    assert any("the tables have 2 more configurations" in text for text in shown)


def test_callers_begin_with_one() -> None:
    shown = words(figures(loaded())["callers"])
    named = {"fp32, in threads", "int8, in processes", "throughput, inputs/s", "latency, ms"}
    assert named | {"1", "2", "4"} <= set(shown)
    alone = result(tuple(one for one in loaded().rows if one.mode == "alone"))
    assert "callers" not in figures(alone)


def test_sound_and_pictures() -> None:
    heard = [row(length=None, seconds=seconds, metrics={"real_time_factor": summary(20.0)}) for seconds in (10.0, 30.0)]
    shown = words(figures(result(tuple(heard)))["real-time"])
    assert "seconds of sound" in shown
    assert any(text.startswith("median · CPU") for text in shown)  # the fastest tenth says nothing
    seen = [row(length=None, size=(side, side)) for side in (224, 384)]
    assert {"224x224", "384x384", "pixels"} <= set(words(figures(result(tuple(seen)))["latency"]))


def test_names_are_no_formulas_and_may_be_in_any_script() -> None:
    named = replace(result((row(bundle="$x_1$"), row(bundle="_模型<b>"))), bundle={"folder": "$x_1$", "task": "t"})
    shown = words(figures(named)["latency"])
    assert "Latency of a call · $x_1$: t" in shown
    assert any("fp32, _模型<b>" in text for text in shown)


def test_long_names_are_broken_into_lines() -> None:
    named = result((row(), row("int8")), bundle={"folder": "a long name " * 12, "task": "text-classification"})
    assert not any(len(text) > 90 for text in words(figures(named)["latency"]) if text.startswith("Latency"))


def test_what_was_not_measured_of_the_start_is_left_out() -> None:
    only = start(metrics={"load_ms": summary(10.0)}, values={})
    shown = words(figures(result(starts=(only,)))["start"])
    assert "time to load" in shown
    assert "peak memory" not in shown


def test_pngs(tmp_path: Path) -> None:
    paths = write_pngs(loaded(), tmp_path)
    assert [path.name for path in paths] == ["latency.png", "callers.png"]
    first = [path.read_bytes() for path in paths]
    assert all(content.startswith(b"\x89PNG") for content in first)
    assert [path.read_bytes() for path in write_pngs(loaded(), tmp_path)] == first


def test_matplotlib_keeps_its_settings() -> None:
    import matplotlib

    before = dict(matplotlib.rcParams)
    figures(loaded())
    assert dict(matplotlib.rcParams) == before


def test_without_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    for call in (check, lambda: figures(loaded())):
        with pytest.raises(MissingDependencyError, match=r"torchless\[report\]"):
            call()
