"""Text classification: a text, or a pair of texts, to labels with scores."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import tokenizers

from ..errors import InputError
from ..session import Array
from . import labels
from .base import check_integer, check_text
from .single_pass import Request, SinglePassPipeline


@dataclass(frozen=True)
class TextClassificationOptions:
    """Options of text classification.

    Attributes:
        top_k: how many labels to return, best first; None for all. Where it is given, every input is answered by a
            list, otherwise by its best label.
        function_to_apply: ``"softmax"``, ``"sigmoid"`` or ``"none"`` to turn logits into scores; None chooses by the
            checkpoint: none for regression, sigmoid for several labels at once or only one, softmax otherwise.
    """

    top_k: int | None = 1
    function_to_apply: Literal["sigmoid", "softmax", "none"] | None = None

    def __post_init__(self) -> None:
        if self.top_k is not None:
            check_integer("top_k", self.top_k, 1)
        object.__setattr__(self, "function_to_apply", labels.checked_function(self.function_to_apply))


class TextClassificationPipeline(SinglePassPipeline[TextClassificationOptions]):
    """Labels and scores of a text, ``str``, or of a pair, ``{"text": str, "text_pair": str}``.

    Answers are ``{"label": str, "score": float}``: one in a list for a single text, one each for many inputs; a list
    of them per input where ``top_k`` is given. Options: :class:`TextClassificationOptions`.

    Example:
        >>> pipeline("text-classification", "models/sst2")("I love you")      # doctest: +SKIP
        [{'label': 'POSITIVE', 'score': 0.9998}]
    """

    task = "text-classification"
    outputs: ClassVar[Mapping[str, int]] = {"logits": 2}  # (batch, labels)
    options_type = TextClassificationOptions

    def __call__(self, inputs: Any = None, **options: Any) -> Any:
        """Classify; the nesting of the answers is that of transformers' pipeline."""
        answers = self._call(inputs, options)
        if "top_k" in options:
            return answers
        if "top_k" in self._given:
            return [answers] if isinstance(inputs, str) else answers
        if isinstance(inputs, str):
            return answers
        if isinstance(inputs, Mapping):
            return answers[0]
        return [answer[0] for answer in answers] if isinstance(inputs, list) else _first(answers)

    def _prepare(self, items: list[Any], options: TextClassificationOptions) -> list[Request]:
        labels.check_top_k(self.bundle, options.top_k)
        texts = [_text(item) for item in items]
        return [Request([encoding]) for encoding in self.tokenizer.encode(texts)]

    def _reduce(
        self, row: tokenizers.Encoding, outputs: Mapping[str, Array], options: TextClassificationOptions
    ) -> Array:
        self._check_classes(outputs["logits"].size)
        return labels.scores(self.bundle, outputs["logits"], options.function_to_apply)

    def _finish(self, request: Request, reduced: list[Any], options: TextClassificationOptions) -> list[dict[str, Any]]:
        return labels.best(self.bundle, reduced[0], options.top_k)


def _text(item: Any) -> str | tuple[str, str]:
    if not isinstance(item, Mapping):
        if isinstance(item, (list, tuple)):
            raise InputError('a pair of texts is given as {"text": "...", "text_pair": "..."}')
        return check_text(item)
    if "text" not in item or not set(item) <= {"text", "text_pair"}:
        raise InputError(f'expected {{"text": ..., "text_pair": ...}}, not the keys {sorted(map(str, item))}')
    text = check_text(item["text"])
    pair = item.get("text_pair")
    # As in transformers, an empty second text is none at all.
    return (text, check_text(pair, "text_pair")) if pair or not isinstance(pair, str | None) else text


def _first(answers: Iterator[Any]) -> Iterator[Any]:
    return (answer[0] for answer in answers)
