"""Sound: reading and resampling it, and what models hear of it. Files need the extra ``torchless[audio]``."""

from __future__ import annotations

from .features import FeatureExtractor, feature_extractor
from .reading import load_audio
from .resampling import resample
from .streaming import stream_audio

__all__ = ["FeatureExtractor", "feature_extractor", "load_audio", "resample", "stream_audio"]
