"""What is varied, from which point to which, and how much work a call is."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from torchless import Bundle

from ..peers.process import GENERATION, Suite
from ..peers.recognition_inputs import TOKENS
from ..peers.recognition_worker import RECOGNITION
from .models import FEW, LAYERS, SCALING, VOCABULARIES

_WORDS = range(100, 8000)
"""Ids that every vocabulary has."""
_STEPS = 16
"""Decoded steps of a beam search that are timed together."""
_FLOAT = 4  # bytes; caches are float32 whatever the weights are


@dataclass(frozen=True)
class Model:
    """A model by its size.

    Attributes:
        name: in its suite.
        suite: whose conversions are used.
        layers: of self-attention and a feed-forward part four times as wide.
        vocabulary: that its head has, which shares its weights with the embedding; 0 without a head.
        width: of its states.
    """

    name: str
    suite: Suite
    layers: int
    vocabulary: int = 50257
    width: int = 768

    def weights(self) -> int:
        """Numbers that a call reads of them: those of products."""
        return 12 * self.layers * self.width**2 + self.vocabulary * self.width


@dataclass(frozen=True)
class Point:
    """A call.

    Attributes:
        x: what is varied.
        model: that is called.
        rows: sequences, or beams.
        length: tokens of each text, or in the cache.
        kind: ``"encode"``, ``"step"`` of a greedy search, or ``"beams"``: a step of a beam search with its selection.
    """

    x: int
    model: Model
    rows: int = 1
    length: int = 32
    kind: str = "step"

    def flops(self) -> float:
        """Operations of all products, attention's among them; an addition and a multiplication are two."""
        tokens = self.rows * (self.length if self.kind == "encode" else 1)
        attention = 4 * self.model.layers * self.model.width * self.length * tokens
        return 2.0 * self.model.weights() * tokens + attention

    def bytes(self, precision: str) -> float:
        """Bytes that come from memory: the weights, and the cache where there is one; states are taken to stay near."""
        weights = self.model.weights() * {"fp32": 4, "int8": 1}[precision]
        cache = 0 if self.kind == "encode" else 2 * self.model.layers * self.model.width * self.length * self.rows
        return float(weights + cache * _FLOAT)


@dataclass(frozen=True)
class Series:
    """Points that differ in one thing.

    Attributes:
        title: what the axis is, in words.
        degree: of the polynomial that is fitted: 2 where attention makes cost grow with the square.
        points: of a run.
        quick: of a run that only tries.
    """

    title: str
    degree: int
    points: tuple[Point, ...]
    quick: tuple[Point, ...]


BERT = Model("bert", RECOGNITION, 12, vocabulary=0)
GPT2 = Model("gpt2", GENERATION, 12)
_TEXTS, _CACHES, _ROWS = (16, 32, 64, 128, 192, 256, 384, 512), (32, 128, 256, 384, 512, 768, 960), (1, 2, 4, 8, 12, 16)


def _sized(layers: int) -> Model:
    return Model(f"scale-layers-{layers}", SCALING, layers)


def _speaking(size: int) -> Model:
    return Model(f"scale-vocabulary-{size}", SCALING, FEW, vocabulary=size)


def _encode(x: int, rows: int = 1, length: int = 128) -> Point:
    return Point(x, BERT, rows, length, "encode")


def _small(*points: Point) -> tuple[Point, ...]:
    """The same of the small models of a quick run; those of the scaling suite have as many layers as they say."""
    return tuple(
        replace(point, model=replace(point.model, width=128, layers=FEW if point.x > FEW else point.model.layers))
        for point in points
    )


SERIES = {
    "length": Series(
        "tokens of a text, BERT-base",
        2,
        tuple(_encode(n, length=n) for n in _TEXTS),
        _small(*(_encode(n, length=n) for n in (8, 16, 24, 32))),
    ),
    "batch": Series(
        "texts of 128 tokens in a call, BERT-base",
        1,
        tuple(_encode(n, rows=n) for n in (1, 2, 3, 4, 6, 8)),
        _small(*(_encode(n, rows=n, length=16) for n in (1, 2, 4))),
    ),
    "context": Series(
        "tokens in the cache, GPT-2, a step",
        1,
        tuple(Point(n, GPT2, length=n) for n in _CACHES),
        _small(*(Point(n, GPT2, length=n) for n in (8, 16, 32))),
    ),
    "rows": Series(
        "sequences side by side, GPT-2, a step",
        1,
        tuple(Point(n, GPT2, rows=n) for n in _ROWS),
        _small(*(Point(n, GPT2, rows=n) for n in (1, 2, 4))),
    ),
    "beams": Series(
        "beams, GPT-2, a step with its selection",
        1,
        tuple(Point(n, GPT2, rows=n, kind="beams") for n in (2, 3, 4, 6, 8)),
        _small(*(Point(n, GPT2, rows=n, length=8, kind="beams") for n in (2, 3, 4))),
    ),
    "vocabulary": Series(
        f"tokens of the vocabulary, {FEW} layers of GPT-2, a step",
        1,
        (*(Point(n, _speaking(n)) for n in VOCABULARIES[:2]), Point(50257, _sized(FEW)),
         Point(VOCABULARIES[2], _speaking(VOCABULARIES[2]))),
        _small(*(Point(n, _speaking(n)) for n in VOCABULARIES[:2]), Point(50257, _sized(FEW))),
    ),
    "layers": Series(
        "layers of GPT-2, a step",
        1,
        (*(Point(n, _sized(n)) for n in LAYERS), Point(12, GPT2)),
        tuple(replace(Point(n, _sized(n)), model=replace(_sized(n), width=128)) for n in LAYERS),
    ),
}  # fmt: skip


def timed(bundle: Bundle, point: Point) -> Callable[[], float]:
    """A function that does the point's work and answers with the seconds that it took; of a search, each step's."""
    rng = np.random.default_rng(point.x)
    if point.kind == "encode":
        ids = rng.integers(TOKENS.start, TOKENS.stop, (point.rows, point.length))
        session = bundle.session("model")
        feeds = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
        return lambda: _seconds(lambda: session.run(feeds))
    generator: Any = bundle.generator()
    prompts = rng.integers(_WORDS.start, _WORDS.stop, (1 if point.kind == "beams" else point.rows, point.length))
    if point.kind == "beams":

        def search(new: int) -> float:
            options = {"num_beams": point.rows, "max_new_tokens": new, "min_new_tokens": new, "do_sample": False}
            return _seconds(lambda: generator.generate(prompts, np.ones_like(prompts), **options))

        return lambda: (search(1 + _STEPS) - search(1)) / _STEPS
    state = generator.new_cache(rows=point.rows, capacity=point.length + 1)
    state.prefill(prompts)

    def step() -> float:
        seconds = _seconds(lambda: state.step(prompts[:, -1]))
        state.rewind(1)
        return seconds

    return step


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
