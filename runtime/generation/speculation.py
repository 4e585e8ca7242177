"""Prompt lookup: greedy decoding that guesses several tokens from the text so far and checks them in one run.

The tokens are those of greedy decoding. Guesses cost little where a run of the model is bound by reading its weights.
Reference: https://github.com/apoorvumang/prompt-lookup-decoding
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .config import GenerationConfig
from .device_logits import read
from .logits import Processor
from .loop import Decoder, Kept, Steps, left_aligned, padded
from .output import GenerationOutput, Ints, Speculation, Step
from .stopping import Stopping


def lookup(
    decoder: Decoder,
    tokens: Ints,
    lengths: Ints,
    config: GenerationConfig,
    changes: Sequence[Processor],
    stop: Stopping,
) -> Steps:
    """Greedy decoding of one row; a step for every token, as without guessing."""
    prompt_length = tokens.shape[1]
    history = left_aligned(tokens, lengths, config.max_length)
    kept = Kept(config)
    calls = guessed = accepted = 0
    guess = np.empty(0, dtype=np.int64)
    logits = read(decoder.prefill(tokens, lengths))
    length, running = prompt_length, np.ones(1, dtype=bool)
    while True:
        # The logits after the last token and after each guess; those after a wrong guess are not looked at.
        for place in range(len(guess) + 1):
            kept.keep_logits(logits[place, None])
            scores = kept.process(changes, history[:, :length], logits[place, None])
            chosen = scores.argmax(axis=1)
            history[:, length] = chosen
            length += 1
            running &= ~stop(history[:, :length])
            right = place < len(guess) and bool(guess[place] == chosen[0])
            accepted += right
            yield Step(chosen, scores, running.copy())
            if not (running[0] and right):
                break
        if not running[0]:
            break
        if place < len(guess):
            decoder.rewind(len(guess) - place)
        guess = continuation(history[0, :length], config, config.max_length - 1 - length)
        logits = decoder.extend(np.concatenate((chosen, guess))) if len(guess) else read(decoder.step(chosen))
        calls, guessed = calls + 1, guessed + len(guess)
    return GenerationOutput(
        padded(history[:, :length], config),
        prompt_length,
        kept.scores,
        kept.logits,
        speculation=Speculation(calls, guessed, accepted),
    )


def continuation(tokens: Ints, config: GenerationConfig, room: int) -> Ints:
    """What followed the last tokens when they were there before, or nothing: (length,) to at most ``room`` tokens.

    The longest n-gram that was there counts; of its places the last one that enough tokens follow, or else the first.
    """
    wanted = min(config.prompt_lookup_num_tokens or 0, room)
    if wanted <= 0:
        return tokens[:0]
    length = len(tokens)
    for size in range(min(config.max_matching_ngram_size, length - 1), 0, -1):
        same = tokens[: length - size] == tokens[length - size]
        for place in range(1, size):
            same &= tokens[place : length - size + place] == tokens[length - size + place]
        (starts,) = np.nonzero(same)
        if len(starts) and tokens[length - size] >= 0:
            enough = starts[starts <= length - size - wanted]
            start = (enough[-1] if len(enough) else starts[0]) + size
            return tokens[start : start + wanted].copy()
    return tokens[:0]
