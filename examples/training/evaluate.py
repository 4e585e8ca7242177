"""Held-out metrics, computed with a model as its checkpoint stores it."""

from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor
from transformers import PreTrainedModel

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


def accuracy(predicted: Iterable[int], expected: Sequence[int]) -> float:
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
