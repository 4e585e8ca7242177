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
from .base import check_integer, check_text
from .single_pass import Request, SinglePassPipeline


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


class FillMaskPipeline(SinglePassPipeline[FillMaskOptions]):
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

    def __call__(self, inputs: Any = None, **options: Any) -> Any:
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
        self._check_targets(options.targets)
        return [Request([encoding]) for encoding in encodings]

    def _reduce(
        self, row: tokenizers.Encoding, outputs: Mapping[str, Array], options: FillMaskOptions
    ) -> list[list[tuple[int, float]]]:
        """The best tokens and their scores for each mask; the whole vocabulary's would fill the memory."""
        masked = np.array(row.ids) == self.tokenizer.ids["mask"]
        found = []
        for probabilities in softmax(outputs["logits"][masked]):  # (vocab,)
            candidates = self._candidates(options.targets, probabilities.size)
            best = candidates[top_k(probabilities[candidates], options.top_k)]
            found.append([(int(token), float(probabilities[token])) for token in best])
        return found

    def _finish(self, request: Request, reduced: list[Any], options: FillMaskOptions) -> Any:
        ids = np.array(request.rows[0].ids)
        places = np.flatnonzero(ids == self.tokenizer.ids["mask"])
        answers = [
            [self._filling(ids, int(place), token, score, len(places)) for token, score in best]
            for place, best in zip(places, reduced[0], strict=True)
        ]
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

    def _candidates(self, targets: str | Sequence[str] | None, vocabulary: int) -> Array:
        """The token ids to choose from: those of the targets, each once, or all."""
        if targets is None:
            return np.arange(vocabulary)
        ids = [self._token_of(target) for target in targets]
        return np.array(list(dict.fromkeys(token for token in ids if token is not None)))

    def _token_of(self, target: str) -> int | None:
        """A target's token id; its first token's where the vocabulary lacks it; None where it has no token."""
        identifier = self.tokenizer.id(target)
        if identifier is None:
            ids = self.tokenizer.encode([target], truncation=None, special_tokens=False)[0].ids
            identifier = int(ids[0]) if ids else None
        return identifier

    def _check_targets(self, targets: str | Sequence[str] | None) -> None:
        """Warn of targets that are no tokens themselves.

        Raises:
            OptionError: none of them has any token.
        """
        found = {target: self._token_of(target) for target in targets or ()}
        if found and set(found.values()) == {None}:
            raise OptionError(f"none of the targets {list(found)!r} has a token in the vocabulary")
        for target, token in found.items():
            if self.tokenizer.id(target) is None:
                instead = "left out" if token is None else f"using {self.tokenizer.token(token)!r}"
                warnings.warn(
                    f"the target {target!r} is not in the vocabulary: {instead}", stacklevel=user_stacklevel()
                )
