"""The extractor of models that hear the samples themselves: Wav2Vec2, HuBERT, WavLM, Moonshine and their kin."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..errors import BundleError
from . import numbers
from .extractor import Arrays, FeatureExtractor
from .samples import Samples

# Keeps silence finite.
_SMALLEST_VARIANCE = 1e-7


class WaveformExtractor(FeatureExtractor):
    """Transformers' Wav2Vec2FeatureExtractor: every clip at mean 0 and variance 1, padded to the longest.

    A clip is normalized before it is padded, so that its numbers do not depend on the others of the batch.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__(config)
        if config.get("feature_size", 1) != 1:
            raise BundleError(f"Wav2Vec2FeatureExtractor gives 1 number per sample, not {config['feature_size']!r}")
        self._normalize = numbers.flag(config, "do_normalize", True)
        self._padding = numbers.real(config, "padding_value", 0.0)
        self._left = numbers.left_padded(config)

    def _batch(self, clips: list[Samples]) -> Arrays:
        longest = max(map(len, clips))
        values = np.full((len(clips), longest), self._padding, np.float32)
        mask = np.zeros((len(clips), longest), np.int64)
        for row, clip in enumerate(clips):
            place = slice(longest - len(clip), None) if self._left else slice(len(clip))
            values[row, place] = _normalized(clip) if self._normalize else clip
            mask[row, place] = 1
        return {self.input_name: values, "attention_mask": mask} if self.masked else {self.input_name: values}


def _normalized(clip: Samples) -> Samples:
    normalized: Samples = (clip - clip.mean()) / np.sqrt(clip.var() + _SMALLEST_VARIANCE)
    return normalized
