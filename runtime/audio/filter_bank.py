"""The extractor of the Audio Spectrogram Transformer: Kaldi's logarithmic mel filter bank, of one fixed length."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from ..errors import BundleError
from . import numbers
from .extractor import Arrays, FeatureExtractor
from .mel import kaldi_filters
from .samples import Samples

_FRAME_SECONDS, _HOP_SECONDS = 0.025, 0.010
_PREEMPHASIS = 0.97
# Energies below that of float32's resolution are silence.
_FLOOR = float(np.finfo(np.float32).eps)
# Frames that are worked on at a time.
_BLOCK = 256


class FilterBankExtractor(FeatureExtractor):
    """Transformers' ASTFeatureExtractor, by ``torchaudio.compliance.kaldi.fbank`` with a Hann window and no dither.

    Longer clips are cut after ``max_length`` frames of 10 ms, and shorter ones filled up with zeros, as transformers
    does before it normalizes. Computed in float64: quiet bands beside loud ones keep their digits.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__(config)
        self.masked = False  # transformers returns none, whatever the configuration says
        self.mels = numbers.integer(config, "num_mel_bins", 128)
        self.frames = numbers.integer(config, "max_length", 1024)
        self._normalize = numbers.flag(config, "do_normalize", True)
        self._mean = numbers.real(config, "mean", -4.2677393)
        self._deviation = numbers.real(config, "std", 4.5689974)
        if self._deviation == 0:
            raise BundleError("preprocessor_config.json: std must not be 0")
        self.hop_length = int(self.sampling_rate * _HOP_SECONDS)
        length = int(self.sampling_rate * _FRAME_SECONDS)
        self.minimum_samples = length
        self._size = 1 << (length - 1).bit_length()  # of the Fourier transform
        self._window = np.hanning(length)
        self._filters = kaldi_filters(self._size // 2 + 1, self.mels, self.sampling_rate).T.copy()

    def _batch(self, clips: list[Samples]) -> Arrays:
        values = np.zeros((len(clips), self.frames, self.mels), np.float32)
        for row, clip in zip(values, clips, strict=True):
            frames = sliding_window_view(clip, len(self._window))[:: self.hop_length][: self.frames]
            for start in range(0, len(frames), _BLOCK):
                part = frames[start : start + _BLOCK]
                row[start : start + len(part)] = self._energies(part)
        if self._normalize:
            values = (values - np.float32(self._mean)) / np.float32(self._deviation * 2)
        return {self.input_name: values}

    def _energies(self, frames: Samples) -> Samples:
        """Logarithmic energies of frames ``(frames, samples)``, ``(frames, mels)``."""
        centred = frames.astype(np.float64)
        centred -= centred.mean(axis=1, keepdims=True)
        emphasized = centred.copy()
        emphasized[:, 1:] -= _PREEMPHASIS * centred[:, :-1]
        emphasized[:, 0] *= 1 - _PREEMPHASIS
        spectrum = np.fft.rfft(emphasized * self._window, self._size)
        power = spectrum.real**2 + spectrum.imag**2
        return np.log(np.maximum(power @ self._filters, _FLOOR)).astype(np.float32)
