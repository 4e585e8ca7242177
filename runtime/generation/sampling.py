"""Sampling: the filters of a distribution, and drawing from what is left.

The filters are processors too (see ``logits.py``): what they rule out scores minus infinity. Each looks only at what is
still possible, so that after ``top_k`` the others cost next to nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..errors import SessionError
from ..ops import softmax
from .config import GenerationConfig
from .output import Flags, Floats, Ints
from .selection import kth_largest, largest

# The scores of one row's possible tokens (n,), and how many must be kept, to which of them are kept (n,).
Filter: TypeAlias = Callable[[Floats, int], Flags]
Warper: TypeAlias = Callable[[Ints, Floats], Floats]


def warpers(config: GenerationConfig) -> list[Warper]:
    """The filters of the options, in transformers' order."""
    # A beam search needs as many candidates as there are ways to end, and one to go on.
    least = max(2, 1 + len(config.eos_tokens)) if config.num_beams > 1 else 1
    chain: list[Warper] = []
    if config.temperature != 1:
        chain.append(Temperature(config.temperature))
    filters: list[tuple[bool, Filter]] = [
        (config.typical_p < 1, lambda scores, least: typical_p(scores, config.typical_p, least)),
        (config.epsilon_cutoff > 0, lambda scores, least: epsilon_cutoff(scores, config.epsilon_cutoff, least)),
        (config.eta_cutoff > 0, lambda scores, least: eta_cutoff(scores, config.eta_cutoff, least)),
    ]
    if config.top_h is not None:
        share = config.top_h
        chain.append(Filtered(lambda scores, least: top_h(scores, share), least))
    if config.top_k:
        chain.append(TopK(max(config.top_k, least)))
    if config.top_p < 1:
        chain.append(Filtered(lambda scores, least: top_p(scores, config.top_p, least), least))
    if config.min_p is not None:
        ratio = config.min_p
        chain.append(Filtered(lambda scores, least: min_p(scores, ratio, least), least))
    return chain + [Filtered(function, least) for active, function in filters if active]


class Temperature:
    """Scores divided by the temperature: above 1 flattens the distribution, below 1 sharpens it."""

    def __init__(self, temperature: float) -> None:
        self.temperature = temperature

    def __call__(self, tokens: Ints, scores: Floats) -> Floats:
        """Tokens (rows, length) and scores (rows, vocab) to scores."""
        scores /= self.temperature
        return scores


class TopK:
    """The ``k`` most probable tokens, and those as probable as the last of them."""

    def __init__(self, k: int) -> None:
        self.k = k

    def __call__(self, tokens: Ints, scores: Floats) -> Floats:
        """Tokens (rows, length) and scores (rows, vocab) to scores."""
        least = kth_largest(scores, min(self.k, scores.shape[1]))
        np.copyto(scores, -np.inf, where=scores < least[:, None])
        return scores


class Filtered:
    """A filter applied to what is possible in each row."""

    def __init__(self, function: Filter, least: int) -> None:
        self._function, self._least = function, least

    def __call__(self, tokens: Ints, scores: Floats) -> Floats:
        """Tokens (rows, length) and scores (rows, vocab) to scores."""
        for row in scores:
            possible = np.flatnonzero(row != -np.inf)
            if len(possible):
                row[possible[~self._function(row[possible], self._least)]] = -np.inf
        return scores


def top_p(scores: Floats, mass: float, least: int = 1) -> Flags:
    """The fewest most probable tokens whose probabilities sum to ``mass`` or more (arXiv 1904.09751)."""
    # Sorting values is many times faster than finding their order.
    ascending = np.sort(scores)
    dropped = int((_cumulative(softmax(ascending)) <= 1 - mass).sum())
    dropped = max(0, min(dropped, len(scores) - least))
    smallest = ascending[dropped]
    kept: Flags = scores >= smallest
    # Of equally probable ones at the limit, the first are dropped.
    (ties,) = np.nonzero(scores == smallest)
    kept[ties[: dropped - int((scores < smallest).sum())]] = False
    return kept


def min_p(scores: Floats, ratio: float, least: int = 1) -> Flags:
    """Tokens at least ``ratio`` times as probable as the most probable one (arXiv 2407.01082)."""
    probabilities = softmax(scores)
    kept: Flags = (probabilities >= ratio * probabilities.max()) | _first(scores, least)
    return kept


def top_h(scores: Floats, share: float) -> Flags:
    """The most probable of 100 tokens, whose terms of the entropy sum to at most ``share`` of it (arXiv 2509.02510)."""
    order = largest(scores[None], min(100, len(scores)))[1][0]
    probabilities, entropy = _entropy(scores[order])
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = -probabilities * np.log(probabilities)
    chosen = _cumulative(terms) <= np.float32(entropy * np.float32(share))
    chosen[0] = True
    kept = np.zeros(len(scores), dtype=bool)
    kept[order] = chosen
    return kept


def typical_p(scores: Floats, mass: float, least: int = 1) -> Flags:
    """The tokens whose information is closest to the entropy, which sum to ``mass`` or more (arXiv 2202.00666)."""
    shifted = scores - scores.max()
    logarithms = shifted - np.log(np.exp(shifted).sum())
    with np.errstate(invalid="ignore"):
        distance = np.abs(-logarithms + np.nansum(logarithms * np.exp(logarithms)))
    order = np.argsort(distance)
    last = min(int((_cumulative(softmax(scores[order])) < mass).sum()), len(scores) - 1)
    kept: Flags = distance <= distance[order[last]]
    kept[order[:least]] = True
    return kept


def epsilon_cutoff(scores: Floats, epsilon: float, least: int = 1) -> Flags:
    """Tokens at least this probable (arXiv 2210.15191)."""
    return (softmax(scores) >= epsilon) | _first(scores, least)


def eta_cutoff(scores: Floats, epsilon: float, least: int = 1) -> Flags:
    """Tokens as probable as epsilon or as ``sqrt(epsilon) * exp(-entropy)``, or more (arXiv 2210.15191)."""
    probabilities, entropy = _entropy(scores)
    limit = np.float32(epsilon)
    eta = min(limit, np.sqrt(limit) * np.exp(-entropy))
    kept: Flags = (probabilities >= eta) | _first(scores, least)
    return kept


def draw(scores: Floats, generator: np.random.Generator) -> Ints:
    """One token for each row, from the softmax of its scores: (rows, vocab) to (rows,).

    One uniform number for each row is looked up in the cumulative distribution, in float64, so that a seed chooses the
    same tokens on every machine.
    """
    uniform = generator.random(len(scores))
    chosen = np.empty(len(scores), dtype=np.int64)
    for row, (values, number) in enumerate(zip(scores, uniform, strict=True)):
        possible = np.flatnonzero(values != -np.inf)  # NaN too, which must not go unseen
        cumulative = np.cumsum(weights(values[possible]))
        place = np.searchsorted(cumulative, number * cumulative[-1], side="right")
        chosen[row] = possible[min(place, len(possible) - 1)]
    return chosen


def draw_several(scores: Floats, count: int, generator: np.random.Generator) -> Ints:
    """Different places, drawn one after the other from the softmax of what is left: (n,) to (count,).

    Where fewer than ``count`` have a probability above 0, the rest are the best of the others.
    """
    uniform = generator.random(count)
    probabilities = weights(scores)
    cumulative = np.cumsum(probabilities)
    possible = int(np.count_nonzero(probabilities))
    drawn: list[int] = []
    for number in uniform[:possible]:
        # As if what was drawn were cut out of the cumulative distribution.
        point = number * (cumulative[-1] - probabilities[drawn].sum())
        for place in sorted(drawn):
            if point < cumulative[place] - probabilities[place]:
                break
            point += probabilities[place]
        place = min(int(np.searchsorted(cumulative, point, side="right")), len(scores) - 1)
        drawn.append(_near(probabilities, place, drawn))
    if len(drawn) < count:
        left = np.delete(np.arange(len(scores)), drawn)
        drawn += left[np.argsort(-scores[left], kind="stable")][: count - len(drawn)].tolist()
    return np.array(drawn, dtype=np.int64)


def weights(scores: Floats) -> NDArray[np.float64]:
    """Probabilities times a constant, in float64: (n,).

    Raises:
        SessionError: nothing is possible, or the model answered with NaN or infinity.
    """
    top = scores.max(initial=-np.inf)
    if not np.isfinite(top):
        what = "no token is possible" if top == -np.inf else "the model's scores are not finite"
        raise SessionError(f"cannot draw a token: {what}; remove_invalid_values=True goes on nevertheless")
    return np.exp(scores.astype(np.float64) - float(top))


def _near(probabilities: NDArray[np.float64], place: int, drawn: list[int]) -> int:
    """The place itself; rounding may have hit one that was drawn or is impossible, and the next that is not counts."""
    while place in drawn or probabilities[place] == 0:
        place = (place + 1) % len(probabilities)
    return place


def _first(scores: Floats, count: int) -> Flags:
    """The ``count`` largest, with those as large as the last of them."""
    kept: Flags = scores >= np.partition(scores, -count)[-count] if count < len(scores) else scores == scores
    return kept


def _cumulative(probabilities: Floats) -> Floats:
    """Running sums, added up in float64 as torch does and rounded to float32."""
    return np.cumsum(probabilities, dtype=np.float64).astype(np.float32)


def _entropy(scores: Floats) -> tuple[Floats, np.float32]:
    """Probabilities, and their entropy in nats."""
    shifted = scores - scores.max()
    logarithms = shifted - np.log(np.exp(shifted).sum())
    probabilities = softmax(logarithms)
    return probabilities, np.float32(-(logarithms * probabilities).sum())
