"""Metrics of tasks: answers and right answers to a number; shares are from 0 to 1."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any

from torchless.errors import MissingDependencyError

LOWER = frozenset({"word_error_rate", "character_error_rate", "perplexity"})
"""The metrics of which less is better."""


def accuracy(found: Sequence[Hashable], wanted: Sequence[Hashable]) -> float:
    """The share of equal answers."""
    return sum(left == right for left, right in zip(found, wanted, strict=True)) / len(wanted)


def f1_macro(found: Sequence[Hashable], wanted: Sequence[Hashable]) -> float:
    """The mean over the labels, of those found or wanted, of the harmonic mean of precision and recall."""
    right = Counter(left for left, other in zip(found, wanted, strict=True) if left == other)
    answered, true = Counter(found), Counter(wanted)
    scores = [_f1(right[label], answered[label], true[label]) for label in answered | true]
    return sum(scores) / len(scores)


def exact_match(found: Sequence[str], wanted: Sequence[str]) -> float:
    """The share of texts that are the wanted ones, blanks around them aside."""
    return accuracy([text.strip() for text in found], [text.strip() for text in wanted])


def squad_exact(found: Sequence[str], wanted: Sequence[Sequence[str]]) -> float:
    """SQuAD's exact match: the share of answers that are one of those wanted, without case, articles, punctuation."""
    return _best(found, wanted, lambda left, right: float(left == right))


def squad_f1(found: Sequence[str], wanted: Sequence[Sequence[str]]) -> float:
    """SQuAD's F1: the overlap of the words of an answer and of the most similar one of those wanted.

    Reference: the evaluation script of SQuAD 2.0; two empty answers are equal, an empty and another one are not.
    """
    return _best(found, wanted, _overlap)


def entity_f1(found: Sequence[Iterable[Hashable]], wanted: Sequence[Iterable[Hashable]]) -> float:
    """F1 over entities, which count where type, start and end are right (Tjong Kim Sang and De Meulder, 2003)."""
    right = answered = true = 0
    for left, other in zip(found, wanted, strict=True):
        guessed, gold = set(left), set(other)
        right, answered, true = right + len(guessed & gold), answered + len(guessed), true + len(gold)
    return _f1(right, answered, true)


def word_error_rate(found: Sequence[str], wanted: Sequence[str]) -> float:
    """Words to insert, delete or replace for each wanted word; nothing is done about case or punctuation."""
    return _error_rate([text.split() for text in found], [text.split() for text in wanted])


def character_error_rate(found: Sequence[str], wanted: Sequence[str]) -> float:
    """Characters to insert, delete or replace for each wanted one; blanks between words count as one."""
    return _error_rate([" ".join(text.split()) for text in found], [" ".join(text.split()) for text in wanted])


def bleu(found: Sequence[str], wanted: Sequence[str]) -> float:
    """The corpus' BLEU (Papineni et al., 2002) as sacrebleu's defaults have it.

    Raises:
        MissingDependencyError: sacrebleu is not installed.
    """
    return float(_sacrebleu().corpus_bleu(list(found), [list(wanted)]).score) / 100


def chrf(found: Sequence[str], wanted: Sequence[str]) -> float:
    """The corpus' chrF2 (Popović, 2015) as sacrebleu's defaults have it.

    Raises:
        MissingDependencyError: sacrebleu is not installed.
    """
    return float(_sacrebleu().corpus_chrf(list(found), [list(wanted)]).score) / 100


def distance(left: Sequence[Any], right: Sequence[Any]) -> int:
    """Insertions, deletions and replacements that make one sequence the other (Levenshtein, 1966)."""
    row = list(range(len(right) + 1))
    for index, item in enumerate(left, 1):
        above, row = row, [index]
        for column, other in enumerate(right):
            row.append(min(above[column] + (item != other), above[column + 1] + 1, row[-1] + 1))
    return row[-1]


def normalized(answer: str) -> str:
    """An answer as SQuAD compares it.

    Example:
        >>> normalized("The  Eiffel-Tower.")
        'eiffeltower'
    """
    bare = "".join(character for character in answer.lower() if character not in string.punctuation)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", bare).split())


def _best(found: Sequence[str], wanted: Sequence[Sequence[str]], score: Callable[[str, str], float]) -> float:
    """The mean over the answers of the score beside the wanted answer that is most like it."""
    total = 0.0
    for answer, golds in zip(found, wanted, strict=True):
        choices = [gold for gold in map(normalized, golds) if gold] or [""]
        total += max(score(normalized(answer), gold) for gold in choices)
    return total / len(wanted)


def _overlap(found: str, wanted: str) -> float:
    left, right = found.split(), wanted.split()
    return _f1((Counter(left) & Counter(right)).total(), len(left), len(right))


def _f1(right: int, found: int, wanted: int) -> float:
    """The harmonic mean of precision and recall; 1 where nothing is found and nothing wanted."""
    return 2 * right / (found + wanted) if found + wanted else 1.0


def _error_rate(found: Sequence[Sequence[Any]], wanted: Sequence[Sequence[Any]]) -> float:
    errors = sum(distance(left, right) for left, right in zip(found, wanted, strict=True))
    return errors / max(1, sum(map(len, wanted)))


def _sacrebleu() -> Any:
    try:
        import sacrebleu
    except ImportError as error:
        raise MissingDependencyError(
            "BLEU and chrF need sacrebleu: pip install 'torchless[report]', or ask for exact_match alone"
        ) from error
    return sacrebleu
