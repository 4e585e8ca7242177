"""Bundles whose answers are chosen by hand, and the metrics of them."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.runtime.factories import make_bundle
from tests.runtime.generation_factories import make_causal, make_seq2seq
from torchless import Bundle
from torchless.errors import InputError, OptionError
from torchless.quantize.evaluation import Scores, evaluate
from torchless.quantize.labelled import read_labelled


def scores(bundle: Path, rows: list[dict[str, Any]], task: str | None = None, names: list[str] | None = None) -> Scores:
    table = bundle / "rows.jsonl"
    table.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    opened = Bundle.open(bundle)
    return evaluate(opened, read_labelled(table, opened, task), names)


def test_text_classification(tmp_path: Path) -> None:
    rows = {"good": [0.0, 2.0, 0.0], "bad": [3.0, 0.0, 0.0]}
    bundle = make_bundle(tmp_path, "text-classification", rows, ["NEG", "POS", "MIX"])
    found = scores(
        bundle,
        [
            {"text": "good", "label": "POS"},
            {"text": "good bad", "label": "POS"},
            {"text": "bad", "text_pair": "good good", "label": 1},
            {"text": "bad", "label": "NEG"},
        ],
    )
    assert found == Scores({"accuracy": 0.75, "f1_macro": pytest.approx((4 / 5 + 2 / 3) / 2)}, "accuracy", 4)
    assert scores(bundle, [{"text": "bad", "label": "NEG"}]).values["accuracy"] == 1


def test_token_classification(tmp_path: Path) -> None:
    rows = {"Ann": [0.0, 5, 0], "Lee": [0.0, 0, 5], "saw": [5.0, 0, 0]}
    bundle = make_bundle(tmp_path, "token-classification", rows, ["O", "B-PER", "I-PER"])
    found = scores(
        bundle,
        [
            {"tokens": ["Ann", "Lee", "saw"], "tags": ["B-PER", "I-PER", "O"]},
            {"text": "Ann saw", "entities": [{"start": 0, "end": 3, "label": "PER"}]},
            {"tokens": ["saw", "Ann"], "tags": ["O", "O"]},
        ],
    )
    assert found == Scores({"f1": pytest.approx(2 * 2 / (3 + 2))}, "f1", 3)


def test_question_answering(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path, "question-answering", {"Rome": [9.0, 9.0], "in": [0.0, 0.0], "old": [0.0, 0.0]})
    asked = {"question": "in", "context": "old Rome in"}
    found = scores(bundle, [{**asked, "answers": ["Rome."]}, {**asked, "answers": ["old Rome", "in"]}])
    assert found == Scores({"f1": pytest.approx((1 + 2 / 3) / 2), "exact_match": 0.5}, "f1", 2)


def test_answers_may_be_empty_where_right_ones_are(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path, "question-answering", {"[CLS]": [9.0, 9.0], "Rome": [1.0, 1.0], "in": [0.0, 0.0]})
    asked = {"question": "in", "context": "Rome in"}
    assert scores(bundle, [{**asked, "answers": []}]).values["exact_match"] == 1
    assert scores(bundle, [{**asked, "answers": ["Rome"]}]).values["exact_match"] == 1  # and not the empty one


def test_fill_mask(tmp_path: Path) -> None:
    rows = {"[MASK]": [0.0] * 5 + [4.0, 0.0], "cat": [0.0] * 7}
    bundle = make_bundle(tmp_path, "fill-mask", rows, words=["dog"])
    found = scores(bundle, [{"text": "[MASK] dog", "target": "cat"}, {"text": "a [MASK]", "target": "dog"}])
    assert found == Scores({"accuracy": 0.5}, "accuracy", 2)
    assert scores(bundle, [{"text": "[MASK]", "target": "cat"}]).values == {"accuracy": 1}
    with pytest.raises(InputError, match="one mask, and not 2"):
        scores(bundle, [{"text": "[MASK] [MASK]", "target": "cat"}, {"text": "[MASK]", "target": "cat"}])


def test_perplexity(tmp_path: Path) -> None:
    follow = {"a": {"b": 1.0, "c": 0.0}, "b": {"a": 0.0, "b": 0.0, "c": 0.0, "d": 0.0}}
    bundle = make_causal(tmp_path, follow)
    likely = math.exp(1) / (math.exp(1) + 1)
    found = scores(bundle, [{"text": "ab"}, {"text": "aba"}, {"text": "abac"}])
    # b after a in all three, a after b in two, c after a in one
    expected = math.exp(-(3 * math.log(likely) + 2 * math.log(1 / 4) + math.log(1 - likely)) / 6)
    assert found == Scores({"perplexity": pytest.approx(expected, rel=1e-5)}, "perplexity", 3)
    with pytest.raises(InputError, match="2 tokens at least, not 'a'"):
        scores(bundle, [{"text": "a"}])
    assert scores(bundle, [{"text": "aa"}]).values["perplexity"] > 1e300


def test_text2text(tmp_path: Path) -> None:
    pytest.importorskip("sacrebleu")
    bundle = make_seq2seq(tmp_path, {"eins": {"one": 3.0}, "zwei": {"two": 3.0}})
    rows = [{"text": "eins zwei", "target": "one two"}, {"text": "zwei", "target": "one"}]
    found = scores(bundle, rows)
    assert list(found.values) == ["chrf", "bleu", "exact_match"]
    assert (found.primary, found.values["exact_match"]) == ("chrf", 0.5)
    assert 0 < found.values["chrf"] < 1
    assert scores(bundle, rows[:1]).values["chrf"] == pytest.approx(1)
    assert scores(bundle, rows, "translation_de_to_en", ["exact_match"]) == Scores(
        {"exact_match": 0.5}, "exact_match", 2
    )


@pytest.mark.parametrize("names", [[], ["accuracy", "bleu"]])
def test_other_metrics_are_refused(tmp_path: Path, names: list[str]) -> None:
    bundle = make_bundle(tmp_path, "text-classification", {"bad": [3.0, 0.0]}, ["NEG", "POS"])
    with pytest.raises(OptionError, match="text-classification has accuracy, f1_macro"):
        scores(bundle, [{"text": "bad", "label": "NEG"}], names=names)


def test_points_that_are_lost() -> None:
    def lost(name: str, value: float, base: float) -> float:
        return Scores({name: value}, name, 10).lost(Scores({name: base}, name, 10))

    assert lost("accuracy", 0.895, 0.9) == pytest.approx(0.5)
    assert lost("f1", 0.95, 0.9) == pytest.approx(-5)
    assert lost("word_error_rate", 0.25, 0.2) == pytest.approx(5)
    assert lost("perplexity", 10.1, 10.0) == pytest.approx(1)


def test_sounds(tmp_path: Path) -> None:
    soundfile = pytest.importorskip("soundfile")
    torch = pytest.importorskip("torch", reason="the export needs torch")
    assert torch
    from examples.samples import CHECKPOINTS, INPUTS, expected
    from torchless.export import export

    bundle = export(str(CHECKPOINTS / "keywords"), tmp_path / "bundle")
    clip, rate = soundfile.read(INPUTS / "word-yes.wav")
    soundfile.write(tmp_path / "bundle" / "copy.wav", np.asarray(clip), rate)
    found = scores(bundle, [{"audio": "copy.wav", "label": expected()["word-yes.wav"]}])
    assert found.values == {"accuracy": 1, "f1_macro": 1}
