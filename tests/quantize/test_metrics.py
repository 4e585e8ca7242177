"""Metrics on answers worked out by hand, and beside other definitions."""

import math
import random
import sys

import pytest

from torchless.errors import MissingDependencyError
from torchless.quantize import metrics


def test_labels() -> None:
    found, wanted = list("aabbc"), list("aabcc")
    assert metrics.accuracy(found, wanted) == 4 / 5
    # a: 2 of 2; b: one of two found; c: one of two wanted
    assert metrics.f1_macro(found, wanted) == pytest.approx((1 + 2 / 3 + 2 / 3) / 3)
    assert metrics.f1_macro(["a"], ["b"]) == 0


@pytest.mark.parametrize(
    ("answer", "normal"),
    [
        ("The Eiffel Tower.", "eiffel tower"),
        ("a  man's theme", "mans theme"),
        ("An apple, a day", "apple day"),
        ("", ""),
    ],
)
def test_answers_are_compared_as_squad_does(answer: str, normal: str) -> None:
    assert metrics.normalized(answer) == normal


def test_squad() -> None:
    found = ["The red house", "Paris", "", "Berlin"]
    wanted = [["red house", "blue house"], ["in Paris"], [], []]
    assert metrics.squad_exact(found, wanted) == 2 / 4
    # "paris" of "in paris": precision 1, recall 1/2
    assert metrics.squad_f1(found, wanted) == pytest.approx((1 + 2 / 3 + 1 + 0) / 4)
    assert metrics.squad_f1(["one two two"], [["two two three"]]) == pytest.approx(2 / 3)


def test_entities() -> None:
    found = [[("PER", 0, 4), ("LOC", 9, 12)], [], [("ORG", 1, 2)]]
    wanted = [[("PER", 0, 4), ("LOC", 8, 12)], [("PER", 0, 1)], []]
    assert metrics.entity_f1(found, wanted) == pytest.approx(2 * 1 / (3 + 3))
    assert metrics.entity_f1([[]], [[]]) == 1


def test_error_rates() -> None:
    assert metrics.word_error_rate(["the cat sat on mat"], ["the cat sat on the mat"]) == 1 / 6
    assert metrics.word_error_rate(["a b c d"], ["b"]) == 3
    assert metrics.character_error_rate(["kitten"], ["sitting"]) == 3 / 7
    assert metrics.character_error_rate(["a  b"], ["a b "]) == 0
    assert metrics.word_error_rate(["a", "b c"], ["a", "b d"]) == 1 / 3


def test_distance_is_that_of_its_definition() -> None:
    rng = random.Random(0)
    for _ in range(100):
        left, right = (tuple(rng.randrange(4) for _ in range(rng.randrange(7))) for _ in range(2))
        assert metrics.distance(left, right) == levenshtein(left, right)


def levenshtein(left: tuple[int, ...], right: tuple[int, ...]) -> int:
    """The definition, without a table."""
    if not left or not right:
        return len(left) + len(right)
    replaced = levenshtein(left[1:], right[1:]) + (left[0] != right[0])
    return min(replaced, levenshtein(left[1:], right) + 1, levenshtein(left, right[1:]) + 1)


def test_exact_match_forgives_blanks_around_only() -> None:
    assert metrics.exact_match([" a b", "A b"], ["a b ", "a b"]) == 0.5


def test_chrf_and_bleu_are_those_of_sacrebleu() -> None:
    sacrebleu = pytest.importorskip("sacrebleu")
    found = ["The cat is on the mat today.", "He reads a long book there."]
    wanted = ["The cat sat on the mat today.", "He reads a long book there."]
    assert metrics.bleu(found, wanted) == pytest.approx(sacrebleu.BLEU().corpus_score(found, [wanted]).score / 100)
    assert metrics.chrf(found, wanted) == pytest.approx(sacrebleu.CHRF().corpus_score(found, [wanted]).score / 100)
    assert metrics.bleu(wanted, wanted) == pytest.approx(1)
    # One word of 8 + 7 differs, and with it two pairs, three triples and three quadruples; the lengths are equal.
    precisions = [14 / 15, 11 / 13, 8 / 11, 6 / 9]
    assert metrics.bleu(found, wanted) == pytest.approx(math.prod(precisions) ** 0.25, abs=1e-6)


def test_sacrebleu_is_asked_for_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sacrebleu", None)
    with pytest.raises(MissingDependencyError, match=r"torchless\[report\]"):
        metrics.chrf(["a"], ["a"])
