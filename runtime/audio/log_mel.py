"""Whisper's extractor: the logarithm of a mel spectrogram."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..environment import cpu_count
from ..errors import BundleError, InputError
from . import numbers, spectrum
from .extractor import Arrays, FeatureExtractor
from .mel import bands, slaney_filters
from .samples import Samples
from .spectrum import PowerSpectrum, product

# log10(x) as the model takes it: (log10(x) + 4) / 4, and what is 8 below the loudest is cut.
_SCALE, _SHIFT, _RANGE = 1 / (4 * np.log(10)), 1.0, 2.0
_FLOOR = 1e-10
_SILENCE = float((np.log10(_FLOOR) + 4) / 4)
# Blocks of frames that a further thread is worth.
_BLOCKS_PER_THREAD = 4


class LogMelExtractor(FeatureExtractor):
    """Transformers' WhisperFeatureExtractor: clips cut or filled up to 30 seconds, as log-mel spectrograms.

    Attributes:
        mels: bands of the spectrogram.
        hop_length: samples per frame.
        chunk_length_s: seconds that the model hears at once.
        chunk_samples: the same in samples.
    """

    input_name: ClassVar[str] = "input_features"

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__(config)
        self.mels = numbers.integer(config, "feature_size", 80)
        self.hop_length = numbers.integer(config, "hop_length", 160)
        self.chunk_length_s = numbers.integer(config, "chunk_length", 30)
        self.chunk_samples = self.chunk_length_s * self.sampling_rate
        size = numbers.integer(config, "n_fft", 400, minimum=4)
        if size % 2 or self.hop_length > size or self.chunk_samples < size:
            raise BundleError(f"a Fourier transform of {size} samples does not fit hops of {self.hop_length}")
        if numbers.real(config, "dither", 0.0):
            raise BundleError("preprocessor_config.json asks for dither, random noise, which is not added here")
        self._padding = numbers.real(config, "padding_value", 0.0)
        self._left = numbers.left_padded(config)
        self._spectrum = PowerSpectrum(size, self.hop_length)
        filters = slaney_filters(size // 2 + 1, self.mels, self.sampling_rate)
        self._bands = bands(filters[:, self._spectrum.order].astype(np.float32))

    def frames(self, clip: Samples) -> Samples:
        """The spectrogram of a clip of any length: neither cut nor filled up.

        What is 80 dB below the loudest of the whole clip is silence, as in transformers with ``truncation=False``.

        Args:
            clip: float32 (samples,)

        Returns:
            float32 ``(mels, samples // hop_length)``

        Raises:
            InputError: it is shorter than one hop, not ``(samples,)``, or has NaN or infinite samples.
        """
        clip = self.checked(clip)
        if len(clip) < self.hop_length:
            raise InputError(f"the sound has {len(clip)} samples and a frame needs {self.hop_length}")
        features = np.empty((self.mels, len(clip) // self.hop_length), np.float32)
        self._write(clip, len(clip), features)
        return features

    def _batch(self, clips: list[Samples]) -> Arrays:
        total = self.chunk_samples
        features = np.empty((len(clips), self.mels, total // self.hop_length), np.float32)
        mask = np.zeros((len(clips), total), np.int64)
        for row, clip in enumerate(clips):
            clip = clip[:total]
            mask[row, slice(total - len(clip), None) if self._left else slice(len(clip))] = 1
            if len(clip) < total and (self._left or self._padding):
                padding = np.full(total - len(clip), self._padding, np.float32)
                clip = np.concatenate([padding, clip] if self._left else [clip, padding])
            self._write(clip, total, features[row])
        inputs: Arrays = {self.input_name: features}
        if self.masked:
            inputs["attention_mask"] = mask[:, :: self.hop_length][:, : features.shape[2]]
        return inputs

    def _write(self, clip: Samples, total: int, features: Samples) -> None:
        """Write the spectrogram of a clip that zeros fill up to ``total`` samples."""
        half = self._spectrum.size // 2
        sounding = min(features.shape[1], -(-(len(clip) + half) // self.hop_length))
        features[:, sounding:] = _SILENCE  # frames of nothing but zeros
        starts = range(0, sounding, spectrum.BLOCK)
        threads = max(1, min(cpu_count(), len(starts) // _BLOCKS_PER_THREAD))

        def work(thread: int) -> float:
            return self._blocks(clip, total, starts[thread::threads], features[:, :sounding])

        if threads == 1:
            loudest = work(0)
        else:
            with ThreadPoolExecutor(threads) as pool:
                loudest = max(pool.map(work, range(threads)))
        np.maximum(features, np.float32(loudest - _RANGE), out=features)

    def _blocks(self, clip: Samples, total: int, starts: range, features: Samples) -> float:
        """Write the blocks that begin at some frames; returns the largest number, or what silence is."""
        loudest = _SILENCE
        workspace = self._spectrum.workspace(features.shape[1])
        for start in starts:
            part = features[:, start : start + workspace.frames]
            frames = part.shape[1]
            begin = start * self.hop_length - self._spectrum.size // 2
            samples = _section(clip, total, begin, begin + self._spectrum.samples(frames))
            power = workspace.power(samples, frames)
            for rows, columns, filters in self._bands:
                product(filters, power[columns], part[rows])
            np.maximum(part, np.float32(_FLOOR), out=part)
            np.log(part, out=part)
            part *= np.float32(_SCALE)
            part += np.float32(_SHIFT)
            loudest = max(loudest, float(part.max()))
        return loudest


def _section(clip: Samples, total: int, begin: int, end: int) -> Samples:
    """Samples ``begin`` to ``end`` of a clip that zeros fill up to ``total``, and whose ends are mirrored beyond."""
    count = len(clip)
    if begin >= 0 and end <= count:
        return clip[begin:end]

    def mirrored(places: NDArray[np.intp]) -> Samples:
        period = 2 * (total - 1)
        places = np.abs(places) % period
        places = np.minimum(places, period - places)
        return np.where(places < count, clip[np.minimum(places, count - 1)], np.float32(0))

    before = mirrored(np.arange(begin, min(end, 0)))
    after = mirrored(np.arange(max(begin, count), end))
    return np.concatenate([before, clip[max(begin, 0) : end], after])
