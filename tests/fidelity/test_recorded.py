"""Question answering and token classification against recorded answers of transformers 4.57.6."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from torchless import Pipeline, pipeline

from . import cases
from .checkpoints import Exported

pytestmark = pytest.mark.export

SCORE = 1e-4


@pytest.mark.parametrize("noise", cases.NOISE)
def test_question_answering(noise: int | None, exported: Exported) -> None:
    answer = pipeline("question-answering", exported("qa", noise))
    for case in recorded("question-answering")[noise]:
        found = answer(question=case["question"], context=cases.QA_CONTEXTS[case["context"]], **case["options"])
        expected = case["answers"]
        if case["options"].get("top_k", 1) > 1 and isinstance(expected, dict):
            expected = [expected]  # transformers takes a list of one apart; we keep what was asked for
        if isinstance(expected, list):
            # It fills up with spans of no probability, such as an end before its start; we return fewer.
            expected = [one for one in expected if one["score"] > 0]
        assert_same(found, expected, case)


@pytest.mark.parametrize("noise", cases.NOISE)
def test_token_classification(noise: int | None, exported: Exported) -> None:
    ner = pipeline("token-classification", exported("ner", noise))
    for case in recorded("token-classification")[noise]:
        assert_same(ner(cases.NER_INPUTS[case["input"]], **case["options"]), case["answers"], case)


@pytest.mark.parametrize("strategy", cases.NER_STRATEGIES)
def test_a_list_of_texts_is_answered_as_one_by_one(strategy: str, exported: Exported) -> None:
    ner: Pipeline[Any] = pipeline("ner", exported("ner", None), aggregation_strategy=strategy)
    texts = [*cases.TEXTS.values(), *cases.NER_TEXTS.values()]
    for together, alone in zip(ner(texts), map(ner, texts), strict=True):
        assert_same(together, alone, {}, tolerance=1e-5)


def recorded(task: str) -> dict[int | None, list[dict[str, Any]]]:
    content = json.loads(Path(cases.RECORDED, f"{task}.json").read_text(encoding="utf-8"))
    found = defaultdict(list)
    for case in content["cases"]:
        found[case["noise"]].append(case)
    return found


def assert_same(found: Any, expected: Any, case: dict[str, Any], tolerance: float = SCORE) -> None:
    """Scores within the tolerance, all else equal."""
    assert without_scores(found) == without_scores(expected), case
    assert scores(found) == pytest.approx(scores(expected), abs=tolerance), case


def without_scores(value: Any) -> Any:
    if isinstance(value, list):
        return [without_scores(part) for part in value]
    return {key: part for key, part in value.items() if key != "score"}


def scores(value: Any) -> list[float]:
    return [one["score"] for one in (value if isinstance(value, list) else [value])]
