"""What all feature extractors share: clips of samples to a padded batch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from . import numbers
from .samples import Samples, check_finite, check_length

Arrays = dict[str, NDArray[Any]]


class FeatureExtractor(ABC):
    """Turns clips into the inputs of a model, as the checkpoint's own extractor does in transformers.

    Args:
        config: the content of ``preprocessor_config.json``; transformers' defaults hold where it leaves numbers out.

    Attributes:
        sampling_rate: samples per second that a clip must have.
        input_name: of the model's input, ``"input_values"`` or ``"input_features"``.
        masked: whether a batch has an ``attention_mask``.
        minimum_samples: the shortest clip that it hears.

    Raises:
        BundleError: malformed numbers.

    Example:
        >>> bundle = Bundle.open("models/wav2vec2")      # doctest: +SKIP
        >>> clip = load_audio("speech.flac", bundle.feature_extractor.sampling_rate)      # doctest: +SKIP
        >>> bundle.session("model").run(bundle.feature_extractor([clip]))["logits"]      # doctest: +SKIP
    """

    input_name: ClassVar[str] = "input_values"

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.sampling_rate = numbers.integer(config, "sampling_rate", 16000)
        self.masked = numbers.flag(config, "return_attention_mask", False)
        self.minimum_samples = 1

    def __call__(self, clips: Sequence[Samples]) -> Arrays:
        """The model's inputs for clips, padded to one length.

        Args:
            clips: float32 (samples,) each, mono, at ``sampling_rate``; see :func:`torchless.audio.load_audio`.

        Returns:
            ``{input_name: float32 (batch, ...)}``, and where ``masked`` ``"attention_mask": int64 (batch, length)``.

        Raises:
            InputError: no clip, or one that is not ``(samples,)``, too short, or has NaN or infinite samples.
        """
        if not isinstance(clips, (list, tuple)) or not clips:
            raise InputError("a feature extractor takes a list of clips, at least one")
        return self._batch([self.checked(clip) for clip in clips])

    @abstractmethod
    def _batch(self, clips: list[Samples]) -> Arrays:
        """The inputs for checked clips."""

    def checked(self, clip: Any) -> Samples:
        """The clip as float32.

        Raises:
            InputError: it is not ``(samples,)``, too short, or has NaN or infinite samples.
        """
        samples = np.asarray(clip)
        if samples.ndim != 1 or samples.dtype.kind != "f":
            raise InputError(
                f"a clip is an array (samples,) of floats, not {samples.shape} of {samples.dtype}: see load_audio"
            )
        samples = samples.astype(np.float32, copy=False)
        check_length(samples)
        if len(samples) < self.minimum_samples:
            raise InputError(f"the sound has {len(samples)} samples and must have at least {self.minimum_samples}")
        check_finite(samples)
        return samples
