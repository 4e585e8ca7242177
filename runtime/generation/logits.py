"""Processors: callables that change the scores of the next token by what the options want.

A processor takes ``tokens`` (rows, length), everything so far, padded on the left with -1, which never counts; and
``scores`` (rows, vocab) float32, which it may change in place; it returns the scores. Semantics and order are those of
transformers' ``LogitsProcessor`` classes. Rows are inputs times beams, or inputs times returned sequences.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias

import numpy as np

from ..errors import OptionError
from .config import GenerationConfig
from .output import Floats, Ints
from .sampling import warpers
from .sequences import EncoderNGrams, NGrams, SequenceBias, bad_words

Processor: TypeAlias = Callable[[Ints, Floats], Floats]
# (input, its tokens so far (length,), without padding) to the ids that may come next.
AllowedTokens: TypeAlias = Callable[[int, Ints], Iterable[int]]


def processors(
    config: GenerationConfig,
    prompt_length: int,
    encoder_tokens: Ints,
    custom: Sequence[Processor] = (),
    allowed: AllowedTokens | None = None,
) -> list[Processor]:
    """Everything that changes scores in one request, in the order in which it applies.

    Args:
        config: the resolved options.
        prompt_length: columns that were there before the first new token.
        encoder_tokens: (inputs, any length): what an encoder read, or the prompts; -1 where padded.
        custom: the caller's own: after those of the options, before the filters of sampling.
        allowed: the caller's constraint.

    Returns:
        A list, empty where nothing changes the model's own logits.
    """
    inputs, eos = len(encoder_tokens), config.eos_tokens
    chain: list[Processor] = []
    if config.sequence_bias:
        chain.append(SequenceBias(config.sequence_bias, "sequence_bias"))
    if config.encoder_repetition_penalty != 1:
        chain.append(EncoderRepetition(1 / config.encoder_repetition_penalty, encoder_tokens))
    if config.repetition_penalty != 1:
        chain.append(Repetition(config.repetition_penalty))
    if config.no_repeat_ngram_size:
        chain.append(NGrams(config.no_repeat_ngram_size))
    if config.encoder_no_repeat_ngram_size:
        chain.append(EncoderNGrams(config.encoder_no_repeat_ngram_size, encoder_tokens))
    if banned := bad_words(config.bad_words_ids or (), eos):
        chain.append(SequenceBias(banned, "bad_words_ids"))
    if config.min_length and eos:
        # min_new_tokens is in it: the options were resolved.
        chain.append(Suppress(eos, until=config.min_length))
    if allowed is not None:
        chain.append(Allowed(allowed, inputs, config.num_beams))
    if config.forced_bos_token_id is not None:
        chain.append(Force((config.forced_bos_token_id,), at=1, name="forced_bos_token_id"))
    if config.forced_eos_token_id is not None:
        last = config.forced_eos_token_id
        last = last if isinstance(last, tuple) else (last,)
        chain.append(Force(last, at=config.max_length - 1, name="forced_eos_token_id"))
    if config.remove_invalid_values:
        chain.append(remove_invalid)
    if config.exponential_decay_length_penalty:
        start, factor = config.exponential_decay_length_penalty
        chain.append(ExponentialDecay(prompt_length + start, factor, eos))
    if config.suppress_tokens:
        chain.append(Suppress(config.suppress_tokens))
    if config.begin_suppress_tokens:
        forced = prompt_length == 1 and config.forced_bos_token_id is not None
        chain.append(Suppress(config.begin_suppress_tokens, only=prompt_length + forced))
    chain += [Custom(function) for function in custom]
    if config.do_sample:
        chain += warpers(config)
    if config.renormalize_logits:
        chain.append(lambda tokens, scores: log_softmax(scores))
    return chain


def log_softmax(scores: Floats, work: Floats | None = None) -> Floats:
    """Log-probabilities of each row, in place: (rows, vocab).

    Args:
        scores: finite, or minus infinity where impossible.
        work: memory of the same shape.
    """
    scores -= scores.max(axis=1, keepdims=True)
    scores -= np.log(np.exp(scores, out=work).sum(axis=1, keepdims=True))
    return scores


def remove_invalid(tokens: Ints, scores: Floats) -> Floats:
    """NaN becomes 0, infinities the largest and smallest numbers, so that nothing is ruled out any more."""
    limits = np.finfo(np.float32)
    return np.nan_to_num(scores, copy=False, nan=0.0, posinf=float(limits.max), neginf=float(limits.min))


class Repetition:
    """Tokens that were there score less: positive scores are divided, negative ones multiplied by the penalty.

    Reference: CTRL (arXiv 1909.05858), section 4.1.
    """

    def __init__(self, penalty: float) -> None:
        self._penalty = penalty

    def __call__(self, tokens: Ints, scores: Floats) -> Floats:
        """Tokens (rows, length) and scores (rows, vocab) to scores."""
        return _penalize(tokens, scores, self._penalty)


class EncoderRepetition:
    """Tokens of the input score more, by the inverse of :class:`Repetition`'s penalty."""

    def __init__(self, penalty: float, encoder_tokens: Ints) -> None:
        self._penalty, self._tokens = penalty, encoder_tokens

    def __call__(self, tokens: Ints, scores: Floats) -> Floats:
        """Tokens (rows, length) and scores (rows, vocab) to scores."""
        return _penalize(self._tokens.repeat(len(scores) // len(self._tokens), axis=0), scores, self._penalty)


def _penalize(tokens: Ints, scores: Floats, penalty: float) -> Floats:
    valid = (tokens >= 0) & (tokens < scores.shape[1])
    if valid.all():
        rows: Any = np.arange(len(tokens))[:, None]
        columns = tokens
    else:
        rows, places = np.nonzero(valid)
        columns = tokens[rows, places]
    # A token that occurs twice is read twice before it is written, so that it is penalized once.
    found = scores[rows, columns]
    scores[rows, columns] = np.where(found < 0, found * penalty, found / penalty)
    return scores


class Suppress:
    """Some tokens cannot come next.

    Args:
        tokens: their ids; those beyond the vocabulary cannot come anyway.
        until: only while the length is below; always if None.
        only: only at this length.
    """

    def __init__(self, tokens: Iterable[int], until: int | None = None, only: int | None = None) -> None:
        self._ids = np.array(sorted(set(tokens)), dtype=np.int64)
        self._until, self._only = until, only

    def __call__(self, tokens: Ints, scores: Floats) -> Floats:
        """Tokens (rows, length) and scores (rows, vocab) to scores."""
        length = tokens.shape[1]
        if (self._until is None or length < self._until) and self._only in (None, length):
            scores[:, _within(self._ids, scores)] = -np.inf
        return scores


class Force:
    """At one length, only these tokens can come next, with a score of 0."""

    def __init__(self, tokens: Iterable[int], at: int, name: str) -> None:
        self._ids, self._at, self._name = np.array(list(tokens)), at, name

    def __call__(self, tokens: Ints, scores: Floats) -> Floats:
        """Tokens (rows, length) and scores (rows, vocab) to scores."""
        if tokens.shape[1] == self._at:
            if self._ids.max() >= scores.shape[1]:
                raise OptionError(f"{self._name}={self._ids.tolist()} is beyond the vocabulary of {scores.shape[1]}")
            scores[:] = -np.inf
            scores[:, self._ids] = 0
        return scores


class ExponentialDecay:
    """From a length on, the end scores more and more: ``|score| * (factor ** (length - start) - 1)`` is added."""

    def __init__(self, start: int, factor: float, eos: Iterable[int]) -> None:
        self._start, self._factor, self._eos = start, factor, np.array(sorted(set(eos)))

    def __call__(self, tokens: Ints, scores: Floats) -> Floats:
        """Tokens (rows, length) and scores (rows, vocab) to scores."""
        beyond = tokens.shape[1] - self._start
        if beyond > 0:
            eos = _within(self._eos, scores)
            found = scores[:, eos]
            gain = np.abs(found) * (self._factor**beyond - 1)
            scores[:, eos] = found + np.where(np.isfinite(found), gain, 0)
        return scores


class Allowed:
    """Only tokens that the caller's function allows can come next.

    Where it allows only what is impossible already, in all beams of an input, they become equally possible again.
    """

    def __init__(self, function: AllowedTokens, inputs: int, beams: int) -> None:
        self._function, self._inputs, self._beams = function, inputs, beams

    def __call__(self, tokens: Ints, scores: Floats) -> Floats:
        """Tokens (rows, length) and scores (rows, vocab) to scores."""
        copies = len(scores) // self._inputs
        kept = np.full_like(scores, -np.inf)
        allowed = [self._ask(row // copies, sequence, scores.shape[1]) for row, sequence in enumerate(tokens)]
        for row, ids in enumerate(allowed):
            kept[row, ids] = scores[row, ids]
        impossible = np.isneginf(kept.max(axis=1)).reshape(-1, self._beams).all(axis=1).repeat(self._beams)
        for row in np.flatnonzero(impossible).tolist():
            kept[row, allowed[row]] = 0
        return kept

    def _ask(self, index: int, sequence: Ints, vocabulary: int) -> Ints:
        ids = np.array(list(self._function(index, sequence[sequence >= 0])))
        if not len(ids) or ids.dtype.kind not in "iu" or ids.min() < 0 or ids.max() >= vocabulary:
            raise OptionError(
                f"prefix_allowed_tokens_fn must return token ids below {vocabulary}, at least one, "
                f"not {ids.tolist()!r:.80} for input {index}"
            )
        return ids


class Custom:
    """A caller's processor, whose answer is checked."""

    def __init__(self, function: Processor) -> None:
        self._function = function

    def __call__(self, tokens: Ints, scores: Floats) -> Floats:
        """Tokens (rows, length) and scores (rows, vocab) to scores."""
        answer = self._function(tokens, scores)
        if not isinstance(answer, np.ndarray) or answer.shape != scores.shape or answer.dtype.kind != "f":
            shape = getattr(answer, "shape", type(answer).__name__)
            raise OptionError(f"a logits processor must return scores {scores.shape}, not {shape}: {self._function!r}")
        return answer.astype(np.float32, copy=False)


def _within(ids: Ints, scores: Floats) -> Ints:
    return ids if not len(ids) or ids[-1] < scores.shape[1] else ids[ids < scores.shape[1]]
