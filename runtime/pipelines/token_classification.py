"""Token classification: a text to its entities, token by token or grouped.

Follows transformers' TokenClassificationPipeline: the aggregation strategies, the joining of overlapping windows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar, Literal

import numpy as np
import tokenizers

from ..errors import InputError, OptionError
from ..ops import softmax
from ..session import Array
from .base import check_flag, check_integer, check_text
from .single_pass import Request, SinglePassPipeline

_STRATEGIES = ("none", "simple", "first", "average", "max")
Entity = dict[str, Any]


@dataclass(frozen=True)
class TokenClassificationOptions:
    """Options of token classification.

    Attributes:
        aggregation_strategy: ``"none"`` answers token by token. ``"simple"`` joins neighbours of one label;
            ``"first"``, ``"average"`` and ``"max"`` first give all tokens of a word one label: that of its first
            token, of its mean scores, or of its most certain token.
        ignore_labels: labels that are left out.
        stride: cut a text that is too long into windows that overlap by this many tokens, instead of cutting its
            end off; needs an aggregation strategy.
        is_split_into_words: an input is a list of words.
        delimiter: what words are joined with, for the ``start`` and ``end`` of their entities.
    """

    aggregation_strategy: Literal["none", "simple", "first", "average", "max"] = "none"
    ignore_labels: Sequence[str] = ("O",)
    stride: int | None = None
    is_split_into_words: bool = False
    delimiter: str = " "

    def __post_init__(self) -> None:
        if self.aggregation_strategy not in _STRATEGIES:
            raise OptionError(f"aggregation_strategy must be one of {_STRATEGIES}, not {self.aggregation_strategy!r}")
        labels = self.ignore_labels
        if not isinstance(labels, (list, tuple, set, frozenset)) or not all(isinstance(name, str) for name in labels):
            raise OptionError(f"ignore_labels must be a list of labels, not {self.ignore_labels!r}")
        check_flag("is_split_into_words", self.is_split_into_words)
        if not isinstance(self.delimiter, str):
            raise OptionError(f"delimiter must be a text, not {self.delimiter!r}")
        if self.stride is not None:
            check_integer("stride", self.stride, 0)
            if self.aggregation_strategy == "none":
                raise OptionError("stride joins the entities of windows, so it needs an aggregation_strategy")


@dataclass(frozen=True)
class _Text:
    """The text as a whole, and where its words begin, if it was given in words."""

    text: str
    word_starts: list[int] | None


class TokenClassificationPipeline(SinglePassPipeline[TokenClassificationOptions]):
    """Entities of a text, ``str``, or of a list of words with ``is_split_into_words=True``.

    Each answer is a list of ``{"entity", "score", "index", "word", "start", "end"}`` per token, or with an
    aggregation strategy of ``{"entity_group", "score", "word", "start", "end"}``; ``start`` and ``end`` count
    characters of the text. Options: :class:`TokenClassificationOptions`.

    Example:
        >>> ner = pipeline("ner", "models/conll", aggregation_strategy="simple")      # doctest: +SKIP
        >>> ner("I live in Berlin")      # doctest: +SKIP
        [{'entity_group': 'LOC', 'score': 0.998, 'word': 'Berlin', 'start': 10, 'end': 16}]
    """

    task = "token-classification"
    outputs: ClassVar[Mapping[str, int]] = {"logits": 3}  # (batch, length, labels)
    per_token = True
    options_type = TokenClassificationOptions

    def _is_single(self, inputs: Any, options: TokenClassificationOptions) -> bool:
        if options.is_split_into_words and isinstance(inputs, list):
            return not all(isinstance(item, list) for item in inputs)
        return super()._is_single(inputs, options)

    def _prepare(self, items: list[Any], options: TokenClassificationOptions) -> list[Request]:
        texts = [_check(item, options) for item in items]
        limit = self.tokenizer.max_length
        if options.stride is None or limit is None:
            sources = items if options.is_split_into_words else [text.text for text in texts]
            encodings = self.tokenizer.encode(sources)
            return [Request([row], text) for row, text in zip(encodings, texts, strict=True)]
        return [
            Request(self.tokenizer.windows(item, max_length=limit, stride=options.stride), text)
            for item, text in zip(items, texts, strict=True)
        ]

    def _reduce(
        self, row: tokenizers.Encoding, outputs: Mapping[str, Array], options: TokenClassificationOptions
    ) -> Array:
        self._check_classes(outputs["logits"].shape[-1])
        return softmax(outputs["logits"])

    def _finish(self, request: Request, reduced: list[Any], options: TokenClassificationOptions) -> list[Entity]:
        found = []
        for row, scores in zip(request.rows, reduced, strict=True):
            tokens = list(self._tokens(row, scores, request.context))
            entities = self._entities(tokens, options.aggregation_strategy)
            name = "entity" if options.aggregation_strategy == "none" else "entity_group"
            found += [entity for entity in entities if entity[name] not in options.ignore_labels]
        return _without_overlaps(found) if len(request.rows) > 1 else found

    def _tokens(self, row: tokenizers.Encoding, scores: Array, text: _Text) -> Iterator[Entity]:
        """The tokens of a row that are not special, with their scores and place in the text."""
        unknown = self.tokenizer.ids.get("unk")
        for index, (special, word_id) in enumerate(zip(row.special_tokens_mask, row.word_ids, strict=True)):
            if special:
                continue
            start, end = row.offsets[index]
            if text.word_starts is not None and word_id is not None:
                start, end = start + text.word_starts[word_id], end + text.word_starts[word_id]
            word, original = row.tokens[index], text.text[start:end]
            if row.ids[index] == unknown:
                word, continues = original, False
            elif self.tokenizer.marks_subwords:
                continues = len(word) != len(original)
            else:
                continues = start > 0 and " " not in text.text[start - 1 : start + 1]
            yield {"word": word, "scores": scores[index], "start": start, "end": end, "index": index,
                   "continues": continues}  # fmt: skip

    def _entities(self, tokens: list[Entity], strategy: str) -> list[Entity]:
        if strategy in ("none", "simple"):
            entities = [
                self._labelled(token["scores"], index=token["index"], word=token["word"], start=token["start"],
                               end=token["end"])
                for token in tokens
            ]  # fmt: skip
        else:
            entities = [self._word(word, strategy) for word in _words(tokens)]
        return entities if strategy == "none" else [self._group(group) for group in _groups(entities)]

    def _word(self, tokens: list[Entity], strategy: str) -> Entity:
        """One label for all tokens of a word."""
        if strategy == "first":
            scores = tokens[0]["scores"]
        elif strategy == "max":
            scores = max((token["scores"] for token in tokens), key=np.max)
        else:
            scores = np.nanmean([token["scores"] for token in tokens], axis=0)
        word = self.tokenizer.join([token["word"] for token in tokens])
        return self._labelled(scores, word=word, start=tokens[0]["start"], end=tokens[-1]["end"])

    def _labelled(self, scores: Array, **rest: Any) -> Entity:
        best = int(np.argmax(scores))
        return {"entity": self.bundle.labels[best], "score": float(scores[best]), **rest}

    def _group(self, entities: list[Entity]) -> Entity:
        return {
            "entity_group": entities[0]["entity"].split("-", 1)[-1],
            "score": float(np.mean([entity["score"] for entity in entities])),
            "word": self.tokenizer.join([entity["word"] for entity in entities]),
            "start": entities[0]["start"],
            "end": entities[-1]["end"],
        }


def _check(item: Any, options: TokenClassificationOptions) -> _Text:
    if not options.is_split_into_words:
        return _Text(check_text(item), None)
    if not isinstance(item, list) or not all(isinstance(word, str) for word in item):
        raise InputError(f"with is_split_into_words=True an input is a list of words, not {item!r:.80}")
    starts, place = [], 0
    for word in item:
        starts.append(place)
        place += len(word) + len(options.delimiter)
    return _Text(options.delimiter.join(item), starts)


def _words(tokens: list[Entity]) -> Iterator[list[Entity]]:
    """Tokens grouped by word."""
    begins = [index for index, token in enumerate(tokens) if index == 0 or not token["continues"]]
    for begin, end in pairwise([*begins, len(tokens)]):
        yield tokens[begin:end]


def _groups(entities: list[Entity]) -> Iterator[list[Entity]]:
    """Neighbours of one type, a ``B-`` label beginning a new group."""
    group: list[Entity] = []
    for entity in entities:
        begin, kind = _label(entity["entity"])
        if group and (begin or kind != _label(group[-1]["entity"])[1]):
            yield group
            group = []
        group.append(entity)
    if group:
        yield group


def _label(label: str) -> tuple[bool, str]:
    """Whether a label begins an entity, and its type: ``"B-LOC"`` to ``(True, "LOC")``."""
    return label.startswith("B-"), label[2:] if label.startswith(("B-", "I-")) else label


def _without_overlaps(entities: list[Entity]) -> list[Entity]:
    """Of the entities of overlapping windows keep the longest, and among equals the most certain."""
    kept: list[Entity] = []
    for entity in sorted(entities, key=lambda entity: entity["start"]):
        if not kept or not kept[-1]["start"] <= entity["start"] < kept[-1]["end"]:
            kept.append(entity)
        elif _rank(entity) > _rank(kept[-1]):
            kept[-1] = entity
    return kept


def _rank(entity: Entity) -> tuple[int, float]:
    return entity["end"] - entity["start"], entity["score"]
