"""Which feature extractor a checkpoint has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import BundleError
from .extractor import FeatureExtractor
from .filter_bank import FilterBankExtractor
from .log_mel import LogMelExtractor
from .waveform import WaveformExtractor

__all__ = ["FeatureExtractor", "feature_extractor"]

# By the name of transformers' class.
_EXTRACTORS: Mapping[str, type[FeatureExtractor]] = {
    "ASTFeatureExtractor": FilterBankExtractor,
    "Wav2Vec2FeatureExtractor": WaveformExtractor,
    "WhisperFeatureExtractor": LogMelExtractor,
}


def feature_extractor(config: Mapping[str, Any]) -> FeatureExtractor:
    """The feature extractor that a ``preprocessor_config.json`` describes.

    Args:
        config: its content. As in old repositories, ``feature_extractor_type`` may be missing where the file is that
            of a Wav2Vec2 model.

    Raises:
        BundleError: an extractor that is not known, or malformed numbers.

    Example:
        >>> feature_extractor({"feature_extractor_type": "WhisperFeatureExtractor", "feature_size": 128}).mels
        128
    """
    name = config.get("feature_extractor_type")
    if name is None and config.get("feature_size") == 1 and "num_mel_bins" not in config:
        name = "Wav2Vec2FeatureExtractor"
    kind = _EXTRACTORS.get(name) if isinstance(name, str) else None
    if kind is None:
        known = ", ".join(_EXTRACTORS)
        raise BundleError(f"the feature extractor {name!r} of preprocessor_config.json is not one of {known}")
    return kind(config)
