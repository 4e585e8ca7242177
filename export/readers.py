"""What models read: texts, sounds or images. Each reader makes the inputs that graphs are traced and compared with."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from .checkpoint import Checkpoint
from .recipes import Output

Inputs = dict[str, NDArray[Any]]
Outputs = dict[str, NDArray[np.float32]]


class Reader(ABC):
    """How inputs of one kind are made for a model of one pass, and what their axes mean.

    Attributes:
        shapes: batch and length of the inputs that a graph is compared with torch on, the longest first. What a length
            counts is the reader's: tokens, samples.
        traced: batch and length of the traced example: odd sizes that no model uses for something else, so that no axis
            can be taken for a constant.
        recorded: batch and length of a short input, and of the manifest's reference.
        short: at this length or below torch itself may fail.
    """

    shapes: tuple[tuple[int, int], ...]
    traced: tuple[int, int]
    recorded: tuple[int, int]
    short: int = 0

    @abstractmethod
    def input_names(self, checkpoint: Checkpoint) -> tuple[str, ...]:
        """The graph's inputs."""

    @abstractmethod
    def sample(self, checkpoint: Checkpoint, batch: int, length: int, seed: int = 0) -> Inputs:
        """Random inputs, with padded rows where the model knows padding."""

    @abstractmethod
    def module(self, checkpoint: Checkpoint) -> torch.nn.Module:
        """The flat module that is traced: the inputs in their order, the recipe's outputs in a tuple."""

    @abstractmethod
    def axes(self, checkpoint: Checkpoint) -> dict[str, dict[int, Any]]:
        """Names of the axes that vary, by input."""

    @abstractmethod
    def attended(self, checkpoint: Checkpoint, output: Output, inputs: Inputs) -> NDArray[np.bool_] | None:
        """Where an output means something, ``(batch, length)``; None where it does everywhere."""

    def cases(self, checkpoint: Checkpoint, longest: int | None) -> list[tuple[int, int]]:
        """Batch and length of the inputs to compare on; ``longest`` is the tokens that a text may have."""
        return list(self.shapes)

    def reference(self, longest: int | None) -> tuple[int, int]:
        """Batch and length of the manifest's reference."""
        return self.recorded

    def example(self, checkpoint: Checkpoint) -> dict[str, torch.Tensor]:
        """One short input in torch."""
        return as_tensors(self.sample(checkpoint, 1, self.recorded[1]), checkpoint.model.device)

    def run(self, checkpoint: Checkpoint, inputs: Inputs) -> Outputs:
        """The checkpoint's own outputs in float32."""
        with torch.inference_mode():
            outputs = self.module(checkpoint)(*as_tensors(inputs, checkpoint.model.device).values())
        names = (output.name for output in checkpoint.recipe.outputs)
        return {name: tensor.float().cpu().numpy() for name, tensor in zip(names, outputs, strict=True)}


def as_tensors(inputs: Mapping[str, NDArray[Any]], device: torch.device) -> dict[str, torch.Tensor]:
    """The arrays on the model's device."""
    return {name: torch.from_numpy(array).to(device) for name, array in inputs.items()}


def lengths(batch: int, length: int) -> NDArray[np.int64]:
    """Lengths of a batch's rows: the first is full, each further one shorter."""
    return np.maximum(1, length - np.arange(batch) * -(-length // (batch + 1)))


def reader_for(checkpoint: Checkpoint) -> Reader:
    """The reader of what the checkpoint's task reads."""
    from .image import ImageReader
    from .sound import SoundReader
    from .text import TextReader

    kinds: dict[str, type[Reader]] = {"text": TextReader, "sound": SoundReader, "image": ImageReader}
    return kinds[checkpoint.recipe.reads]()
