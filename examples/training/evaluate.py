"""Held-out metrics, computed with a model as its checkpoint stores it."""

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from .loop import Features, collate

Metrics = dict[str, float | int]
Entity = tuple[int, str, int, int]  # the sentence, the type, the first token and the one after the last


@torch.inference_mode()
def outputs(model: PreTrainedModel, features: Sequence[Features], *names: str) -> Iterator[tuple[Tensor, ...]]:
    """The named outputs of the model for each example, in order, without padding's part of them."""
    for start in range(0, len(features), 32):
        rows = list(features[start : start + 32])
        result = model(**collate(rows, model.config.pad_token_id))
        yield from zip(*(result[name] for name in names), strict=True)


@torch.inference_mode()
def generated(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, texts: Sequence[str], **options: Any
) -> list[str]:
    """What transformers' `generate()` makes of each text, in order; of a causal model, with the text itself."""
    generate: Any = model.generate
    tokenizer.padding_side = "right" if model.config.is_encoder_decoder else "left"
    answers: dict[int, str] = {}
    order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
    for start in range(0, len(order), 64):
        rows = order[start : start + 64]
        batch = tokenizer([texts[row] for row in rows], return_tensors="pt", padding=True)
        found = generate(**batch, **options)
        answers |= dict(zip(rows, tokenizer.batch_decode(found, skip_special_tokens=True), strict=True))
    return [answers[row] for row in range(len(texts))]


def accuracy(predicted: Iterable[Hashable], expected: Sequence[Hashable]) -> float:
    """The share of equal predictions."""
    return sum(p == e for p, e in zip(predicted, expected, strict=True)) / len(expected)


def f1(predicted: int, expected: int, correct: int) -> float:
    """The harmonic mean of precision and recall."""
    return 2 * correct / (predicted + expected) if predicted + expected else 1.0


def token_f1(predicted: str, expected: str) -> float:
    """SQuAD's F1: the overlap of the words of two answers."""
    guess, gold = predicted.lower().split(), expected.lower().split()
    common = sum(min(guess.count(word), gold.count(word)) for word in set(guess))
    return f1(len(guess), len(gold), common)


def rouge_l(predicted: str, expected: str) -> float:
    """ROUGE-L (Lin, 2004): the F1 of the longest common subsequence of words."""
    guess, gold = predicted.lower().split(), expected.lower().split()
    row = [0] * (len(gold) + 1)
    for word in guess:
        above = row
        row = [0]
        for column, other in enumerate(gold):
            row.append(above[column] + 1 if word == other else max(row[-1], above[column + 1]))
    return f1(len(guess), len(gold), row[-1])


def chrf(predicted: Sequence[str], expected: Sequence[str]) -> float:
    """The corpus' chrF2 (Popović, 2015), from 0 to 1: F2 of characters' 1- to 6-grams without spaces."""
    precisions, recalls = [], []
    for size in range(1, 7):
        common = guessed = gold = 0
        for answer, target in zip(predicted, expected, strict=True):
            left, right = _grams(answer, size), _grams(target, size)
            common += (left & right).total()
            guessed += left.total()
            gold += right.total()
        precisions.append(common / max(guessed, 1))
        recalls.append(common / max(gold, 1))
    precision, recall = sum(precisions) / 6, sum(recalls) / 6
    return 5 * precision * recall / (4 * precision + recall) if precision + recall else 0.0


def _grams(text: str, size: int) -> Counter[str]:
    text = "".join(text.split())
    return Counter(text[start : start + size] for start in range(len(text) - size + 1))


def entities(sentence: int, labels: Sequence[str]) -> set[Entity]:
    """The entities of a BIO sequence; an I- of another type than the label before it starts a new one."""
    found: set[Entity] = set()
    start = 0
    for index in range(1, len(labels) + 1):
        label = labels[index] if index < len(labels) else "O"
        previous = labels[index - 1]
        if label[:2] != "I-" or label[2:] != previous[2:]:
            if previous != "O":
                found.add((sentence, previous[2:], start, index))
            start = index
    return found


def error_rate(predicted: Sequence[Sequence[str]], expected: Sequence[Sequence[str]]) -> float:
    """Insertions, deletions and replacements (Levenshtein, 1966) for each expected word or character."""
    errors = sum(_distance(guess, gold) for guess, gold in zip(predicted, expected, strict=True))
    return errors / sum(map(len, expected))


def _distance(left: Sequence[str], right: Sequence[str]) -> int:
    row = list(range(len(right) + 1))
    for index, item in enumerate(left, 1):
        above, row = row, [index]
        for column, other in enumerate(right):
            row.append(min(above[column] + (item != other), above[column + 1] + 1, row[-1] + 1))
    return row[-1]
