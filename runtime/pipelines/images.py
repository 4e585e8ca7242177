"""What the pipelines that look at pictures share: one input or many, decoded when their batch runs."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, ClassVar, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..errors import BundleError, InputError, TaskError
from ..session import Array
from ..vision.reading import load_image, pillow
from .base import Pipeline

# Pictures that run together where no batch_size is given. CPU time of a picture of 224 x 224 in batches of 1 and of 8,
# on two busy cores: ViT-base 366 and 281 ms, ResNet-50 88 and 71, MobileNetV2 12 and 13. No GPU was measured.
BATCH = 8


class ImageOptions(Protocol):
    """What the options of such a pipeline have."""

    @property
    def max_pixels(self) -> int | None:
        """The largest picture that is decoded."""


ImageOptionsT = TypeVar("ImageOptionsT", bound=ImageOptions)


class ImagePipeline(Pipeline[ImageOptionsT]):
    """A pipeline in one step: what a picture's outputs say. Pictures of a batch are decoded when it runs."""

    reads_text = False
    # The outputs that the graph must have.
    outputs: ClassVar[tuple[str, ...]]

    @abstractmethod
    def _answer_one(self, outputs: Mapping[str, Array], options: ImageOptionsT) -> Any:
        """The answer from one picture's outputs, which lie in memory that is let go afterwards."""

    def _wanted(self, options: ImageOptionsT) -> list[str]:
        """The outputs that are computed."""
        return list(self.outputs)

    def _open(self) -> None:
        pillow()
        self.processor = self.bundle.image_processor
        self.session = self.bundle.session("model")
        inputs = {spec.name: spec.shape for spec in self.session.inputs}
        found = [spec.name for spec in self.session.outputs]
        if len(inputs.get("pixel_values", ())) != 4 or not set(self.outputs) <= set(found):
            raise TaskError(
                f"{self.task!r} needs a graph from pixel_values (of 4 dimensions) to {list(self.outputs)}; that of "
                f"{self.bundle.folder} takes {sorted(inputs)} and gives {found}"
            )
        self._shape = inputs["pixel_values"]

    def _is_single(self, inputs: Any, options: ImageOptionsT) -> bool:
        if isinstance(inputs, (list, tuple, Iterator)) and not hasattr(inputs, "read"):
            return False
        known = isinstance(inputs, (str, bytes, bytearray, memoryview, Mapping, os.PathLike))
        return known or hasattr(inputs, "read") or hasattr(inputs, "__array__") or isinstance(inputs, pillow().Image)

    def _input(self, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        """The inputs, which transformers also takes as ``images=``."""
        if "images" in options:
            args = (*args, options.pop("images"))
        return super()._input(args, options)

    def _stream(self, inputs: Iterable[Any], options: ImageOptionsT) -> Iterator[Any]:
        iterator = iter(inputs)
        while items := list(islice(iterator, self._rows())):  # nothing is gained by looking further ahead
            yield from self._answer(items, options)

    def _answer(self, items: list[Any], options: ImageOptionsT) -> Iterator[Any]:
        for start in range(0, len(items), self._rows()):
            batch, failure = self._batch(items[start : start + self._rows()], options)
            for together in _of_one_shape(batch):
                outputs = self.session.run({"pixel_values": np.stack(together)}, self._wanted(options))
                for row in range(len(together)):
                    yield self._answer_one({name: value[row] for name, value in outputs.items()}, options)
            if failure is not None:
                raise failure

    def _batch(self, items: list[Any], options: ImageOptionsT) -> tuple[list[NDArray[np.float32]], InputError | None]:
        """Pixels of pictures up to the first that cannot be read, so that those before it are still answered."""
        found: list[NDArray[np.float32]] = []
        try:
            for item in items:
                found.append(self._pixels(item, options))  # noqa: PERF401
        except InputError as error:
            return found, error
        return found, None

    def _rows(self) -> int:
        """Pictures that run together at the most."""
        rows = BATCH if self.batch_size is None else self.batch_size
        return min(rows, self._shape[0]) if isinstance(self._shape[0], int) else rows

    def _pixels(self, item: Any, options: ImageOptionsT) -> NDArray[np.float32]:
        if isinstance(item, (Mapping, list, tuple)):
            raise InputError(f"{self.task} takes a picture, not {type(item).__name__}: {item!r:.80}")
        pixels = self.processor.pixels(load_image(item, options.max_pixels))
        if any(isinstance(size, int) and size != got for size, got in zip(self._shape[1:], pixels.shape, strict=True)):
            raise BundleError(
                f"{self.bundle.folder}/preprocessor_config.json makes pictures of {pixels.shape} and the graph takes "
                f"{self._shape[1:]}"
            )
        return pixels


def _of_one_shape(batch: list[NDArray[np.float32]]) -> Iterator[list[NDArray[np.float32]]]:
    """Runs of neighbours that can be stacked."""
    start = 0
    for end in range(1, len(batch) + 1):
        if end == len(batch) or batch[end].shape != batch[start].shape:
            yield batch[start:end]
            start = end
