"""How samples become frames of logits in a CTC model: the convolutions that its configuration tells of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

from ..errors import BundleError

# Layers that mix what lies behind a clip's end into its last frames, even where a mask hides it: convolutions over
# hidden states, pooling, a normalization that makes numbers of the zeros behind the end.
_MIXING = ("add_adapter", "conv_depthwise_kernel_size", "conv_pos_batch_norm", "conv_pos_kernel_size", "squeeze_factor")


@dataclass(frozen=True)
class Frames:
    """The frames of a model.

    Attributes:
        kernels: samples (or frames of the layer before) that each convolution sees.
        strides: how far each moves on.
        padded: whether a clip may be followed by padding, hidden by a mask, without any change to its frames. A group
            normalization runs over time, so that padding would change all of them.

    Example:
        >>> frames = Frames((10, 3, 3, 3, 3, 2, 2), (5, 2, 2, 2, 2, 2, 2), padded=False)
        >>> frames.count(16000), frames.ratio, frames.minimum
        (49, 320, 400)
    """

    kernels: tuple[int, ...]
    strides: tuple[int, ...]
    padded: bool

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Frames:
        """Those of a checkpoint's ``config.json``.

        Raises:
            BundleError: it does not tell them.
        """
        kernels, strides = _sizes(config, "conv_kernel"), _sizes(config, "conv_stride")
        if len(kernels) != len(strides):
            raise BundleError(f"config.json has {len(kernels)} sizes as conv_kernel and {len(strides)} as conv_stride")
        mixes = config.get("feat_extract_norm", "group") != "layer" or any(config.get(name) for name in _MIXING)
        return cls(kernels, strides, padded=not mixes)

    @property
    def ratio(self) -> int:
        """Samples per frame."""
        return prod(self.strides)

    @property
    def minimum(self) -> int:
        """The fewest samples that give a frame."""
        samples = 1
        for kernel, stride in zip(reversed(self.kernels), reversed(self.strides), strict=True):
            samples = (samples - 1) * stride + kernel
        return samples

    def count(self, samples: int) -> int:
        """Frames of a clip of so many samples."""
        for kernel, stride in zip(self.kernels, self.strides, strict=True):
            samples = max((samples - kernel) // stride + 1, 0)
        return samples


def _sizes(config: Mapping[str, Any], name: str) -> tuple[int, ...]:
    value = config.get(name)
    if not isinstance(value, list) or not value or not all(type(size) is int and size > 0 for size in value):
        raise BundleError(f"config.json must have {name}, a size per layer; it has {value!r:.80}")
    return tuple(value)
