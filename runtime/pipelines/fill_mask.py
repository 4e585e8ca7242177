"""Fill-mask: the tokens that best fill the mask tokens of a text."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import tokenizers

from ..errors import InputError, OptionError, TaskError, user_stacklevel
from ..ops import softmax, top_k
from ..session import Array
from .base import Pipeline, Request, check_integer, check_text


@dataclass(frozen=True)
class FillMaskOptions:
    """Options of fill-mask.

    Attributes:
        top_k: how many fillings to return for each mask.
        targets: only consider these words. One that is not a token of the vocabulary is replaced by its first
            token, with a warning. Scores stay those among the whole vocabulary.
    """

    top_k: int = 5
    targets: str | Sequence[str] | None = None

    def __post_init__(self) -> None:
        check_integer("top_k", self.top_k, 1)
        if self.targets is not None:
            targets = (self.targets,) if isinstance(self.targets, str) else self.targets
            listed = isinstance(targets, (list, tuple)) and len(targets) > 0
            if not listed or not all(isinstance(target, str) and target for target in targets):
                raise OptionError(f"targets must be one or more words, not {self.targets!r}")
            object.__setattr__(self, "targets", tuple(targets))


class FillMaskPipeline(Pipeline[FillMaskOptions]):
    """Fillings of the mask tokens of a text, ``str``: ``{"score", "token", "token_str", "sequence"}``, best first.

    One mask is answered by a list of fillings, several by one such list each. A list of one text is answered like
    the text. Options: :class:`FillMaskOptions`.

    Example:
        >>> fill = pipeline("fill-mask", "models/roberta", top_k=1)      # doctest: +SKIP
        >>> fill("Paris is the <mask> of France.")      # doctest: +SKIP
        [{'score': 0.97, 'token': 812, 'token_str': ' capital', 'sequence': 'Paris is the capital of France.'}]
    """

    task = "fill-mask"
    outputs: ClassVar[Mapping[str, int]] = {"logits": 3}  # (batch, length, vocab)
    per_token = True
    options_type = FillMaskOptions

    def __call__(self, inputs: Any, **options: Any) -> Any:
        """Fill the masks; see the class."""
        answers = self._call(inputs, options)
        return answers[0] if isinstance(inputs, list) and len(inputs) == 1 else answers

    def _prepare(self, items: list[Any], options: FillMaskOptions) -> list[Request]:
        mask = self.tokenizer.ids.get("mask")
        if mask is None:
            raise TaskError(f"the tokenizer of {self.bundle.folder} has no mask token")
        if options.targets is None and options.top_k > len(self.tokenizer):
            raise OptionError(f"top_k={options.top_k} exceeds the vocabulary of {len(self.tokenizer)} tokens")
        encodings = self.tokenizer.encode([check_text(item) for item in items])
        for item, encoding in zip(items, encodings, strict=True):
            if mask not in encoding.ids:
                raise InputError(f"no mask token {self.tokenizer.tokens['mask']!r} in {item!r:.80}")
        targets = self._targets(options.targets)
        return [Request([encoding], targets) for encoding in encodings]

    def _reduce(self, row: tokenizers.Encoding, outputs: Mapping[str, Array], options: FillMaskOptions) -> Array:
        masked = np.array(row.ids) == self.tokenizer.ids["mask"]
        return softmax(outputs["logits"][masked])  # (masks, vocab)

    def _finish(self, request: Request, reduced: list[Any], options: FillMaskOptions) -> Any:
        ids = np.array(request.rows[0].ids)
        places = np.flatnonzero(ids == self.tokenizer.ids["mask"])
        answers = []
        for place, probabilities in zip(places, reduced[0], strict=True):
            candidates = np.arange(probabilities.size) if request.context is None else request.context
            best = candidates[top_k(probabilities[candidates], options.top_k)]
            answers.append(
                [self._filling(ids, int(place), int(token), probabilities[token], len(places)) for token in best]
            )
        return answers[0] if len(places) == 1 else answers

    def _filling(self, ids: Array, place: int, token: int, score: float, masks: int) -> dict[str, Any]:
        filled = ids.copy()
        filled[place] = token
        if (pad := self.tokenizer.ids.get("pad")) is not None:
            filled = filled[filled != pad]
        # Among several masks the others are shown, and with them the special tokens.
        sequence = self.tokenizer.decode(filled, skip_special_tokens=masks == 1)
        token_str = self.tokenizer.decode([token])
        return {"score": float(score), "token": token, "token_str": token_str, "sequence": sequence}

    def _targets(self, targets: str | Sequence[str] | None) -> Array | None:
        """The token ids of the targets, each once; None for the whole vocabulary."""
        if targets is None:
            return None
        ids = [found for target in targets if (found := self._target(target)) is not None]
        if not ids:
            raise OptionError(f"none of the targets {list(targets)!r} has a token in the vocabulary")
        return np.array(list(dict.fromkeys(ids)))

    def _target(self, target: str) -> int | None:
        identifier = self.tokenizer.id(target)
        if identifier is not None:
            return identifier
        tokens = self.tokenizer.encode([target], truncation=None, special_tokens=False)[0].ids
        if not tokens:
            warnings.warn(
                f"the target {target!r} has no token in the vocabulary: left out", stacklevel=user_stacklevel()
            )
            return None
        replacement = self.tokenizer.token(tokens[0])
        warnings.warn(
            f"the target {target!r} is not in the vocabulary: using {replacement!r}", stacklevel=user_stacklevel()
        )
        return int(tokens[0])
