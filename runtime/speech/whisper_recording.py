"""A recording while Whisper reads it window by window: where it is, and what it has heard so far."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .whisper_decoding import LOW_TEMPERATURE, Attempt, Wanted
from .whisper_settings import WhisperSettings
from .whisper_start import continued
from .whisper_text import Heard, WhisperVocabulary
from .whisper_timestamps import FRAMES_PER_TIMESTAMP, TIME_PRECISION, split

Floats = NDArray[np.float32]


class Recording:
    """One recording, or chunk of one.

    Args:
        features: (mels, frames), of one window at least.
        sounding: how many of the frames hold sound.
        first: tokens that each window's text begins with; None for the language, where it has to be found out.
        prompt: tokens that are taken for what was said before.
        stride: seconds of the chunk and of the context at its ends; None where it is no chunk.
        wanted: what is asked of it.
        settings: the checkpoint's.
    """

    def __init__(
        self,
        features: Floats,
        sounding: int,
        first: Sequence[int | None],
        prompt: list[int] | None,
        stride: tuple[float, float, float] | None,
        wanted: Wanted,
        settings: WhisperSettings,
    ) -> None:
        self.wanted = wanted
        self._features, self._sounding = features, sounding
        self._first = list(first)
        self._prompt, self._stride, self._settings = prompt, stride, settings
        self._place = 0  # the frame that the next window begins with
        self._segments: list[list[int]] = []
        self._times: list[float] = []
        self._every_window = wanted.options.prompt_condition_type == "all-segments"
        # What the next window continues; a prompt for the first one is the first of it.
        self._before: list[list[int]] = []
        if prompt is not None and not self._every_window:
            self._before.append(prompt[1:] if prompt[0] == settings.previous else prompt)
        self._continues = bool(wanted.options.condition_on_prev_tokens)
        # As in transformers, a recording of which a window had to be drawn goes on without a beam search.
        self.beams = True

    @property
    def first(self) -> list[int]:
        """The tokens that each window's text begins with, but for what was said before."""
        return [token for token in self._first if token is not None]

    @property
    def language_unknown(self) -> bool:
        """Whether the language has to be found out."""
        return None in self._first

    @property
    def done(self) -> bool:
        """Whether all of it was heard."""
        return self._place >= int(self._features.shape[1])

    @property
    def sounding(self) -> int:
        """How many frames hold sound from here on; negative behind the last one."""
        return self._sounding - self._place

    def set_language(self, token: int) -> None:
        """Note the language's token."""
        self._first[self._first.index(None)] = token

    def window(self) -> Floats:
        """The next window's features, (mels, frames), with zeros behind the end."""
        window = self._features[:, self._place : self._place + self._settings.frames]
        missing = self._settings.frames - window.shape[1]
        return np.pad(window, ((0, 0), (0, missing))) if missing else window

    def begin(self) -> list[int]:
        """The tokens that the next window's text begins with."""
        settings = self._settings
        if self._continues and self._before:
            if self._prompt is not None and self._every_window:
                before = self._prompt
            else:
                before = [] if settings.previous is None else [settings.previous]
            return continued(self._before, before, settings) + self.first
        return [*(self._prompt or ()), *self.first]

    def take(self, attempt: Attempt, times: Floats | None) -> None:
        """Note what was said in the window, and go on to the next one.

        Args:
            attempt: the window's tokens.
            times: when each was spoken, in seconds from the window's begin, where that is wanted.
        """
        frames = min(self._features.shape[1] - self._place, self._settings.frames)
        cool = attempt.temperature is None or attempt.temperature < LOW_TEMPERATURE
        self._continues = self.wanted.condition and cool
        self.beams &= not attempt.temperature
        if attempt.skip:
            self._place += frames
            return
        segments, covered = split(attempt.tokens, self._settings.timestamps_from, frames)
        offset = np.float32(self._place * TIME_PRECISION / FRAMES_PER_TIMESTAMP)
        for segment in segments:
            tokens = attempt.tokens[segment]
            self._segments.append(tokens)
            self._before.append(tokens)
            if times is not None:
                self._times += (times[segment] + offset).tolist()
        # Text whose last pair of timestamps is at the window's begin would be heard again and again.
        self._place += covered or frames

    def heard(self, vocabulary: WhisperVocabulary) -> Heard:
        """All that was said."""
        tokens = [token for segment in self._segments for token in segment]
        language = vocabulary.language(self.first[1]) if len(self.first) > 1 else None
        return Heard(tokens, self._times if self.wanted.words else None, self._stride, language)
