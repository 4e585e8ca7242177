"""Sound: reading and resampling it, and the features that models hear. Needs the extra ``torchless[audio]`` for files."""

from __future__ import annotations

from .features import FeatureExtractor, feature_extractor
from .reading import load_audio, stream_audio

__all__ = ["FeatureExtractor", "feature_extractor", "load_audio", "stream_audio"]
