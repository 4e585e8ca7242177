"""Speech to text: CTC models, and models that generate such as Whisper."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, ClassVar, Protocol

import numpy as np

from ..audio import load_audio
from ..errors import InputError, OptionError, TaskError
from ..generation.config import GenerationConfig
from ..generation.options import CHECKS
from ..speech.chunks import Clip
from ..speech.options import OWN_OPTIONS, SpeechOptions
from .base import Pipeline
from .generating import GENERATION_TYPES
from .generation_options import GenerationOptions, compose

# What comes with a clip of a live stream and goes out with its answer: whether a later clip replaces this one.
_CARRIED = ("partial",)


class Recognizer(Protocol):
    """What turns clips into texts."""

    def recognize(
        self, clips: Iterable[Clip], options: SpeechOptions, batch_size: int | None
    ) -> Iterator[dict[str, Any]]:
        """The answers to clips, in order."""


class _Generating(Recognizer, Protocol):
    def check(self, options: SpeechOptions) -> None:
        """Raise OptionError where the model cannot do what the options ask for."""


class AutomaticSpeechRecognitionPipeline(Pipeline[SpeechOptions]):
    """What is said in a recording: ``{"text": str[, "chunks": list]}``.

    With ``return_timestamps`` or ``return_language`` the answer has ``"chunks"``: ``[{"text": str, "timestamp":
    (start, end), "language": str}]``, in seconds.

    An input is a path, the bytes of a file, a file object, an array of samples at the model's rate, or a dictionary
    ``{"raw" or "array": samples, "sampling_rate": int}``; a windowed stream (:func:`torchless.audio.stream_audio`) adds
    ``"stride"``, the samples at both ends that are only context, and ``"partial"``, which the answer hands back. Read a
    live stream with ``batch_size=1``, so that each window is answered as it comes.

    Models with a CTC head take recordings whole or in chunks (``chunk_length_s``). Whisper hears 30 seconds at a time:
    longer recordings are read one segment after the other (``return_timestamps=True``) or in chunks side by side.
    Options: :class:`torchless.speech.options.SpeechOptions` and, for a model that generates, those of
    :class:`torchless.generation.GenerationConfig`. As in the pipeline of transformers 4.57, generation has 5 beams and
    at most 256 new tokens where neither the call nor the checkpoint says anything.

    Example:
        >>> transcribe = pipeline("automatic-speech-recognition", "models/whisper-tiny")      # doctest: +SKIP
        >>> transcribe("speech.flac", return_timestamps=True)      # doctest: +SKIP
        {'text': ' Hello.', 'chunks': [{'text': ' Hello.', 'timestamp': (0.0, 1.2)}]}
    """

    task = "automatic-speech-recognition"
    reads_text = False
    # A clip that was read is held until it is answered: few at a time.
    lookahead = 16
    options_type = SpeechOptions
    defaults: ClassVar[Mapping[str, Any]] = {"max_new_tokens": 256, "num_beams": 5}

    @classmethod
    def option_types(cls) -> dict[str, str]:
        """The task's options and those of generation by name, each with its declared type."""
        return GENERATION_TYPES | super().option_types()

    def _open(self) -> None:
        roles = self.bundle.dtypes
        self.generates = "encoder_model" in roles
        if not self.generates and "model" not in roles:
            raise TaskError(f"{self.task!r} needs a CTC model or an encoder-decoder; {self.bundle.folder} has {roles}")
        self._checkpoint = self.bundle.generator().config if self.generates else GenerationConfig()
        self._check: Callable[[SpeechOptions], None] | None = None
        self.recognizer: Recognizer
        if self.generates:
            generating = self._generating()
            self.recognizer, self._check = generating, generating.check
        else:
            from ..speech.ctc import CtcRecognizer

            self.recognizer = CtcRecognizer(self.bundle)
        self._rate = self.bundle.feature_extractor.sampling_rate

    def _generating(self) -> _Generating:
        if self.bundle.config.get("model_type") == "whisper":
            from ..speech.whisper import WhisperRecognizer

            return WhisperRecognizer(self.bundle)
        from ..speech.seq2seq import Seq2SeqRecognizer

        return Seq2SeqRecognizer(self.bundle)

    def _is_single(self, inputs: Any, options: SpeechOptions) -> bool:
        single = (str, bytes, bytearray, os.PathLike, Mapping, np.ndarray)
        return isinstance(inputs, single) or hasattr(inputs, "read")

    def _check_names(self, given: Mapping[str, Any]) -> None:
        every = _flat(given)
        for unknown in every.keys() - OWN_OPTIONS - set(CHECKS):
            try:
                GenerationConfig().replace(**{unknown: every[unknown]})  # knows what changes nothing
            except OptionError as error:
                own = ", ".join(sorted(OWN_OPTIONS))
                raise OptionError(f"{error}; {self.task} also has the options {own}") from error

    def _options(self, given: Mapping[str, Any]) -> SpeechOptions:
        self._check_names(given)
        before, now = _flat(self._given), _flat(given)
        if "max_length" in now:
            before.pop("max_new_tokens", None)
        merged = before | now
        options = SpeechOptions(**{name: value for name, value in merged.items() if name in OWN_OPTIONS})
        options.refuse(generates=self.generates)
        wishes = {name: value for name, value in merged.items() if name in CHECKS and name not in OWN_OPTIONS}
        if self.generates:
            options = replace(options, generation_config=self._generation(options, wishes))
        elif wishes:
            raise OptionError(f"{min(wishes)} is for models that generate text; this is a CTC model")
        if self._check is not None:
            self._check(options)
        return options

    def _generation(self, options: SpeechOptions, wishes: Mapping[str, Any]) -> GenerationConfig:
        """How to generate, but for what the temperatures decide."""
        declared = self.bundle.config.get("task_specific_params")
        specific = declared.get(self.task) if isinstance(declared, Mapping) else None
        given = GenerationOptions(generation_config=options.generation_config)
        return compose(self._checkpoint, given, wishes, specific=dict(specific or {}), defaults=self.defaults, pad=None)

    def _answer(self, items: list[Any], options: SpeechOptions) -> Iterator[Any]:
        inputs = [_Input(item) for item in items]
        clips = (self._clip(one) for one in inputs)
        for one, answer in zip(inputs, self.recognizer.recognize(clips, options, self.batch_size), strict=True):
            yield {**answer, **one.carried}

    def _clip(self, one: _Input) -> Clip:
        """The recording of an input, read only when its turn comes."""
        samples = load_audio(one.sound, self._rate)
        if one.stride is None:
            return Clip(samples)
        ratio = self._rate / one.sound["sampling_rate"]
        return Clip(samples, (round(one.stride[0] * ratio), round(one.stride[1] * ratio)))


class _Input:
    """An input: its sound, and what came with it.

    Raises:
        InputError: a malformed stride.
    """

    def __init__(self, item: Any) -> None:
        self.sound: Any = item
        self.stride: tuple[int, int] | None = None
        self.carried: dict[str, Any] = {}
        if isinstance(item, Mapping):
            self.sound = {name: value for name, value in item.items() if name not in ("stride", *_CARRIED)}
            # As in transformers, one value for each chunk that was heard.
            self.carried = {name: [item[name]] for name in _CARRIED if name in item}
            if item.get("stride") is not None:
                self.stride = _stride(item["stride"])


def _stride(value: Any) -> tuple[int, int]:
    whole = isinstance(value, (tuple, list)) and len(value) == 2
    if not whole or any(isinstance(side, bool) or not isinstance(side, (int, np.integer)) for side in value):
        raise InputError(f"stride must be two numbers of samples, (left, right), not {value!r:.80}")
    return int(value[0]), int(value[1])


def _flat(given: Mapping[str, Any]) -> dict[str, Any]:
    """Options with those of ``generate_kwargs`` among them.

    Raises:
        OptionError: an option is given in both places.
    """
    nested = given.get("generate_kwargs")
    if nested is None:
        return {name: value for name, value in given.items() if name != "generate_kwargs"}
    if not isinstance(nested, Mapping):
        raise OptionError(f"generate_kwargs must be a dictionary of options, not {nested!r:.80}")
    if twice := sorted(nested.keys() & given.keys() | nested.keys() & {"generate_kwargs"}):
        raise OptionError(f"{twice[0]} is given twice, once in generate_kwargs")
    return {**{name: value for name, value in given.items() if name != "generate_kwargs"}, **nested}
