"""What a task's pipeline is called with: made from the bundle alone, or given by the caller."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import cycle, islice
from typing import Any

from .. import tasks
from ..bundle import Bundle
from ..errors import InputError, OptionError
from ..pipelines import PIPELINES
from . import media, texts

GENERATING = frozenset(("text-generation", "summarization", "translation", "text2text-generation"))
"""Tasks that generate tokens; speech recognition does where its model has an encoder and a decoder."""

# Batches of different texts that calls take in turn.
_BATCHES = 4


@dataclass(frozen=True)
class Shape:
    """How much goes into one call, and comes out of it; the fields are those of :class:`.result.Row`."""

    batch: int
    length: int | None = None
    seconds: float | None = None
    size: tuple[int, int] | None = None
    new_tokens: int | None = None
    beams: int | None = None

    def __str__(self) -> str:
        """The shape in words.

        Example:
            >>> str(Shape(8, length=128))
            'batch 8, 128 tokens'
        """
        length = None if self.length is None else f"{self.length} tokens"
        seconds = None if self.seconds is None else f"{self.seconds:g} s"
        new = None if self.new_tokens is None else f"{self.new_tokens} new tokens"
        beams = None if self.beams in (None, 1) else f"{self.beams} beams"
        return ", ".join(filter(None, (f"batch {self.batch}", length, seconds, new, beams)))


@dataclass(frozen=True)
class Work:
    """Calls of a pipeline.

    Attributes:
        shape: how much is done in each.
        task: the pipeline's, with its languages where its name has some.
        batches: lists of inputs; calls take them in turn.
        options: the pipeline's.
        rows: rows of tokens that an input becomes.
        amounts: tokens that are read, or seconds that are heard, in each of the batches; 0 of pictures.
    """

    shape: Shape
    task: str
    batches: tuple[list[Any], ...]
    options: Mapping[str, Any]
    amounts: tuple[float, ...]
    rows: int = 1


class Workload:
    """Makes the calls of a bundle's task.

    Args:
        bundle: whose task it is.
        task: the pipeline's; may name languages.
        inputs: the caller's own; None makes some.

    Attributes:
        task: as given.
        name: the task without languages.
        kind: what it reads: ``"text"``, ``"audio"`` or ``"image"``.
        generates: whether it generates tokens.
        given: inputs of the caller's with what they hold; None where they are made.

    Raises:
        TaskError: an unknown task.
        InputError: an input of the caller's that cannot be read.
        OptionError: an empty list of them.
    """

    def __init__(self, bundle: Bundle, task: str, inputs: Sequence[Any] | None = None) -> None:
        self.task, self.name, self._bundle = task, tasks.normalize(task), bundle
        self.kind = "text" if PIPELINES[self.name].reads_text else "image" if "image" in self.name else "audio"
        self.generates = self.name in GENERATING or (self.kind == "audio" and "encoder_model" in bundle.dtypes)
        self._languages = texts.languages(bundle) if self.name == "translation" and not tasks.options(task) else {}
        self._source: str | None = None  # the language that the tokenizer is told
        if self.name == "translation" and bundle.tokenizer.languages:
            self._source = (self._languages or {"src_lang": tasks.options(task)["languages"][0]})["src_lang"]
        self.given: list[Any] | None = None
        if inputs is not None:
            self.given = list(inputs)
            if not self.given:
                raise OptionError("no inputs to measure with: give one at least")
            self._measures = [self._measure(item) for item in self.given]

    @cached_property
    def _words(self) -> texts.Words:
        return texts.Words(self._bundle.tokenizer)

    @property
    def limit(self) -> int | None:
        """Tokens that the model has positions for; where a language model goes on, the prompt's and the new ones'."""
        return self._bundle.tokenizer.max_length if self.kind == "text" else None

    def room(self, new_tokens: int | None) -> int | None:
        """Tokens that a text may have beside those that follow it; None where nothing limits them."""
        follow = {"text-generation": new_tokens or 1, "next-token": 1}.get(self.name, 0)
        return None if self.limit is None else self.limit - follow

    def complete(self, shape: Shape) -> Shape:
        """The shape with what the inputs themselves tell: pixels, and of the caller's tokens or seconds on average."""
        if self.kind == "image":
            return replace(shape, size=self._pixels())
        if self.given is None:
            return shape
        average = sum(self._measures) / len(self._measures)
        return replace(shape, **({"length": round(average)} if self.kind == "text" else {"seconds": round(average, 3)}))

    def work(self, shape: Shape) -> Work:
        """Calls that do as much as the shape says.

        Raises:
            InputError: the model cannot read so much, or no such text can be made.
        """
        options = dict(self._languages) | self._generation(shape)
        if self.given is not None:
            return self._with_given(shape, options)
        if self.kind == "audio":
            assert shape.seconds is not None
            extractor = self._bundle.feature_extractor
            options |= media.beyond_window(self._bundle, self.name, shape.seconds)
            sounds = [media.sound(shape.seconds, extractor.sampling_rate, place) for place in range(shape.batch)]
            return Work(shape, self.task, (sounds,), options, (shape.seconds * shape.batch,))
        if self.kind == "image":
            assert shape.size is not None
            pictures = [media.picture(shape.size, place) for place in range(shape.batch)]
            return Work(shape, self.task, (pictures,), options, (0.0,))
        assert shape.length is not None
        room = self.room(shape.new_tokens)
        if room is not None and shape.length > room:
            follow = "" if room == self.limit else f", of which {(self.limit or 0) - room} are for what follows"
            raise InputError(
                f"a text of {shape.length} tokens is too long: the model has {self.limit} positions{follow}"
            )
        maker = texts.maker(self.name, self._words, shape.length, self._source)
        chance = random.Random(0)
        batches = tuple([maker.make(chance) for _ in range(shape.batch)] for _ in range(_BATCHES))
        amounts = (float(shape.batch * maker.rows * shape.length),) * _BATCHES
        return Work(shape, self.task, batches, {**options, **maker.options}, amounts, maker.rows)

    def _generation(self, shape: Shape) -> dict[str, Any]:
        """Options with which exactly so many tokens are generated, always the same."""
        if not self.generates:
            return {}
        new = {"max_new_tokens": shape.new_tokens, "min_new_tokens": shape.new_tokens}
        # A checkpoint's prefix would add to the length.
        prefix = {"prefix": ""} if self.kind == "text" and self.given is None else {}
        return {"num_beams": shape.beams, "do_sample": False, **new, **prefix}

    def _with_given(self, shape: Shape, options: dict[str, Any]) -> Work:
        """The caller's inputs, from the first again behind the last until each of them was called once at least."""
        assert self.given is not None
        calls = -(-len(self.given) // shape.batch)
        places = list(islice(cycle(range(len(self.given))), calls * shape.batch))
        chosen = [places[call * shape.batch : (call + 1) * shape.batch] for call in range(calls)]
        batches = tuple([self.given[place] for place in batch] for batch in chosen)
        rows = 1
        if self.name == "zero-shot-classification":
            options["candidate_labels"] = texts.candidates(self._words)
            rows = len(options["candidate_labels"])
        if self.kind == "audio":
            options |= media.beyond_window(self._bundle, self.name, max(self._measures))
        amounts = tuple(rows * sum(self._measures[place] for place in batch) for batch in chosen)
        return Work(shape, self.task, batches, options, amounts, rows)

    def _measure(self, item: Any) -> float:
        """Tokens that are read of a text, seconds of a sound; 0 of a picture."""
        if self.kind == "text":
            count = texts.tokens(self._bundle.tokenizer, item)
            # What is longer is cut, but contexts of questions are read in windows.
            return count if self.limit is None or self.name == "question-answering" else min(count, self.limit)
        return media.seconds(item, self._bundle.feature_extractor.sampling_rate) if self.kind == "audio" else 0.0

    def _pixels(self) -> tuple[int, int] | None:
        """Height and width of the pictures: of the caller's if all have the same, or what the model sees."""
        if self.given is None:
            return media.seen(self._bundle.image_processor)
        sizes = set(map(media.size, self.given))
        return sizes.pop() if len(sizes) == 1 else None
