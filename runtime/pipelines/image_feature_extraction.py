"""Image feature extraction: the hidden states of a picture, patch by patch or pooled by the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..errors import OptionError
from ..session import Array
from ..vision.reading import MAX_PIXELS, check_max_pixels
from .base import check_flag
from .images import ImagePipeline


@dataclass(frozen=True)
class ImageFeatureExtractionOptions:
    """Options of image feature extraction.

    Attributes:
        pool: whether to return what the model's own pooler makes of the hidden states.
        max_pixels: larger pictures (width x height) are refused before they are decoded; None leaves it to Pillow.
    """

    pool: bool = False
    max_pixels: int | None = MAX_PIXELS

    def __post_init__(self) -> None:
        check_flag("pool", self.pool)
        check_max_pixels(self.max_pixels)


class ImageFeatureExtractionPipeline(ImagePipeline[ImageFeatureExtractionOptions]):
    """The hidden states of a picture: whatever :func:`torchless.vision.load_image` takes.

    A float32 array ``(1, length, hidden)``, of convolutional models ``(1, channels, height, width)``; pooled
    ``(1, hidden)`` or ``(1, channels, 1, 1)``. For a list or another iterable of pictures one each. Options:
    :class:`ImageFeatureExtractionOptions`.

    Example:
        >>> embed = pipeline("image-feature-extraction", "models/vit-in21k", pool=True)      # doctest: +SKIP
        >>> embed("cats.png").shape      # doctest: +SKIP
        (1, 768)
    """

    task = "image-feature-extraction"
    outputs: ClassVar[tuple[str, ...]] = ("last_hidden_state",)
    options_type = ImageFeatureExtractionOptions

    def _wanted(self, options: ImageFeatureExtractionOptions) -> list[str]:
        return ["pooler_output" if options.pool else "last_hidden_state"]

    def _options(self, given: Mapping[str, object]) -> ImageFeatureExtractionOptions:
        options = super()._options(given)
        if options.pool and "pooler_output" not in {spec.name for spec in self.session.outputs}:
            raise OptionError(f"the model of {self.bundle.folder} has no pooler: pool=True cannot be had")
        return options

    def _answer_one(self, outputs: Mapping[str, Array], options: ImageFeatureExtractionOptions) -> Array:
        (features,) = outputs.values()
        return features[None].astype(np.float32)  # a copy: the batch's memory is let go
