"""Audio classification: a sound to labels with scores."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ..audio import load_audio
from ..errors import BundleError, InputError, TaskError
from ..session import Array
from ..speech.ctc_batches import batches
from ..speech.ctc_frames import Frames
from . import labels
from .base import Pipeline, check_integer


@dataclass(frozen=True)
class AudioClassificationOptions:
    """Options of audio classification.

    Attributes:
        top_k: how many labels to return, best first; as in transformers, all of them where it is None or more than
            there are.
        function_to_apply: ``"softmax"``, ``"sigmoid"`` or ``"none"`` to turn logits into scores; None is softmax, as in
            transformers 4.57 whatever the checkpoint was trained for.
    """

    top_k: int | None = 5
    function_to_apply: Literal["sigmoid", "softmax", "none"] | None = None

    def __post_init__(self) -> None:
        if self.top_k is not None:
            check_integer("top_k", self.top_k, 1)
        object.__setattr__(self, "function_to_apply", labels.checked_function(self.function_to_apply))


class AudioClassificationPipeline(Pipeline[AudioClassificationOptions]):
    """Labels and scores of a sound: ``[{"label": str, "score": float}, ...]``, best first.

    An input is a path, the bytes of a file, a file object, an array of samples at the model's rate, or a dictionary
    ``{"raw" or "array": samples, "sampling_rate": int}``; see :func:`torchless.audio.load_audio`. The windows of
    :func:`torchless.audio.stream_audio` are inputs too, each heard whole. A list is answered by a list. Clips run
    together where that changes nothing: those of one length, and where the model has a mask those of like length.
    Options: :class:`AudioClassificationOptions`.

    Example:
        >>> pipeline("audio-classification", "models/keywords")("yes.wav", top_k=1)      # doctest: +SKIP
        [{'label': 'yes', 'score': 0.9998}]
    """

    task = "audio-classification"
    reads_text = False
    # A clip that was read is held until it is answered: few at a time.
    lookahead = 32
    options_type = AudioClassificationOptions

    def _open(self) -> None:
        self.session = self.bundle.session("model")
        self.extractor = self.bundle.feature_extractor
        given = {spec.name: len(spec.shape) for spec in self.session.inputs}
        found = {spec.name: len(spec.shape) for spec in self.session.outputs}
        name = self.extractor.input_name
        if name not in given or found.get("logits") != 2:
            raise TaskError(
                f"{self.task!r} needs a graph from {name!r} to logits of two dimensions; that of {self.bundle.folder} "
                f"has the inputs {given} and outputs {found} (name: dimensions)"
            )
        if self.extractor.masked is False and "attention_mask" in given:
            raise BundleError(
                f"the graph of {self.bundle.folder} takes a mask that its feature extractor does not give"
            )
        # Samples go through convolutions; features are of one length whatever the clip's.
        self._convolutions = Frames.of(self.bundle.config) if given[name] == 2 else None

    def _is_single(self, inputs: Any, options: AudioClassificationOptions) -> bool:
        single = (str, bytes, bytearray, os.PathLike, Mapping, np.ndarray)
        return isinstance(inputs, single) or hasattr(inputs, "read")

    def _answer(self, items: list[Any], options: AudioClassificationOptions) -> Iterator[Any]:
        for start in range(0, len(items), self.lookahead):
            yield from self._classified(items[start : start + self.lookahead], options)

    def _classified(self, items: list[Any], options: AudioClassificationOptions) -> list[list[dict[str, Any]]]:
        clips = [self._clip(item) for item in items]
        found: list[list[dict[str, Any]]] = [[] for _ in clips]
        for batch in batches(*self._lengths(clips)):
            logits = self.session.run(self.extractor([clips[index] for index in batch]), ["logits"])["logits"]
            for row, index in zip(logits, batch, strict=True):
                found[index] = self._finish(row, options)
        return found

    def _clip(self, item: Any) -> Array:
        """The samples of an input.

        Raises:
            InputError: it cannot be read, or is too short for the model.
        """
        if isinstance(item, Mapping):
            item = {name: value for name, value in item.items() if name not in ("stride", "partial")}
        clip = load_audio(item, self.extractor.sampling_rate)
        least = self.extractor.minimum_samples if self._convolutions is None else self._convolutions.minimum
        if len(clip) < least:
            rate = self.extractor.sampling_rate
            raise InputError(
                f"the sound has {len(clip)} samples at {rate} Hz, and the model hears nothing in fewer than {least} "
                f"({1000 * least / rate:.0f} ms)"
            )
        return clip

    def _lengths(self, clips: list[Array]) -> tuple[list[int], int | None, bool]:
        """What decides which clips run together: see :func:`torchless.speech.ctc_batches.batches`."""
        lengths = [len(clip) for clip in clips]
        if self._convolutions is not None:
            return lengths, self.batch_size, self.extractor.masked and self._convolutions.padded
        fixed = getattr(self.extractor, "chunk_samples", self.extractor.sampling_rate * 10)
        return [fixed] * len(lengths), self.batch_size, False

    def _finish(self, logits: Array, options: AudioClassificationOptions) -> list[dict[str, Any]]:
        labels.check_classes(self.bundle, logits.size)
        scores = labels.scores(self.bundle, logits, options.function_to_apply or "softmax")
        return labels.best(self.bundle, scores, options.top_k)
