"""Feature extraction: the hidden states of a text, token by token or pooled into one vector."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import tokenizers

from ..errors import InputError, OptionError
from ..ops import l2_normalize, mean_pool
from ..session import Array
from .base import check_flag, check_text
from .single_pass import Request, SinglePassPipeline


@dataclass(frozen=True)
class FeatureExtractionOptions:
    """Options of feature extraction.

    Attributes:
        pooling: ``"cls"`` takes the first token's vector, ``"mean"`` the mean over the tokens; None pools nothing.
        normalize: scale the pooled vector to length 1.
    """

    pooling: Literal["cls", "mean"] | None = None
    normalize: bool = False

    def __post_init__(self) -> None:
        if self.pooling not in ("cls", "mean", None):
            raise OptionError(f"pooling must be 'cls', 'mean' or None, not {self.pooling!r}")
        check_flag("normalize", self.normalize)
        if self.normalize and self.pooling is None:
            raise OptionError("normalize=True scales the pooled vector, so it needs pooling='cls' or 'mean'")


class FeatureExtractionPipeline(SinglePassPipeline[FeatureExtractionOptions]):
    """The last hidden states of a text, ``str``: a float32 array ``(1, length, hidden)``, or ``(hidden,)`` pooled.

    Special tokens count, as in transformers' pipeline and in sentence-transformers' pooling. Options:
    :class:`FeatureExtractionOptions`.

    Example:
        >>> embed = pipeline("feature-extraction", "models/minilm", pooling="mean", normalize=True)  # doctest: +SKIP
        >>> embed("A sentence.").shape      # doctest: +SKIP
        (384,)
    """

    task = "feature-extraction"
    outputs: ClassVar[Mapping[str, int]] = {"last_hidden_state": 3}  # (batch, length, hidden)
    per_token = True
    options_type = FeatureExtractionOptions

    def _prepare(self, items: list[Any], options: FeatureExtractionOptions) -> list[Request]:
        return [Request([row]) for row in self.tokenizer.encode([check_text(item) for item in items])]

    def _reduce(
        self, row: tokenizers.Encoding, outputs: Mapping[str, Array], options: FeatureExtractionOptions
    ) -> Array:
        hidden = outputs["last_hidden_state"][None].astype(np.float32)  # a copy: the batch's memory is let go
        if options.pooling is None:
            return hidden
        if hidden.shape[1] == 0:
            raise InputError("a text without any token cannot be pooled")
        pooled = hidden[:, 0] if options.pooling == "cls" else mean_pool(hidden, np.ones(hidden.shape[:2], np.int64))
        vector: Array = (l2_normalize(pooled) if options.normalize else pooled)[0]
        return vector

    def _finish(self, request: Request, reduced: list[Any], options: FeatureExtractionOptions) -> Array:
        features: Array = reduced[0]
        return features
