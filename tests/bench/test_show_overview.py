"""The picture of the project's own benchmarks."""

import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest

from benchmarks.measure import read
from benchmarks.pictures import draw, main
from benchmarks.ratios import FIRST, ONCE, WHOLE, FirstAnswer, first_answers, ratios

pytest.importorskip("matplotlib")

RUN = {"machine": "M, 2 CPUs", "date": "2026-11-24"}


def generated(contender: str, step: float, prefill: float, **changed: Any) -> dict[str, Any]:
    cell = {"model": "gpt2", "batch": 1, "input": 32, "beams": 1, "new": 11}
    return {**cell, "contender": contender, "step_ms": step, "prefill_ms": prefill, **RUN, **changed}


def recognized(contender: str, ms: float, **changed: Any) -> dict[str, Any]:
    cell = {"case": "bert", "work": "tags", "input": "16 tokens", "batch": 1}
    return {**cell, "contender": contender, "ms": ms, **RUN, **changed}


def times(found: list[Any], section: str) -> dict[tuple[str, str], float]:
    return {(ratio.kind, ratio.peer): ratio.times for ratio in found if ratio.section == section}


def words(svg: Path) -> list[str]:
    return ["".join(text.itertext()) for text in ElementTree.parse(svg).iter("{http://www.w3.org/2000/svg}text")]


def test_an_answer_takes_the_prefill_and_the_steps() -> None:
    found = ratios([generated("torchless fp32", 10, 100), generated("torch fp32", 30, 50)], [])
    assert times(found, WHOLE) == {("fp32", "torch"): 350 / 200}
    assert times(found, FIRST) == {("fp32", "torch"): 0.5}
    assert {ratio.model for ratio in found} == {"GPT-2 124M"}


def test_the_fastest_variants_of_a_precision_are_compared() -> None:
    rows = [
        recognized("torchless int8", 12), recognized("torchless int8-static", 10), recognized("optimum int8", 20),
        recognized("optimum int8-static", 15), recognized("openvino int8", 8), recognized("openvino fp32", 5),
    ]  # fmt: skip
    assert times(ratios([], rows), ONCE) == {("int8", "optimum"): 1.5, ("int8", "openvino"): 0.8}


def test_cells_are_not_mixed() -> None:
    rows = [recognized("torchless fp32", 10), recognized("torch fp32", 20, batch=8)]
    assert ratios([], rows) == []


@pytest.mark.parametrize("other", [{"machine": "another"}, {"date": "2026-11-25"}])
def test_ratios_are_of_one_run(other: dict[str, str]) -> None:
    ours = recognized("torchless fp32", 10)
    assert ratios([], [ours, recognized("torch fp32", 20, **other)]) == []
    later = [ours, recognized("torchless int8", 5, **other), recognized("optimum int8", 20, **other)]
    assert times(ratios([], later), ONCE) == {("int8", "optimum"): 4}


def test_the_picture_says_where_a_peer_is_ahead(tmp_path: Path) -> None:
    rows = [recognized("torchless fp32", 10), recognized("torch fp32", 20), recognized("openvino fp32", 8)]
    svg, png = draw(ratios([], rows), [], tmp_path)
    assert png.read_bytes().startswith(b"\x89PNG")
    texts = words(svg)
    assert "float32: ahead in 1 of 2 comparisons" in texts
    assert {"0.80", "torch", "openvino", "BERT-base 109M"} <= set(texts)
    assert "int8" not in " ".join(text for text in texts if "comparisons" in text)
    assert "M, 2 CPUs, 2026-11-24" in " ".join(texts)
    assert svg.read_bytes() == draw(ratios([], rows), [], tmp_path)[0].read_bytes()


def test_nothing_to_draw(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.pictures.read", lambda name: {"rows": []})
    with pytest.raises(SystemExit, match="no results to draw"):
        main()


def test_first_answers_are_drawn_below(tmp_path: Path) -> None:
    rows = [
        {"what": "import torchless, beside its dependencies", "process_s": 0.2, "MiB": 1.8, **RUN},
        {"what": "first answer, torchless", "process_s": 0.25, "MiB": 70.0, **RUN},
        {"what": "first answer, transformers", "process_s": 4.7, "MiB": 355.0, **RUN},
    ]
    found = first_answers(rows)
    assert found[0] == FirstAnswer("torchless", 0.25, 70.0, RUN["machine"], RUN["date"])
    assert [answer.engine for answer in found] == ["torchless", "transformers"]
    cells = [recognized("torchless fp32", 10), recognized("another fp32", 20)]
    shown = words(draw(ratios([], cells), found, tmp_path)[0])
    assert {"0.25", "4.7", "70", "355", "memory until then, MiB"} <= set(shown)
    assert "another" in shown  # a peer that has no colour of its own


def test_first_answers_are_of_checkpoints_that_all_engines_run() -> None:
    def row(engine: str, checkpoint: str) -> dict[str, Any]:
        return {"what": f"first answer, {engine}", "checkpoint": checkpoint, "process_s": 1.0, "MiB": 1.0, **RUN}

    rows = [row("torchless", "qa"), row("torchless", "ner"), row("torch", "ner"), row("optimum", "ner")]
    assert [answer.engine for answer in first_answers(rows)] == ["torchless", "torch", "optimum"]
    assert first_answers([]) == []


def test_all_results_that_are_there_are_understood() -> None:
    found = ratios(read("generation")["rows"], read("recognition")["rows"])
    assert len(found) > 300
    assert all(0.01 < ratio.times < 100 for ratio in found)
    assert first_answers(read("footprint")["rows"])
