"""Which timestamps may come next, and how a window's text is split into segments."""

from __future__ import annotations

import numpy as np
import pytest

from torchless.speech.whisper_timestamps import TimestampRules, split

# Tokens 0 to 4 are text, 5 ends, 6 says that there are no times, 7 to 12 are times.
END, NONE, FIRST, VOCAB = 5, 6, 7, 13


def allowed(sampled: list[int], scores=None, last_first: int | None = None) -> list[int]:
    """The tokens that may follow a prompt of two tokens and those sampled."""
    scores = np.zeros((1, VOCAB), dtype=np.float32) if scores is None else np.array([scores], dtype=np.float32)
    scores[0, :6] += 3.0  # text and the end are more probable than all times together
    tokens = np.array([[1, 2, *sampled]])
    return np.flatnonzero(np.isfinite(TimestampRules(NONE, END, 2, last_first)(tokens, scores)[0])).tolist()


def test_a_time_comes_first() -> None:
    assert allowed([]) == [7, 8, 9, 10, 11, 12]
    assert allowed([], last_first=2) == [7, 8, 9]


def test_text_follows_the_first_time_and_two_in_a_row() -> None:
    assert allowed([8]) == [0, 1, 2, 3, 4, 5]
    assert allowed([7, 1, 9, 9]) == [0, 1, 2, 3, 4, 5]


def test_a_time_behind_text_is_followed_by_its_pair_or_the_end() -> None:
    assert allowed([7, 1, 9]) == [5, 9, 10, 11, 12]


def test_times_do_not_go_back() -> None:
    assert allowed([8, 1]) == [0, 1, 2, 3, 4, 5, 9, 10, 11, 12]
    assert allowed([8, 1, 10, 10, 2]) == [0, 1, 2, 3, 4, 5, 11, 12]


def test_times_that_are_together_more_probable_than_any_text_are_chosen() -> None:
    each = [0.0] * VOCAB
    assert allowed([8, 1], each) == [0, 1, 2, 3, 4, 5, 9, 10, 11, 12]  # four times: log 4 is less than 3
    each[9:] = [1.7] * 4  # 1.7 + log 4 is more
    assert allowed([8, 1], each) == [9, 10, 11, 12]


def test_rows_do_not_touch_each_other() -> None:
    scores = np.zeros((2, VOCAB), dtype=np.float32)
    scores[:, :5] = 3
    found = TimestampRules(NONE, END, 1)(np.array([[1, 7, 2], [1, 7, 9]]), scores.copy())
    for row, tokens in enumerate(([1, 7, 2], [1, 7, 9])):
        alone = TimestampRules(NONE, END, 1)(np.array([tokens]), scores[:1].copy())
        np.testing.assert_array_equal(found[row], alone[0])


@pytest.mark.parametrize(
    ("tokens", "segments", "frames"),
    [
        ([100, 1, 2], [(0, 3)], 3000),  # no pair: all is one segment
        ([], [(0, 0)], 3000),
        ([100, 1, 150], [(0, 3)], 3000),
        ([100, 1, 150, 150, 2, 3], [(0, 4)], 100),  # the rest is heard again from 1 s on
        ([100, 1, 150, 150, 2, 200], [(0, 3), (3, 6)], 3000),  # a single time at the end: silence
        ([100, 1, 150, 150, 2, 200, 200], [(0, 3), (3, 7)], 200),
        ([100, 1, 150, 150], [(0, 4)], 100),
        ([100, 100], [(0, 2)], 0),
    ],
)
def test_segments(tokens: list[int], segments: list[tuple[int, int]], frames: int) -> None:
    found, covered = split(tokens, 100, 3000)
    assert ([(one.start, one.stop) for one in found], covered) == (segments, frames)
