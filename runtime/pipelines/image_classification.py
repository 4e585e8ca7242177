"""Image classification: a picture to labels with scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from ..session import Array
from ..vision.reading import MAX_PIXELS, check_max_pixels
from . import labels
from .base import check_integer
from .images import ImagePipeline


@dataclass(frozen=True)
class ImageClassificationOptions:
    """Options of image classification.

    Attributes:
        top_k: how many labels to return, best first, or all of them if there are fewer; None is as not given: 5.
        function_to_apply: ``"softmax"``, ``"sigmoid"`` or ``"none"`` to turn logits into scores; None chooses by the
            checkpoint: sigmoid for several labels at once or only one, softmax otherwise, also for regression.
        max_pixels: larger pictures (width x height) are refused before they are decoded; None leaves it to Pillow.
    """

    top_k: int | None = 5
    function_to_apply: Literal["sigmoid", "softmax", "none"] | None = None
    max_pixels: int | None = MAX_PIXELS

    def __post_init__(self) -> None:
        if self.top_k is None:
            object.__setattr__(self, "top_k", 5)
        check_integer("top_k", self.top_k, 1)
        object.__setattr__(self, "function_to_apply", labels.checked_function(self.function_to_apply))
        check_max_pixels(self.max_pixels)


class ImageClassificationPipeline(ImagePipeline[ImageClassificationOptions]):
    """Labels and scores of a picture: whatever :func:`torchless.vision.load_image` takes.

    Answers are lists of ``{"label": str, "score": float}``, best first; for a list or another iterable of pictures
    one such list each. Pictures are decoded batch by batch, so that a stream of any length needs little memory.
    Options: :class:`ImageClassificationOptions`.

    Example:
        >>> classify = pipeline("image-classification", "models/vit")      # doctest: +SKIP
        >>> classify("cats.png", top_k=1)      # doctest: +SKIP
        [{'label': 'Egyptian cat', 'score': 0.9374}]

        The same without a pipeline:

        >>> bundle = Bundle.open("models/vit")      # doctest: +SKIP
        >>> inputs = bundle.image_processor(load_image("cats.png"))      # doctest: +SKIP
        >>> scores = softmax(bundle.session("model").run(inputs)["logits"])[0]      # doctest: +SKIP
        >>> bundle.labels[scores.argmax()]      # doctest: +SKIP
        'Egyptian cat'
    """

    task = "image-classification"
    outputs: ClassVar[tuple[str, ...]] = ("logits",)  # (batch, labels)
    options_type = ImageClassificationOptions

    def _answer_one(self, outputs: Mapping[str, Array], options: ImageClassificationOptions) -> list[dict[str, Any]]:
        logits = outputs["logits"].reshape(-1)
        labels.check_classes(self.bundle, logits.size)
        # Other than for texts, regression is no exception: one number goes through a sigmoid, several through softmax.
        several = self.bundle.config.get("problem_type") == "multi_label_classification"
        function = options.function_to_apply or ("sigmoid" if several or logits.size == 1 else "softmax")
        return labels.best(self.bundle, labels.scores(self.bundle, logits, function), options.top_k)
