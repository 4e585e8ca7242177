"""The tokens of one clip, taken in chunk by chunk: the best of each frame, or the best sequence of a beam search."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..session import Array
from .ctc_beam import Likely, PrefixBeamSearch, likely, log_softmax
from .ctc_collapse import Emission, collapse
from .ctc_vocabulary import CtcVocabulary

ReadT = TypeVar("ReadT")


class Transcript(ABC, Generic[ReadT]):
    """What was heard of a clip so far."""

    @abstractmethod
    def read(self, logits: Array) -> ReadT:
        """What is kept of logits ``(frames, vocab)``; changes nothing."""

    @abstractmethod
    def add(self, read: ReadT) -> None:
        """Take in what was kept of the frames that follow."""

    @abstractmethod
    def emissions(self) -> list[Emission]:
        """The tokens, with their frames counted from the clip's first."""


class BestPath(Transcript[NDArray[np.int64]]):
    """The best token of each frame, collapsed."""

    def __init__(self, vocabulary: CtcVocabulary) -> None:
        self._vocabulary = vocabulary
        self._frames: list[NDArray[np.int64]] = []

    def read(self, logits: Array) -> NDArray[np.int64]:
        """The best token of each frame, ``(frames,)``."""
        best: NDArray[np.int64] = self._vocabulary.distinct(logits.shape[-1])[logits.argmax(axis=-1)]
        return best

    def add(self, read: NDArray[np.int64]) -> None:
        """Take in further frames."""
        self._frames.append(read)

    def emissions(self) -> list[Emission]:
        """The tokens; a repetition that goes over the joint of two chunks is one."""
        return collapse(np.concatenate(self._frames), self._vocabulary.blank)


class BestPrefix(Transcript[Likely]):
    """The tokens that all their alignments together make likeliest."""

    def __init__(self, vocabulary: CtcVocabulary, width: int) -> None:
        self._vocabulary = vocabulary
        self._search = PrefixBeamSearch(width, vocabulary.blank)

    def read(self, logits: Array) -> Likely:
        """The likely tokens of each frame."""
        found = likely(log_softmax(logits))
        return found._replace(tokens=self._vocabulary.distinct(logits.shape[-1])[found.tokens])

    def add(self, read: Likely) -> None:
        """Take in further frames."""
        self._search.advance(read)

    def emissions(self) -> list[Emission]:
        """The tokens, with the frames of their likeliest alignment."""
        return self._search.best()
