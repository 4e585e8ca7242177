"""What a generating model would say while it reads what another one wrote: compared step by step, they cannot part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from torchless.bundle import Bundle
from torchless.errors import OptionError
from torchless.generation.config import GenerationConfig
from torchless.generation.encoded import Encoded
from torchless.generation.generator import ENCODER, Generator
from torchless.session import Array

from .drift import Comparison, Drift

_PAST = "past_key_values"
# Calls whose inputs are continued, and tokens that are written after each.
_INPUTS = 16
_STEPS = 12

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class _Text:
    """What one batch of inputs is continued with.

    Attributes:
        features: the encoder's inputs by name; None where there is no encoder.
        prompt: int64 ``(rows, length)``, padded on the right.
        lengths: int64 ``(rows,)``.
        tokens: int64 ``(rows, steps)``, the continuation.
        counted: ``(rows, steps)``, false behind a row's end.
        logits: float32 ``(rows, steps, vocab)``, of which each token is the best.
    """

    features: Mapping[str, Array] | None
    prompt: Ints
    lengths: Ints
    tokens: Ints
    counted: NDArray[np.bool_]
    logits: Floats


class Forced:
    """Greedy continuations by a bundle, which another variant of it is made to read.

    Args:
        bundle: the bundle as it should be.
        feeds: recorded inputs by role; of the encoder, or of what is called first.

    Raises:
        OptionError: no inputs to start from.
    """

    def __init__(self, bundle: Bundle, feeds: Mapping[str, Sequence[Mapping[str, Array]]]) -> None:
        generator = bundle.generator()
        role = ENCODER if generator.is_encoder_decoder else "model"
        starts = [feed for feed in feeds.get(role, ()) if role == ENCODER or _is_first(feed)]
        if not starts:
            raise OptionError(f"no recorded inputs of {role} in {bundle.folder}: nothing to continue")
        self._texts = [_written(generator, feed) for feed in starts[:_INPUTS]]

    def drift(self, variant: Bundle) -> Drift:
        """How far the variant's logits are from the bundle's, and how often its next token is the same."""
        generator = variant.generator()
        comparison = Comparison()
        for text in self._texts:
            logits = _read(generator, text)
            comparison.add(text.logits[text.counted], logits[text.counted])
        return comparison.drift()


def continues(bundle: Bundle) -> bool:
    """Whether a bundle generates, with this project's or another's graphs."""
    return any(
        spec.name.startswith(_PAST) for role in bundle.dtypes if role != ENCODER for spec in bundle.session(role).inputs
    )


def _is_first(feed: Mapping[str, Array]) -> bool:
    """Whether a decoder's call is the first one: it reads all tokens that it is to attend to."""
    return bool(feed["input_ids"].shape[1] == feed.get("attention_mask", feed["input_ids"]).shape[1])


def _written(generator: Generator, feed: Mapping[str, Array]) -> _Text:
    """Continue a batch of inputs greedily."""
    features = feed if generator.is_encoder_decoder else None
    rows = len(next(iter(feed.values())))
    prompt: Ints = generator.start_tokens(rows) if features is not None else feed["input_ids"].astype(np.int64)
    lengths = np.full(rows, prompt.shape[1])
    if features is None and "attention_mask" in feed:
        lengths = feed["attention_mask"].sum(axis=1).astype(np.int64)
    steps = _room(generator, prompt.shape[1])
    ends = _ends(generator.config)
    state = generator.new_cache(rows, prompt.shape[1] + steps, _encoded(generator, features))
    logits = [state.prefill(prompt, lengths).copy()]
    tokens = [logits[-1].argmax(axis=-1)]
    counted = [np.ones(rows, dtype=bool)]
    for _ in range(steps - 1):
        counted.append(counted[-1] & ~np.isin(tokens[-1], ends))
        if not counted[-1].any():
            counted.pop()
            break
        logits.append(state.step(tokens[-1]).copy())
        tokens.append(logits[-1].argmax(axis=-1))
    written, kept, scores = np.stack(tokens, axis=1), np.stack(counted, axis=1), np.stack(logits, axis=1)
    return _Text(features, prompt, lengths, written, kept, scores)


def _read(generator: Generator, text: _Text) -> Floats:
    """Logits of a model that reads the continuation, ``(rows, steps, vocab)``."""
    rows, steps = text.tokens.shape
    state = generator.new_cache(rows, text.prompt.shape[1] + steps, _encoded(generator, text.features))
    logits = [state.prefill(text.prompt, text.lengths).copy()]
    logits += [state.step(tokens).copy() for tokens in text.tokens.T[:-1]]
    return np.stack(logits, axis=1)


def _encoded(generator: Generator, features: Mapping[str, Array] | None) -> Encoded | None:
    return None if features is None else generator.encode(features=features)


def _room(generator: Generator, length: int) -> int:
    """How many tokens are to be written: fewer where the model has no more positions, but one at least."""
    limit = generator.position_limit
    return _STEPS if limit is None else max(1, min(_STEPS, limit - length))


def _ends(config: GenerationConfig) -> list[int]:
    """Tokens that end a text."""
    ends = config.eos_token_id
    return [] if ends is None else [ends] if isinstance(ends, int) else list(ends)
