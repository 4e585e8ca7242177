"""Pipelines on the shipped checkpoints against the pipelines of the installed transformers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from torchless import TruncationWarning, pipeline

from . import cases
from .checkpoints import Exported, load
from .test_recorded import assert_same

transformers = pytest.importorskip("transformers")
pytestmark = pytest.mark.export

NOISE = (None, 1)
SENTENCES = [*cases.TEXTS.values(), *cases.LONG.values()]
MASKED = [
    "Paris is the <mask> of France.",
    "<mask>",
    "The <mask> is very <mask> today.",
    "a 🤗 <mask> in Zürich — <mask><mask>!",
    "the film was good " * 60 + "<mask>",
]
LABELS = ["sports", "politics", "cooking", "a 🤗 thing"]


def reference(task: str, name: str, noise: int | None) -> Any:
    model, tokenizer = load(name, noise)
    return transformers.pipeline(task, model=model, tokenizer=tokenizer, device="cpu")


@pytest.mark.parametrize("noise", NOISE)
@pytest.mark.filterwarnings("ignore::torchless.TruncationWarning")
def test_text_classification(noise: int | None, exported: Exported) -> None:
    ours = pipeline("text-classification", exported("sentiment", noise))
    theirs = reference("text-classification", "sentiment", noise)
    for options in ({}, {"top_k": None}, {"top_k": 1}, {"top_k": 2, "function_to_apply": "sigmoid"}):
        expected = theirs(SENTENCES, truncation=True, **options)
        found = ours(SENTENCES, **options)
        for text, one, other in zip(SENTENCES, found, expected, strict=True):
            assert_same(one, other, {"text": text, **options})
            assert_same(ours(text, **options), theirs(text, truncation=True, **options), {"text": text, **options})
            together = one if isinstance(one, list) or options else [one]
            assert_same(ours(text, **options), together, {"text": text}, tolerance=1e-5)


@pytest.mark.parametrize("noise", NOISE)
@pytest.mark.filterwarnings("ignore::torchless.TruncationWarning")
def test_pairs_of_texts(noise: int | None, exported: Exported) -> None:
    ours = pipeline("text-classification", exported("nli", noise), top_k=None)
    theirs = reference("text-classification", "nli", noise)
    pairs = [
        {"text": first, "text_pair": second}
        for first in SENTENCES
        for second in ("He was very happy.", "", "word " * 30, cases.LONG["512 tokens"])
    ]
    expected = theirs(pairs, truncation=True, top_k=None)
    for pair, one, other in zip(pairs, ours(pairs), expected, strict=True):
        assert_same(one, other, pair)


@pytest.mark.parametrize("noise", NOISE)
@pytest.mark.parametrize("options", [{}, {"multi_label": True}, {"hypothesis_template": "It is about {}!"}])
def test_zero_shot_classification(noise: int | None, options: dict[str, Any], exported: Exported) -> None:
    ours = pipeline("zero-shot-classification", exported("nli", noise))
    theirs = reference("zero-shot-classification", "nli", noise)
    texts = [text for text in cases.TEXTS.values() if text]
    for labels in (LABELS, LABELS[:1], "sports, cooking"):
        expected = theirs(texts, candidate_labels=labels, **options)
        for one, other in zip(ours(texts, labels, **options), expected, strict=True):
            assert one["sequence"] == other["sequence"]
            assert dict(zip(one["labels"], one["scores"], strict=True)) == pytest.approx(
                dict(zip(other["labels"], other["scores"], strict=True)), abs=1e-4
            )
            if np.min(np.abs(np.diff(other["scores"])), initial=1) > 1e-5:
                assert one["labels"] == other["labels"]


@pytest.mark.parametrize("noise", NOISE)
@pytest.mark.filterwarnings("ignore:the target .* is not in the vocabulary")  # " blue" is spelled "Ġblue" there
def test_fill_mask(noise: int | None, exported: Exported) -> None:
    ours = pipeline("fill-mask", exported("fill-mask", noise))
    theirs = reference("fill-mask", "fill-mask", noise)
    words = [" capital", " blue", " Berlin"]
    for options in ({}, {"top_k": 1}, {"targets": words}, {"targets": words[0], "top_k": 3}):
        for text in MASKED:
            one, other = ours(text, **options), theirs(text, **options)
            nested = isinstance(other[0], list)
            assert isinstance(one[0], list) == nested
            for ours_row, theirs_row in zip(one if nested else [one], other if nested else [other], strict=True):
                assert_same(ours_row, theirs_row, {"text": text, **options})
        assert [len(answer) for answer in ours(MASKED, **options)] == [len(ours(text, **options)) for text in MASKED]


@pytest.mark.parametrize("noise", NOISE)
def test_token_classification_on_long_texts(noise: int | None, exported: Exported) -> None:
    ours = pipeline("token-classification", exported("ner", noise))
    theirs = reference("token-classification", "ner", noise)
    for text in (*cases.LONG.values(), cases.NER_LONG * 5):
        with pytest.warns(TruncationWarning, match="tokens lost"):
            found = ours(text)
        assert_same(found, [plain(entity) for entity in theirs(text)], {"text": text[:40]})
        options = {"aggregation_strategy": "average", "stride": 32}
        expected = [plain(entity) for entity in theirs(text, **options)]
        assert_same(ours(text, **options), expected, {"text": text[:40], **options})


@pytest.mark.parametrize("noise", NOISE)
def test_feature_extraction(noise: int | None, exported: Exported, tmp_path: Any) -> None:
    from torchless.export import export

    model, tokenizer = load("sentiment", noise)
    model.distilbert.save_pretrained(tmp_path / "checkpoint")
    tokenizer.save_pretrained(tmp_path / "checkpoint")
    ours = pipeline("feature-extraction", export(str(tmp_path / "checkpoint"), tmp_path / "bundle"))
    theirs = transformers.pipeline("feature-extraction", model=model.distilbert, tokenizer=tokenizer, device="cpu")
    texts = list(cases.TEXTS.values())
    for text, found in zip(texts, ours(texts), strict=True):
        np.testing.assert_allclose(found, np.array(theirs(text)), atol=1e-4, rtol=1e-4)
        np.testing.assert_allclose(found, ours(text), atol=1e-5, rtol=1e-5)
        np.testing.assert_allclose(ours(text, pooling="mean"), found[0].mean(axis=0), atol=1e-5, rtol=1e-5)
        np.testing.assert_allclose(ours(text, pooling="cls"), found[0, 0], atol=1e-5, rtol=1e-5)
        unit = ours(text, pooling="mean", normalize=True)
        assert np.linalg.norm(unit) == pytest.approx(1, abs=1e-5)


def plain(entity: dict[str, Any]) -> dict[str, Any]:
    return {key: value.item() if hasattr(value, "item") else value for key, value in entity.items()}
