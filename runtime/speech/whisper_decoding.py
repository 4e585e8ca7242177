"""One window of sound to tokens: what is tried, when an attempt has failed, and when its tokens were spoken."""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..generation.config import GenerationConfig
from ..generation.contradictions import BEAMS, SAMPLING
from ..generation.loop import Steps
from ..generation.output import Floats, GenerationOutput, Ints
from ..ops import softmax
from .options import SpeechOptions
from .whisper_alignment import token_times
from .whisper_settings import WhisperSettings
from .whisper_timestamps import TimestampRules

if TYPE_CHECKING:
    from ..generation.encoded import Encoded
    from ..generation.generator import Generator

LOW_TEMPERATURE = 0.5
"""Text that was drawn at this temperature or above is no context for the next window."""


@dataclass(frozen=True)
class Wanted:
    """What is asked of every window of a call.

    Attributes:
        options: the call's, checked.
        timestamps: whether the text has timestamps.
        ratio: tokens that zlib makes smaller by more than this failed; None for no limit.
        logprob: tokens of a lower mean log-probability failed; None for no limit.
        silence: failed windows more probably silent than this are skipped; None for no limit.
        condition: whether windows continue those before.
    """

    options: SpeechOptions
    timestamps: bool
    ratio: float | None
    logprob: float | None
    silence: float | None
    condition: bool

    @property
    def words(self) -> bool:
        """Whether each token's time is wanted."""
        return self.options.return_timestamps == "word"


@dataclass(frozen=True)
class Attempt:
    """The tokens of a window.

    Attributes:
        tokens: without those that were there before, and without the end-of-sequence token.
        count: of the new tokens, that one included.
        skip: whether nothing was said.
        temperature: with which they were drawn.
    """

    tokens: list[int]
    count: int
    skip: bool
    temperature: float | None


class WindowDecoder:
    """Windows to tokens.

    Args:
        generator: of the bundle.
        settings: the checkpoint's.
    """

    def __init__(self, generator: Generator, settings: WhisperSettings) -> None:
        self._generator, self._settings = generator, settings

    def languages(self, encoded: Encoded) -> list[int]:
        """The tokens of the most probable languages, one for each window."""
        known = np.array(sorted((self._settings.languages or {}).values()))
        logits = self._after_start(encoded, [])
        chosen: list[int] = known[logits[:, known].argmax(axis=1)].tolist()
        return chosen

    def decode(self, encoded: Encoded, first: Ints, start: int, wanted: Wanted, *, beams: bool = True) -> list[Attempt]:
        """The tokens of windows.

        Args:
            encoded: the windows.
            first: (windows, length): the tokens that each text begins with.
            start: how many of them precede <|startoftranscript|>.
            wanted: what is asked.
            beams: whether there is a beam search where the options ask for one.
        """
        silent = np.zeros(len(first), dtype=np.float32)
        if wanted.silence is not None:
            silent = softmax(self._after_start(encoded, first[:, :start]))[:, self._settings.timestamps_from - 2]
        best: list[Attempt | None] = [None] * len(first)
        pending = list(range(len(first)))
        for temperature in wanted.options.temperatures:
            part = encoded if len(pending) == len(first) else encoded.select(pending)
            found = self._attempt(part, first[pending], at_temperature(wanted.options, temperature, beams), wanted)
            failed = []
            for row, (tokens, logprob) in zip(pending, found, strict=True):
                improbable = wanted.logprob is not None and logprob < wanted.logprob
                skip = wanted.silence is not None and improbable and bool(silent[row] > wanted.silence)
                ended = tokens[:-1] if tokens[-1] == self._settings.end else tokens
                best[row] = Attempt(ended, len(tokens), skip, temperature)
                repeats = wanted.ratio is not None and compression_ratio(tokens, self._settings) > wanted.ratio
                if (improbable or repeats) and not skip:
                    failed.append(row)
            pending = failed
            if not pending:
                break
        return [attempt for attempt in best if attempt is not None]

    def times(
        self, encoded: Encoded, first: Ints, attempts: Sequence[Attempt], frames: Sequence[int]
    ) -> list[NDArray[np.float32]]:
        """When each token of each window was spoken, in seconds from the window's begin.

        Args:
            encoded: the windows.
            first: (windows, length): the tokens that each text begins with.
            attempts: the tokens behind them.
            frames: feature frames of each window that hold sound.
        """
        # The last token, which is the end or was cut there, is not read: nothing was predicted from it.
        read = [attempt.tokens[: attempt.count - 1] for attempt in attempts]
        tokens = np.full((len(first), first.shape[1] + max(map(len, read))), self._settings.end, dtype=np.int64)
        tokens[:, : first.shape[1]] = first
        for row, own in enumerate(read):
            tokens[row, first.shape[1] : first.shape[1] + len(own)] = own
        weights = self._generator.cross_attention(encoded, tokens, list(self._settings.heads or ()))
        weights = weights[:, :, first.shape[1] :]
        width = self._settings.median_width
        return [token_times(weights[row, :, : len(own)], frames[row], width) for row, own in enumerate(read)]

    def _after_start(self, encoded: Encoded, before: Ints | list[int]) -> Floats:
        """The logits behind <|startoftranscript|>, (windows, vocab); ``before`` are the tokens that precede it."""
        start = np.full((encoded.rows, 1), self._settings.start, dtype=np.int64)
        tokens = np.concatenate([before, start], axis=1) if len(before) else start
        return self._generator.new_cache(len(tokens), tokens.shape[1], encoded).prefill(tokens)

    def _attempt(
        self, encoded: Encoded, first: Ints, config: GenerationConfig, wanted: Wanted
    ) -> list[tuple[list[int], float]]:
        """Per window the new tokens, with the end, and their mean log-probability where it is asked for."""
        settings = self._settings
        rules = []
        if wanted.timestamps and settings.no_timestamps is not None:
            begin = first.shape[1]
            rules.append(TimestampRules(settings.no_timestamps, settings.end, begin, settings.last_first_timestamp))
        beams = config.num_beams > 1
        if beams and wanted.logprob is not None:
            config = config.replace(output_scores=True)
        steps = self._generator.stream(
            encoded=encoded, decoder_input_ids=first, generation_config=config, seed=wanted.options.seed,
            logits_processors=rules,
        )  # fmt: skip
        output, logprobs = _finish(steps, config.temperature, measure=wanted.logprob is not None and not beams)
        found = []
        for row, sequence in enumerate(output.new_tokens):
            tokens = _until_end(sequence, config)
            if beams and wanted.logprob is not None:
                found.append((tokens, _mean_of_beam(output, row, tokens)))
            else:
                found.append((tokens, float(logprobs[: len(tokens), row].mean()) if len(logprobs) else 0.0))
        return found


def at_temperature(options: SpeechOptions, temperature: float | None, beams: bool = True) -> GenerationConfig:
    """How to generate at one of the temperatures: drawn above 0, and then without beams."""
    config = options.generation_config or GenerationConfig()
    if temperature or not beams:
        idle = {name: getattr(config, name) for name in BEAMS}
        config = config.suggest(**idle).replace(num_beams=1)
    if temperature:
        return config.replace(do_sample=True, temperature=float(temperature))
    if any(options.temperatures):  # what is said of sampling is meant for the other attempts
        config = config.suggest(**{name: getattr(config, name) for name in SAMPLING})
    return config.replace(do_sample=False, temperature=1.0)


def compression_ratio(tokens: Sequence[int], settings: WhisperSettings) -> float:
    """How many times smaller zlib makes the tokens' bytes; it is large where they repeat.

    Args:
        tokens: at least one.
        settings: tell the size of the vocabulary, and so how many bytes a token takes.
    """
    width = int(math.log2(settings.vocabulary) / 8) + 1
    content = b"".join(int(token).to_bytes(width, "little") for token in tokens)
    return len(content) / len(zlib.compress(content))


def _finish(steps: Steps, temperature: float, measure: bool) -> tuple[GenerationOutput, NDArray[np.float32]]:
    """The output, and the log-probability of each token without the temperature's effect, (steps, rows)."""
    found: list[Floats] = []
    while True:
        try:
            step = next(steps)
        except StopIteration as end:
            return end.value, np.array(found, dtype=np.float32)
        if measure:
            found.append(_logprobs(step.scores * temperature, step.tokens))


def _mean_of_beam(output: GenerationOutput, row: int, tokens: Sequence[int]) -> float:
    """The mean log-probability of a hypothesis' tokens, each in the beam that it was chosen in."""
    assert output.scores is not None
    assert output.beam_indices is not None
    beams = output.beam_indices[row]
    each = [
        _logprobs(output.scores[place][beams[place]][None], np.array([token]))[0] for place, token in enumerate(tokens)
    ]
    return float(np.mean(each))


def _logprobs(scores: Floats, tokens: Ints) -> Floats:
    """Of one token in each row of scores (rows, vocab): (rows,)."""
    highest = scores.max(axis=1)
    total = np.log(np.exp(scores - highest[:, None]).sum(axis=1)) + highest
    found: Floats = scores[np.arange(len(tokens)), tokens] - total
    return found


def _until_end(sequence: Ints, config: GenerationConfig) -> list[int]:
    """A row's new tokens, its first end-of-sequence token included, and what pads it left out."""
    ends = np.flatnonzero(np.isin(sequence, config.eos_tokens))
    tokens: list[int] = (sequence[: ends[0] + 1] if ends.size else sequence).tolist()
    while not ends.size and len(tokens) > 1 and tokens[-1] == config.pad_token_id:
        tokens.pop()
    return tokens
