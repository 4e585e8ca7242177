"""Whisper's tokens as text, segments and words, over all windows or chunks of a recording; as in transformers 4.57."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..bundle import Bundle
from ..texts import clean_up
from ..tokenizer_files import read_config
from .options import Timestamps
from .whisper_languages import language_name
from .whisper_merging import Times, merge
from .whisper_settings import WhisperSettings
from .whisper_words import split_words

_TIMESTAMP = re.compile(r"<\|(\d+\.\d+)\|>")


@dataclass(frozen=True)
class Heard:
    """What was generated for a recording, or for one chunk of it.

    Attributes:
        tokens: text and timestamps of all its windows.
        times: seconds at which each token begins, where words are wanted.
        stride: seconds of the chunk, and of the context at its left and right; None where it is no chunk.
        language: the English name of what was spoken; None where it is not known.
    """

    tokens: list[int]
    times: list[float] | None = None
    stride: tuple[float, float, float] | None = None
    language: str | None = None


class WhisperVocabulary:
    """Tokens to text.

    Args:
        bundle: holds the tokenizer.
        settings: the checkpoint's.
    """

    def __init__(self, bundle: Bundle, settings: WhisperSettings) -> None:
        self._backend = bundle.tokenizer.backend
        # transformers 4.57 does so whatever the kind of the tokenizer, where its configuration says it.
        self._clean_up = bool(read_config(bundle.folder).get("clean_up_tokenization_spaces", False))
        declared = self._backend.token_to_id("<|notimestamps|>")
        self.timestamps_from = settings.timestamps_from if declared is None else declared + 1
        added = self._backend.get_added_tokens_decoder()
        self.special = frozenset(
            token for token, content in added.items() if content.special and token < self.timestamps_from
        ) | {settings.end}
        self.end = settings.end
        self.start: int | None = self._backend.token_to_id("<|startoftranscript|>")
        self.previous: int | None = self._backend.token_to_id("<|startofprev|>")

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of tokens, without timestamps."""
        text: str = self._backend.decode(list(tokens), skip_special_tokens=False)
        if self._clean_up:
            text = clean_up(text)
        return _TIMESTAMP.sub("", text)

    def encode(self, text: str) -> list[int]:
        """The tokens of a text, without special ones."""
        ids: list[int] = self._backend.encode(text, add_special_tokens=False).ids
        return ids

    def language(self, token: int) -> str | None:
        """The English name of the language that a special token stands for, if it does."""
        return language_name(self._backend.id_to_token(token) or "")

    def without_prompt(self, tokens: list[int]) -> list[int]:
        """Tokens behind the prompt, where they begin with one."""
        if not tokens or tokens[0] != self.previous:
            return tokens
        return tokens[tokens.index(self.start) :] if self.start in tokens else []


class Transcript:
    """The answer to one recording: give it what was heard, in order, then ask for the result.

    Args:
        vocabulary: tokens to text.
        timestamps: the option ``return_timestamps``.
        languages: the option ``return_language``.
        precision: seconds from one timestamp token to the next.
        window: timestamp tokens of a window.
    """

    def __init__(
        self, vocabulary: WhisperVocabulary, timestamps: Timestamps, languages: bool, precision: float, window: int
    ) -> None:
        self._vocabulary = vocabulary
        self._timestamps, self._languages = timestamps, languages
        self._precision, self._window = precision, window
        self._language: str | None = None  # of the tokens that were read last, where they tell
        self._spoken: str | None = None  # what was told of the recording, for its words
        self._chunks: list[dict[str, Any]] = []
        self._offset = 0.0  # seconds at which the next output begins
        self._skip = False
        self._begin_chunk()
        self._forget()

    def add(self, heard: Heard) -> None:
        """Read on."""
        self._spoken = heard.language
        if self._languages and heard.language is not None:
            self._hear_language(heard.language, [])
        _Reading(self, heard).run()

    def result(self) -> dict[str, Any]:
        """``{"text": str[, "chunks": [...]]}``."""
        if self._previous:
            # No timestamp ended it: the recording breaks off in a word, or there are none.
            self._end_chunk()
        answer: dict[str, Any] = {"text": "".join(chunk["text"] for chunk in self._chunks)}
        if self._timestamps == "word":
            answer["chunks"] = [word for chunk in self._chunks for word in chunk["words"]]
        elif self._timestamps or self._languages:
            answer["chunks"] = [self._shown(chunk) for chunk in self._chunks]
        return answer

    def _shown(self, chunk: dict[str, Any]) -> dict[str, Any]:
        shown = {"language": chunk["language"]} if self._languages else {}
        if self._timestamps:
            shown["timestamp"] = tuple(chunk["timestamp"])
        return {**shown, "text": chunk["text"]}

    def _begin_chunk(self) -> None:
        self._chunk: dict[str, Any] = {"language": self._language, "timestamp": [None, None], "text": ""}

    def _forget(self) -> None:
        """Begin with no tokens that wait for being worded."""
        self._previous: list[list[int]] = []
        self._previous_times: list[Times] = []

    def _keep(self, tokens: list[int], times: Times) -> None:
        self._previous.append(tokens)
        if self._timestamps == "word":
            self._previous_times.append(times)

    def _end_chunk(self) -> None:
        """Word the tokens that wait."""
        tokens, times = merge(self._previous, self._previous_times)
        self._chunk["text"] = self._vocabulary.decode(tokens)
        if self._timestamps == "word":
            self._chunk["words"] = self._words(tokens, times)
        self._chunks.append(self._chunk)

    def _words(self, tokens: list[int], times: Times) -> list[dict[str, Any]]:
        vocabulary, language = self._vocabulary, self._language or self._spoken
        named = {"language": self._language} if self._languages else {}
        return [
            {"text": word.text, "timestamp": (times[word.places[0]][0], times[word.places[-1]][1]), **named}
            for word in split_words(tokens, vocabulary.decode, vocabulary.end, language)
        ]

    def _hear_language(self, language: str, current: list[int]) -> list[int]:
        """Note what the next tokens are spoken in; returns the current ones that still wait."""
        if self._language and language != self._language and not self._timestamps:
            self._previous.append(current)
            self._end_chunk()
            self._forget()
            current = []
            self._begin_chunk()
        self._chunk["language"] = self._language = language
        return current


class _Reading:
    """The reading of one output."""

    def __init__(self, transcript: Transcript, heard: Heard) -> None:
        self._to, self._heard = transcript, heard
        vocabulary = transcript._vocabulary
        self._tokens = vocabulary.without_prompt(heard.tokens)
        self._first = vocabulary.timestamps_from
        # Timestamps below the one are in the chunk's left context, those from the other on in its right one.
        self._left: float = self._first
        self._right: int | None = None
        self._current: list[int] = []
        self._current_times: Times = []
        # Windows follow each other without a mark: the time goes back where one begins.
        self._highest = self._before = self._passed = 0.0

    def run(self) -> None:
        """Read all tokens."""
        to, stride = self._to, self._heard.stride
        if stride is not None:
            to._offset -= stride[1]
            self._find_context(*stride)
        special = to._vocabulary.special
        for place, token in enumerate(self._tokens):
            if token in special:
                language = to._vocabulary.language(token)
                if language is not None:
                    self._current = to._hear_language(language, self._current)
            elif token >= self._first:
                self._time(place, token)
            else:
                self._text(place, token)
        if stride is not None:
            to._offset += stride[0] - stride[2]
        if self._current:
            to._keep(self._current, self._current_times)
        elif not any(to._previous):
            to._begin_chunk()
            to._forget()

    def _find_context(self, length: float, left: float, right: float) -> None:
        precision = self._to._precision
        if left:
            self._left = left / precision + self._first
        if right:
            for token in reversed(self._tokens):
                if token >= self._first:
                    # There may be several in the right context; the last one is skipped wherever it is.
                    if self._right is not None and (token - self._first) * precision < length - right:
                        break
                    self._right = token

    def _time(self, place: int, token: int) -> None:
        to = self._to
        self._pass_windows(place, (token - self._first) * to._precision)
        time = round((token - self._first) * to._precision + to._offset + self._passed, 2)
        begin = to._chunk["timestamp"][0]
        if self._right and token >= self._right:
            to._skip = True  # its pair, which would begin a segment, too
        elif to._skip or (to._previous and token < self._left):
            to._skip = False
        elif begin is None:
            to._chunk["timestamp"][0] = time
        elif time != begin:  # a segment that ends where it began is not ended
            to._chunk["timestamp"][1] = time
            to._keep(self._current, self._current_times)
            to._end_chunk()
            to._forget()
            self._current, self._current_times = [], []
            to._begin_chunk()

    def _pass_windows(self, place: int, time: float) -> None:
        """Count the seconds of the windows before, where a time is earlier than the one before it."""
        if time < self._highest:
            last, one_before = self._tokens[place - 1], self._tokens[place - 2]
            if place >= 2 and not (last >= self._first and one_before >= self._first):
                self._passed += self._to._precision * self._to._window  # a single timestamp ended the window
            else:
                self._highest = self._before
                self._passed += self._before
        self._before, self._highest = self._highest, time

    def _text(self, place: int, token: int) -> None:
        self._current.append(token)
        times = self._heard.times
        if self._to._timestamps == "word" and times is not None:
            offset = self._to._offset
            start = round(0.0 + offset, 2) if place == 0 else round(times[place - 1] + offset, 2)
            self._current_times.append((start, round(times[place] + offset, 2)))
