"""The loops of decoding: greedy, sampling, beam search. Each is a generator that yields a step at a time.

One step is: processors change the model's scores, tokens are chosen, stopping rules look at them, the model reads them.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Protocol, TypeAlias

import numpy as np

from ..errors import OptionError
from ..tokenizer import Tokenizer
from .beam import Beams
from .config import GenerationConfig
from .device_logits import DeviceLogits, read
from .logits import AllowedTokens, Processor, log_softmax, processors
from .output import Floats, GenerationOutput, Ints, Step
from .sampling import draw
from .stopping import Stopping, StopRule

Steps: TypeAlias = Generator[Step, None, GenerationOutput]
Seed: TypeAlias = "int | np.random.Generator | None"  # not evaluated: numpy.random is imported where it is used


class Decoder(Protocol):
    """One request: the model and its cache. Rows are sequences.

    Logits are float32 and belong to the caller until the next call; they may be overwritten in place. Those of prompts
    and single tokens may lie in a GPU's memory until they are looked at.
    """

    def prefill(self, tokens: Ints, lengths: Ints) -> Floats | DeviceLogits:
        """Read (rows, length) right-padded prompts of (rows,) lengths: logits after each one's end (rows, vocab)."""

    def step(self, tokens: Ints) -> Floats | DeviceLogits:
        """Read (rows,) one token per row: (rows, vocab)."""

    def extend(self, tokens: Ints) -> Floats:
        """Read (n,) tokens of the only row: logits after each of them (n, vocab)."""

    def rewind(self, count: int) -> None:
        """Forget the last ``count`` tokens that were read."""

    def expand(self, copies: int) -> None:
        """After the prompts: make every row into ``copies`` consecutive ones."""

    def reorder(self, parents: Ints) -> None:
        """Let row r continue what row ``parents[r]`` held, (rows,)."""


def decode(
    decoder: Decoder,
    tokens: Ints,
    lengths: Ints,
    config: GenerationConfig,
    *,
    encoder_tokens: Ints | None = None,
    seed: Seed = None,
    logits_processors: Sequence[Processor] = (),
    prefix_allowed_tokens_fn: AllowedTokens | None = None,
    stopping: StopRule | None = None,
    tokenizer: Tokenizer | None = None,
) -> Steps:
    """Generate as the options say.

    Args:
        decoder: the model, with nothing read yet.
        tokens: (inputs, length) int64, padded on the right: prompts, or the first tokens of an encoder-decoder.
        lengths: (inputs,) how much of each row is not padding.
        config: options resolved for ``tokens.shape[1]``.
        encoder_tokens: (inputs, any length): an encoder-decoder's input, -1 where padded; the prompts if None.
        seed: of sampling; a number gives the same tokens everywhere, None other ones every time.
        logits_processors: the caller's own, applied after those of the options and before sampling's filters.
        prefix_allowed_tokens_fn: ``(input, its tokens so far)`` to the ids that may come next.
        stopping: the caller's own rule.
        tokenizer: what stop strings are looked up with.

    Returns:
        A generator of steps, whose value is the output.

    Raises:
        OptionError: a token id of an option is not in the vocabulary, the seed is none, or a callable of the caller's
            returns nonsense.
    """
    prompt_length = tokens.shape[1]
    if encoder_tokens is None:
        encoder_tokens = left_aligned(tokens, lengths, prompt_length)
    changes = processors(config, prompt_length, encoder_tokens, logits_processors, prefix_allowed_tokens_fn)
    stop = Stopping(config, tokenizer, stopping)
    if config.prompt_lookup_num_tokens is not None:
        from .speculation import lookup

        return lookup(decoder, tokens, lengths, config, changes, stop)
    generator = _generator(seed) if config.do_sample else None
    if config.num_beams > 1:
        return beams(decoder, tokens, lengths, config, changes, stop, generator)
    return sample_or_greedy(decoder, tokens, lengths, config, changes, stop, generator)


def run(steps: Steps, each: Callable[[Step], None] | None = None) -> GenerationOutput:
    """Take all steps and return the output; ``each`` sees every step."""
    while True:
        try:
            step = next(steps)
        except StopIteration as end:
            output: GenerationOutput = end.value
            return output
        if each is not None:
            each(step)


def sample_or_greedy(
    decoder: Decoder,
    tokens: Ints,
    lengths: Ints,
    config: GenerationConfig,
    changes: Sequence[Processor],
    stop: Stopping,
    generator: np.random.Generator | None = None,
) -> Steps:
    """The most probable token of each row, or with a generator one drawn from the distribution."""
    prompt_length, pad = tokens.shape[1], config.pad_token_id
    history = left_aligned(tokens, lengths, config.max_length)
    logits = decoder.prefill(tokens, lengths)
    if config.num_return_sequences > 1:
        logits = logits.repeat(config.num_return_sequences, axis=0)
        decoder.expand(config.num_return_sequences)
        history = history.repeat(config.num_return_sequences, axis=0)
    running = np.ones(len(history), dtype=bool)
    kept = Kept(config)
    length = prompt_length
    while True:
        kept.keep_logits(logits)
        scores = kept.process(changes, history[:, :length], logits)
        chosen = scores.argmax(axis=1) if generator is None else draw(read(scores), generator)
        if pad is not None:
            chosen[~running] = pad
        history[:, length] = chosen
        length += 1
        running &= ~stop(history[:, :length])
        yield Step(chosen, scores, running.copy())
        if not running.any():
            break
        logits = decoder.step(chosen)
    return GenerationOutput(padded(history[:, :length], config), prompt_length, kept.scores, kept.logits)


def beams(
    decoder: Decoder,
    tokens: Ints,
    lengths: Ints,
    config: GenerationConfig,
    changes: Sequence[Processor],
    stop: Stopping,
    generator: np.random.Generator | None = None,
) -> Steps:
    """The best of several hypotheses for each input; with a generator their continuations are drawn.

    The steps are provisional: each reports the last tokens of the hypotheses that go on, and what they continue.
    """
    prompt_length = tokens.shape[1]
    state = Beams(left_aligned(tokens, lengths, prompt_length), config, stop, generator)
    logits = decoder.prefill(tokens, lengths)
    logits = logits.repeat(config.num_beams, axis=0)
    decoder.expand(config.num_beams)
    kept, work = Kept(config), np.empty(logits.shape, dtype=np.float32)
    while True:
        kept.keep_logits(logits)
        logarithms = log_softmax(logits, work) if isinstance(logits, np.ndarray) else logits.logarithms()
        scores = kept.process(changes, state.history, logarithms)
        chosen, parents = state.advance(scores)
        yield Step(chosen, scores, state.running, parents, provisional=True)
        if state.done:
            break
        decoder.reorder(parents)
        logits = decoder.step(chosen)
    sequences, totals, origins = state.result()
    return GenerationOutput(
        padded(sequences, config),
        prompt_length,
        kept.scores,
        kept.logits,
        sequences_scores=totals,
        beam_indices=origins,
    )


class Kept:
    """The logits and scores that the caller wants returned, of every step."""

    def __init__(self, config: GenerationConfig) -> None:
        self._scores: list[Floats] | None = [] if config.output_scores else None
        self._logits: list[Floats] | None = [] if config.output_logits else None

    def process(
        self, changes: Sequence[Processor], tokens: Ints, scores: Floats | DeviceLogits
    ) -> Floats | DeviceLogits:
        """Scores (rows, vocab) after all processors, in the memory of ``scores`` or in new memory."""
        if isinstance(scores, DeviceLogits):
            if not changes and self._scores is None:
                return scores
            scores, changes = scores.narrow(changes)
        for change in changes:
            scores = change(tokens, scores)
        if self._scores is not None:
            self._scores.append(scores.copy())
        return scores

    def keep_logits(self, logits: Floats | DeviceLogits) -> None:
        """Keep a copy of the model's own logits, where they are wanted."""
        if self._logits is not None:
            self._logits.append(read(logits).copy())

    @property
    def scores(self) -> tuple[Floats, ...] | None:
        """(rows, vocab) for each step."""
        return None if self._scores is None else tuple(self._scores)

    @property
    def logits(self) -> tuple[Floats, ...] | None:
        """(rows, vocab) for each step."""
        return None if self._logits is None else tuple(self._logits)


def _generator(seed: Seed) -> np.random.Generator:
    try:
        return np.random.default_rng(seed)
    except (TypeError, ValueError) as error:
        raise OptionError(f"seed must be a number from 0, a numpy Generator or None, not {seed!r}") from error


def left_aligned(tokens: Ints, lengths: Ints, capacity: int) -> Ints:
    """(rows, length) right-padded tokens as (rows, capacity): -1, then the tokens, which end at ``length``, then -1."""
    aligned = np.full((len(tokens), capacity), -1, dtype=np.int64)
    width = tokens.shape[1]
    for row, length in enumerate(lengths):
        aligned[row, width - length : width] = tokens[row, :length]
    return aligned


def padded(history: Ints, config: GenerationConfig) -> Ints:
    """A copy with padding tokens instead of -1."""
    return np.where(history < 0, config.pad_token_id or 0, history)
