"""Zero-shot classification: a text to labels made up by the caller, with an entailment classifier.

Each label becomes a hypothesis, and its score the classifier's entailment score (Yin et al. 2019).
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import tokenizers

from ..bundle import Bundle
from ..errors import InputError, OptionError, user_stacklevel
from ..ops import softmax
from ..session import Array
from .base import check_flag, check_text
from .single_pass import Request, SinglePassPipeline


@dataclass(frozen=True)
class ZeroShotClassificationOptions:
    """Options of zero-shot classification.

    Attributes:
        candidate_labels: the labels to choose from: a list, or a string with commas between them.
        hypothesis_template: the sentence that a label is put into, at ``{}``.
        multi_label: whether several labels may be right, each then scored on its own: entailment against
            contradiction. Otherwise the scores sum to 1 over the labels.
    """

    candidate_labels: str | Sequence[str] = ()
    hypothesis_template: str = "This example is {}."
    multi_label: bool = False

    def __post_init__(self) -> None:
        labels = self.candidate_labels
        if isinstance(labels, str):
            labels = [label.strip() for label in labels.split(",") if label.strip()]
        if not isinstance(labels, (list, tuple)) or not all(isinstance(label, str) and label for label in labels):
            raise OptionError(f"candidate_labels must be words, not {self.candidate_labels!r}")
        object.__setattr__(self, "candidate_labels", tuple(labels))
        check_flag("multi_label", self.multi_label)
        try:
            hypothesis = self.hypothesis_template.format("label")
        except (AttributeError, IndexError, KeyError, TypeError, ValueError):
            hypothesis = self.hypothesis_template
        if hypothesis == self.hypothesis_template:
            raise OptionError(f"hypothesis_template needs one {{}} for the label: {self.hypothesis_template!r}")


class ZeroShotClassificationPipeline(SinglePassPipeline[ZeroShotClassificationOptions]):
    """Scores of the caller's labels for a text, ``str``: ``{"sequence", "labels", "scores"}``, best first.

    Runs on a text-classification bundle of an entailment (NLI) checkpoint. The labels may be given second:
    ``classify(text, ["sports", "politics"])``. Options: :class:`ZeroShotClassificationOptions`.

    Example:
        >>> classify = pipeline("zero-shot-classification", "models/nli")      # doctest: +SKIP
        >>> classify("They won the cup.", ["sports", "politics"])["labels"]      # doctest: +SKIP
        ['sports', 'politics']
    """

    task = "zero-shot-classification"
    outputs: ClassVar[Mapping[str, int]] = {"logits": 2}  # (batch, labels)
    options_type = ZeroShotClassificationOptions

    def __init__(self, bundle: Bundle, *, batch_size: int | None = None, **options: Any) -> None:
        super().__init__(bundle, batch_size=batch_size, **options)
        named = [index for index, label in enumerate(bundle.labels) if label.lower().startswith("entail")]
        if not named:
            warnings.warn(
                f"no label of {bundle.folder} is called 'entailment': taking the last of {bundle.labels}",
                stacklevel=user_stacklevel(),
            )
        self._entailment = named[0] if named else len(bundle.labels) - 1

    def __call__(
        self,
        inputs: Any = None,
        candidate_labels: str | Sequence[str] | None = None,
        *,
        sequences: Any = None,
        **options: Any,
    ) -> Any:
        """Classify; see the class. ``sequences`` is transformers' name for the inputs."""
        inputs = sequences if inputs is None else inputs
        if candidate_labels is not None:
            options["candidate_labels"] = candidate_labels
        return self._call(inputs, options)

    def _prepare(self, items: list[Any], options: ZeroShotClassificationOptions) -> list[Request]:
        labels = options.candidate_labels
        if not labels:
            raise InputError("zero-shot classification needs candidate_labels to choose from")
        texts = [check_text(item) for item in items]
        if "" in texts:
            raise InputError("cannot classify an empty text")
        hypotheses = [options.hypothesis_template.format(label) for label in labels]
        pairs = [(text, hypothesis) for text in texts for hypothesis in hypotheses]
        rows = self.tokenizer.encode(pairs, truncation="only_first")
        return [
            Request(rows[index * len(labels) : (index + 1) * len(labels)], text) for index, text in enumerate(texts)
        ]

    def _reduce(
        self, row: tokenizers.Encoding, outputs: Mapping[str, Array], options: ZeroShotClassificationOptions
    ) -> Array:
        self._check_classes(outputs["logits"].size)
        return outputs["logits"]

    def _finish(self, request: Request, reduced: list[Any], options: ZeroShotClassificationOptions) -> dict[str, Any]:
        logits = np.stack(reduced)  # (candidates, labels)
        if options.multi_label or len(reduced) == 1:
            contradiction = -1 if self._entailment == 0 else 0
            scores = softmax(logits[:, [contradiction, self._entailment]])[:, 1]
        else:
            scores = softmax(logits[:, self._entailment])
        order = np.argsort(scores)[::-1]
        labels = [options.candidate_labels[index] for index in order]
        return {"sequence": request.context, "labels": labels, "scores": scores[order].tolist()}
