"""Models of one pass over an image: their input, and the flat module that is traced."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel

from torchless.errors import ExportError

from .checkpoint import Checkpoint
from .readers import Inputs, Reader
from .recipes import Output, Recipe

# Width and height of the pictures that show what size the processor makes of any.
_WIDE, _TALL = (640, 400), (300, 410)


class ImageEncoder(torch.nn.Module):
    """A model with pixels in and a tuple of tensors out, in the recipe's order."""

    def __init__(self, model: PreTrainedModel, recipe: Recipe) -> None:
        super().__init__()
        self.model = model
        self.fields = tuple(output.name for output in recipe.outputs)

    def forward(self, pixel_values: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Run the model on float32 ``(batch, channels, height, width)``."""
        result = self.model(pixel_values=pixel_values, return_dict=True)
        return tuple(result[field] for field in self.fields)


class ImageReader(Reader):
    """Pixels of the size that the checkpoint's processor makes; only the batch varies, unless that size does too.

    A length is by how many pixels a picture of no fixed size is longer than the smallest.
    """

    shapes = ((1, 0), (2, 32), (5, 64))
    traced = (3, 0)
    recorded = (2, 0)

    def input_names(self, checkpoint: Checkpoint) -> tuple[str, ...]:
        """The pixels."""
        return ("pixel_values",)

    def sample(self, checkpoint: Checkpoint, batch: int, length: int, seed: int = 0) -> Inputs:
        """Noise around 0, as pixels are after their normalization."""
        channels, height, width = _sizes(checkpoint)[0]
        if len(_sizes(checkpoint)) > 1:
            height, width = height + length, width + 2 * length
        rng = np.random.default_rng([seed, batch, length])
        return {"pixel_values": rng.standard_normal((batch, channels, height, width), dtype=np.float32)}

    def module(self, checkpoint: Checkpoint) -> torch.nn.Module:
        """The model behind its pixels."""
        return ImageEncoder(checkpoint.model, checkpoint.recipe).eval()

    def axes(self, checkpoint: Checkpoint) -> dict[str, dict[int, Any]]:
        """The batch, and height and width where pictures keep a shape of their own."""
        axes = {0: torch.export.Dim("batch")}
        if len(_sizes(checkpoint)) > 1:
            axes |= {2: torch.export.Dim("height", min=32), 3: torch.export.Dim("width", min=32)}
        return {"pixel_values": axes}

    def attended(self, checkpoint: Checkpoint, output: Output, inputs: Inputs) -> NDArray[np.bool_] | None:
        """Everywhere: there is no padding."""
        return None


def _sizes(checkpoint: Checkpoint) -> list[tuple[int, int, int]]:
    """Channels, height and width of what the processor makes of a wide and of a tall picture: one where they agree.

    Raises:
        ExportError: the processor fails, or Pillow is not installed.
    """
    found = []
    for width, height in (_WIDE, _TALL):
        picture = np.zeros((height, width, 3), dtype=np.uint8)
        try:
            pixels = checkpoint.preprocessor(picture, return_tensors="np")["pixel_values"]
        except (ImportError, ValueError, TypeError, KeyError) as error:
            raise ExportError(f"{type(checkpoint.preprocessor).__name__} cannot read a picture: {error}") from error
        _, channels, height, width = np.asarray(pixels).shape
        found.append((channels, height, width))
    return list(dict.fromkeys(found))
