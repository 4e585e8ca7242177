"""Labelled text as inputs: SST-2, MRPC, WNUT-17 and SQuAD samples, where ../shared/data exists.

The shipped checkpoints were not trained for them; what counts is the same answer as transformers gives.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from torchless import pipeline

from .checkpoints import Exported, load
from .test_pipelines import plain, reference
from .test_recorded import assert_same

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.export

ROWS = 64


def test_sst2_sentences(shared_data: Path, exported: Exported) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    texts = parquet.read_table(shared_data / "datasets/text/sst2/validation.parquet")["sentence"].to_pylist()[:ROWS]
    found = pipeline("text-classification", exported("sentiment"))(texts)
    assert_same(found, reference("text-classification", "sentiment", None)(texts), {})


def test_mrpc_pairs(shared_data: Path, exported: Exported) -> None:
    with (shared_data / "datasets/text/mrpc/dev.tsv").open(encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))[:ROWS]
    pairs = [{"text": row["#1 String"], "text_pair": row["#2 String"]} for row in rows]
    found = pipeline("text-classification", exported("nli"))(pairs)
    assert_same(found, reference("text-classification", "nli", None)(pairs), {})


@pytest.mark.parametrize("strategy", ["none", "simple", "first", "average", "max"])
def test_wnut_sentences(strategy: str, shared_data: Path, exported: Exported) -> None:
    text = (shared_data / "datasets/text/wnut17/emerging.dev.conll").read_text(encoding="utf-8")
    sentences = [
        " ".join(line.split("\t")[0] for line in block.splitlines() if line) for block in text.split("\n\n")[:ROWS]
    ]
    ours = pipeline("ner", exported("ner"), aggregation_strategy=strategy)
    theirs = reference("ner", "ner", None)
    for sentence, found in zip(sentences, ours(sentences), strict=True):
        expected = [plain(entity) for entity in theirs(sentence, aggregation_strategy=strategy)]
        assert_same(found, expected, {"text": sentence})


@pytest.mark.parametrize("max_seq_len", [384, 96])
def test_squad_questions(max_seq_len: int, shared_data: Path, exported: Exported) -> None:
    model, tokenizer = load("qa")
    answer = pipeline("question-answering", exported("qa"))
    examples = list(squad(shared_data / "datasets/text"))
    assert len(examples) > 10
    found = answer(
        [{"question": question, "context": context} for question, context in examples],
        max_seq_len=max_seq_len,
        doc_stride=32,
    )
    for (question, context), one in zip(examples, found, strict=True):
        expected = best_answer(model, tokenizer, question, context, max_seq_len)
        assert one["score"] == pytest.approx(expected["score"], abs=1e-4), question
        assert (one["start"], one["end"]) == (expected["start"], expected["end"]), question
        assert one["answer"] == context[one["start"] : one["end"]]


def squad(folder: Path) -> Iterator[tuple[str, str]]:
    """Questions and contexts of every SQuAD sample."""
    for path in (
        "squad-allennlp/squad.json",
        "squad-farm/eval-sample.json",
        "transformers-fixtures/SQUAD/dev-v2.0.json",
    ):
        for article in json.loads((folder / path).read_text(encoding="utf-8"))["data"]:
            for paragraph in article["paragraphs"]:
                yield from ((qa["question"], paragraph["context"]) for qa in paragraph["qas"])
    sample = json.loads((folder / "transformers-fixtures/SQUAD/sample.json").read_text(encoding="utf-8"))
    yield from ((row["question"], row["context"]) for row in sample["data"])


def best_answer(model: Any, tokenizer: Any, question: str, context: str, max_seq_len: int) -> dict[str, Any]:
    """The best span by trying all: the definition of the pipeline's answer, in torch and plain loops."""
    windows = tokenizer(
        question,
        context,
        truncation="only_second",
        max_length=max_seq_len,
        stride=32,
        return_overflowing_tokens=True,
        padding=True,
        return_tensors="pt",
    )
    encodings = windows.encodings
    windows.pop("overflow_to_sample_mapping")
    with torch.inference_mode():
        outputs = model(**windows)
    spans: dict[str, dict[str, Any]] = {}
    for encoding, start_logits, end_logits in zip(encodings, outputs.start_logits, outputs.end_logits, strict=True):
        inside = [i for i, part in enumerate(encoding.sequence_ids) if part == 1]
        taking_part = [0, *inside]
        start, end = (torch.softmax(logits[taking_part], 0).numpy()[1:] for logits in (start_logits, end_logits))
        scored = sorted(
            ((start[i] * end[j], i, j) for i in range(len(inside)) for j in range(i, min(i + 15, len(inside)))),
            reverse=True,
        )[:12]
        for score, i, j in scored:
            words = encoding.token_to_word(inside[i]), encoding.token_to_word(inside[j])
            first, last = encoding.word_to_chars(words[0], 1)[0], encoding.word_to_chars(words[1], 1)[1]
            text = context[first:last].lower()
            spans.setdefault(text, {"score": 0.0, "start": first, "end": last})["score"] += float(score)
    return max(spans.values(), key=lambda span: span["score"])


def test_the_definition_is_the_recorded_one() -> None:
    """The loops above give what transformers 4.57.6 gave, so that they may stand in for it."""
    from . import cases
    from .test_recorded import recorded

    model, tokenizer = load("qa")
    rows = [row for row in recorded("question-answering")[None] if row["options"] == {}]
    for row in rows:
        context = cases.QA_CONTEXTS[row["context"]]
        if len(context) < 1000:  # the recorded windows of longer ones overlap by 128
            found = best_answer(model, tokenizer, row["question"], context, 384)
            assert np.isclose(found["score"], row["answers"]["score"], atol=1e-4), row
            assert (found["start"], found["end"]) == (row["answers"]["start"], row["answers"]["end"]), row
