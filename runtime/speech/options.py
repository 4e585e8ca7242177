"""The options of speech recognition, and which kind of model each is for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from math import isfinite
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..errors import OptionError
from ..generation.config import GenerationConfig

Timestamps: TypeAlias = bool | Literal["word", "char"] | None

# What only one kind of model has a meaning for, and why the other refuses it.
_CTC_ONLY = {"beam_width": "a model that generates has num_beams"}
_GENERATION_ONLY = (
    "language", "task", "prompt_ids", "prompt", "prompt_condition_type", "condition_on_prev_tokens", "temperature",
    "compression_ratio_threshold", "logprob_threshold", "no_speech_threshold", "num_segment_frames", "return_language",
)  # fmt: skip
_CONDITIONS = ("first-segment", "all-segments")
_TIMESTAMPS = (None, False, True, "word", "char")


@dataclass(frozen=True)
class SpeechOptions:
    """Options of speech recognition; for a model that generates, those of its generation come on top.

    Attributes:
        return_timestamps: ``"word"`` or ``"char"`` (CTC only) for times of each, True for times of Whisper's segments,
            which also lets Whisper hear more than 30 seconds; None or False for the text alone.
        chunk_length_s: seconds of the overlapping chunks into which a recording is cut, which are recognized side by
            side; None or 0 leaves it whole.
        stride_length_s: seconds of a chunk that are only context, at both ends or at the (left, right) end; None takes
            a sixth of the chunk.
        beam_width: for CTC, hypotheses of a beam search; None or 1 takes the best symbol of each frame.
        language: what is spoken, as a code ("de"), name ("german") or token; None lets Whisper tell.
        task: ``"transcribe"``, or ``"translate"`` into English.
        prompt_ids: token ids (length,) that Whisper takes for what was said before.
        prompt: the same as a text.
        prompt_condition_type: whether the prompt precedes the ``"first-segment"`` only, or ``"all-segments"``.
        condition_on_prev_tokens: whether each 30 seconds are heard as the continuation of those before.
        temperature: of sampling, 0 for none; several, of which the next is tried where the thresholds say that a
            segment failed.
        compression_ratio_threshold: a segment whose tokens zlib makes smaller by more than this failed: it repeats.
        logprob_threshold: a segment whose tokens have a lower mean log-probability failed.
        no_speech_threshold: a failed segment that is silent with more than this probability is skipped; needs
            ``logprob_threshold``.
        num_segment_frames: feature frames of a segment; only the model's own number is possible.
        return_language: whether each chunk says its language.
        seed: of sampling: an integer, with which a call always draws the same, or a NumPy generator; None draws afresh.
        generate_kwargs: options of this list and of the generation in one dictionary, as transformers takes them.
        generation_config: takes the place of the checkpoint's generation options.
    """

    return_timestamps: Timestamps = None
    chunk_length_s: float | None = None
    stride_length_s: float | tuple[float, float] | None = None
    beam_width: int | None = None
    language: str | None = None
    task: str | None = None
    prompt_ids: Sequence[int] | NDArray[np.integer[Any]] | None = None
    prompt: str | None = None
    prompt_condition_type: str | None = None
    condition_on_prev_tokens: bool | None = None
    temperature: float | tuple[float, ...] | None = None
    compression_ratio_threshold: float | None = None
    logprob_threshold: float | None = None
    no_speech_threshold: float | None = None
    num_segment_frames: int | None = None
    return_language: bool | None = None
    seed: int | np.random.Generator | None = None
    generate_kwargs: Mapping[str, Any] | None = None
    generation_config: GenerationConfig | None = None

    def __post_init__(self) -> None:
        if not any(self.return_timestamps is choice for choice in _TIMESTAMPS[:3]) and not (
            isinstance(self.return_timestamps, str) and self.return_timestamps in _TIMESTAMPS
        ):
            raise OptionError(f"return_timestamps must be one of {_TIMESTAMPS}, not {self.return_timestamps!r:.80}")
        self._check_lengths()
        self._check_texts()
        for name in ("condition_on_prev_tokens", "return_language"):
            if not isinstance(getattr(self, name), bool | None):
                raise OptionError(f"{name} must be True or False, not {getattr(self, name)!r:.80}")
        for name in ("compression_ratio_threshold", "logprob_threshold", "no_speech_threshold"):
            if getattr(self, name) is not None:
                _number(name, getattr(self, name), low=float("-inf"))
        for temperature in self.temperatures:
            if temperature is not None:
                _number("temperature", temperature)
        self._check_generation()

    @property
    def temperatures(self) -> tuple[float | None, ...]:
        """The temperatures to try, at least one; None is greedy like 0."""
        if isinstance(self.temperature, (list, tuple)):
            return tuple(self.temperature)
        return (self.temperature,)

    @property
    def chunked(self) -> bool:
        """Whether recordings are cut into overlapping chunks."""
        return bool(self.chunk_length_s)

    def refuse(self, *, generates: bool) -> None:
        """Check that every option has a meaning for the model.

        Args:
            generates: whether it is one that generates text, and not a CTC model.

        Raises:
            OptionError: an option is one of the other kind of model.
        """
        if generates:
            for name, instead in _CTC_ONLY.items():
                if getattr(self, name) is not None:
                    raise OptionError(f"{name} is for CTC models; {instead}")
            return
        for name in _GENERATION_ONLY:
            if getattr(self, name) is not None:
                raise OptionError(f"{name} is for models that generate text, such as Whisper; this is a CTC model")
        if self.generation_config is not None:
            raise OptionError("generation_config is for models that generate text; this is a CTC model")

    def _check_lengths(self) -> None:
        if self.chunk_length_s is not None:
            _number("chunk_length_s", self.chunk_length_s)
        if self.stride_length_s is not None:
            pair = isinstance(self.stride_length_s, (list, tuple))
            sides: Any = self.stride_length_s if pair else (self.stride_length_s,) * 2
            if len(sides) != 2:
                raise OptionError(f"stride_length_s must be seconds or (left, right), not {self.stride_length_s!r:.80}")
            for side in sides:
                _number("stride_length_s", side)
            if not self.chunked:
                raise OptionError(f"stride_length_s={self.stride_length_s} has no effect without chunk_length_s")
        for name in ("beam_width", "num_segment_frames"):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1):
                raise OptionError(f"{name} must be an integer of at least 1, not {value!r:.80}")

    def _check_texts(self) -> None:
        for name in ("language", "task", "prompt", "prompt_condition_type"):
            value = getattr(self, name)
            if value is not None and not (isinstance(value, str) and value.strip()):
                raise OptionError(f"{name} must be a text, not {value!r:.80}")
        if self.prompt_condition_type not in (None, *_CONDITIONS):
            raise OptionError(f"prompt_condition_type must be one of {_CONDITIONS}, not {self.prompt_condition_type!r}")
        if self.prompt is not None and self.prompt_ids is not None:
            raise OptionError("prompt and prompt_ids are the same, one as a text: give one of them")
        if self.prompt_ids is not None:
            ids = np.asarray(self.prompt_ids)
            if ids.ndim != 1 or not ids.size or ids.dtype.kind not in "iu" or ids.min() < 0:
                raise OptionError(f"prompt_ids must be token ids (length,), at least one, not {self.prompt_ids!r:.80}")

    def _check_generation(self) -> None:
        if not self.temperatures:
            raise OptionError("temperature must be a number or several, not an empty list")
        if not isinstance(self.generation_config, GenerationConfig | None):
            raise OptionError(f"generation_config must be a GenerationConfig, not {self.generation_config!r:.80}")
        if not isinstance(self.generate_kwargs, Mapping | None):
            raise OptionError(f"generate_kwargs must be a dictionary of options, not {self.generate_kwargs!r:.80}")
        if isinstance(self.seed, int) and not isinstance(self.seed, bool) and self.seed >= 0:
            object.__setattr__(self, "seed", np.random.default_rng(self.seed))
        elif self.seed is not None and not isinstance(self.seed, np.random.Generator):  # numpy.random loads slowly
            raise OptionError(f"seed must be an integer of at least 0 or a NumPy generator, not {self.seed!r:.80}")


OWN_OPTIONS = frozenset(field.name for field in fields(SpeechOptions))


def _number(name: str, value: Any, low: float = 0.0) -> None:
    """Raise OptionError where a value is no finite number, or smaller than ``low``."""
    number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    if not number or not isfinite(value) or value < low:
        wanted = "a finite number" if low == float("-inf") else f"a finite number of at least {low:g}"
        raise OptionError(f"{name} must be {wanted}, not {value!r:.80}")
