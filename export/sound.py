"""Models of one pass over a sound: their inputs, and the flat module that is traced."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel

from .checkpoint import Checkpoint
from .readers import Inputs, Reader, lengths
from .recipes import Output, Recipe


class SoundEncoder(torch.nn.Module):
    """A model with a batch of sounds in and a tuple of tensors out, in the recipe's order."""

    def __init__(self, model: PreTrainedModel, recipe: Recipe) -> None:
        super().__init__()
        self.model = model
        self.fields = tuple(output.name for output in recipe.outputs)

    def forward(self, sound: torch.Tensor, attention_mask: torch.Tensor | None = None) -> tuple[torch.Tensor, ...]:
        """Run the model.

        Args:
            sound: float32 ``(batch, samples)``, or ``(batch, frames, mels)``.
            attention_mask: int64 ``(batch, samples)``; None for models that know no padding.
        """
        mask = {} if attention_mask is None else {"attention_mask": attention_mask}
        result = self.model(sound, return_dict=True, **mask)
        return tuple(result[field] for field in self.fields)


class SoundReader(Reader):
    """Noise that swells and fades, or spectrograms of a fixed size; a length counts samples.

    A mask is an input where the checkpoint's feature extractor gives one. Without one, and where a norm runs over time
    (``feat_extract_norm="group"``), rows are of one length.
    """

    shapes = ((1, 64007), (2, 24000), (1, 16001), (3, 8191), (1, 2000), (1, 400))
    traced = (3, 5237)
    recorded = (2, 1607)
    short = 2000

    def input_names(self, checkpoint: Checkpoint) -> tuple[str, ...]:
        """The sound, and the mask where there is one."""
        name = checkpoint.model.main_input_name
        return (name, "attention_mask") if _masked(checkpoint) else (name,)

    def sample(self, checkpoint: Checkpoint, batch: int, length: int, seed: int = 0) -> Inputs:
        """Noise; shorter rows are padded with zeros."""
        rng = np.random.default_rng([seed, batch, length])
        if (shape := _spectrogram(checkpoint)) is not None:
            return {self.input_names(checkpoint)[0]: rng.standard_normal((batch, *shape), dtype=np.float32)}
        sound = rng.standard_normal((batch, length), dtype=np.float32)
        sound *= 1 + np.sin(np.arange(length, dtype=np.float32) / 500)
        if not _masked(checkpoint):
            return {self.input_names(checkpoint)[0]: sound}
        uneven = getattr(checkpoint.config, "feat_extract_norm", "layer") != "group"
        ends = lengths(batch, length) if uneven else np.full(batch, length)
        mask = (np.arange(length) < ends[:, None]).astype(np.int64)
        return {self.input_names(checkpoint)[0]: np.where(mask == 1, sound, np.float32(0)), "attention_mask": mask}

    def module(self, checkpoint: Checkpoint) -> torch.nn.Module:
        """The model behind its sound."""
        return SoundEncoder(checkpoint.model, checkpoint.recipe).eval()

    def axes(self, checkpoint: Checkpoint) -> dict[str, dict[int, Any]]:
        """``(batch, samples)``; of a spectrogram only the batch varies."""
        axes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("samples", min=400)}
        if _spectrogram(checkpoint) is not None:
            del axes[1]
        return dict.fromkeys(self.input_names(checkpoint), axes)

    def attended(self, checkpoint: Checkpoint, output: Output, inputs: Inputs) -> NDArray[np.bool_] | None:
        """The frames of the rows' own samples."""
        mask = inputs.get("attention_mask")
        if mask is None or not output.per_token:
            return None
        model: Any = checkpoint.model
        frames = model._get_feat_extract_output_lengths(torch.from_numpy(mask.sum(axis=1))).numpy()
        attended: NDArray[np.bool_] = np.arange(frames.max()) < frames[:, None]
        return attended

    def cases(self, checkpoint: Checkpoint, longest: int | None) -> list[tuple[int, int]]:
        """The shapes; of spectrograms two batches."""
        return list(self.shapes) if _spectrogram(checkpoint) is None else [(1, 0), (2, 0)]


def _masked(checkpoint: Checkpoint) -> bool:
    return bool(getattr(checkpoint.preprocessor, "return_attention_mask", False)) and _spectrogram(checkpoint) is None


def _spectrogram(checkpoint: Checkpoint) -> tuple[int, int] | None:
    """The shape of what a model is shown that reads spectrograms: frames and mels, or for Whisper mels and frames."""
    config = checkpoint.config
    mels, frames = getattr(config, "num_mel_bins", None), getattr(config, "max_length", None)
    if checkpoint.model.main_input_name == "input_features" and hasattr(config, "max_source_positions"):
        return int(config.num_mel_bins), 2 * int(config.max_source_positions)
    return (frames, mels) if isinstance(mels, int) and isinstance(frames, int) else None
