"""Clips of one second with one spoken word, as Speech Commands has them."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, NamedTuple

from . import voices
from .lists import word_lists
from .voices import RATE, Clip

if TYPE_CHECKING:
    from .names import Split

KEYWORDS = ["yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go"]
LABELS = [*KEYWORDS, "_silence_", "_unknown_"]
OTHERS = word_lists("spoken_words.txt")


class Example(NamedTuple):
    """A clip of a second and its label; `text` is empty where nothing is said."""

    clip: Clip
    label: int
    text: str


def word(rng: Random, split: Split) -> tuple[str, int]:
    """What is said, with its label: a keyword in three of four; nothing for silence."""
    kind = rng.random()
    if kind < 0.06:
        return "", LABELS.index("_silence_")
    if kind < 0.25:
        return rng.choice(OTHERS[split]), LABELS.index("_unknown_")
    label = rng.randrange(len(KEYWORDS))
    return KEYWORDS[label], label


def speak(rng: Random, split: Split) -> tuple[Clip, int, str]:
    """A word as a voice of the split says it, without a room; at most 0.95 s."""
    text, label = word(rng, split)
    if not text:
        return voices.silence(rng, RATE)[:0], label, text
    return voices.say(text, voices.voice(rng, split))[: int(0.95 * RATE)], label, text


def record(rng: Random, spoken: tuple[Clip, int, str]) -> Example:
    """The word anywhere in a second of a room's sound."""
    clip, label, text = spoken
    before = rng.randrange(RATE - len(clip) + 1)
    return Example(voices.record(rng, clip, before, RATE - len(clip) - before), label, text)


def make(rng: Random, count: int, split: Split = "train") -> list[Example]:
    """Examples of a split: other voices, speeds, pitches and unknown words in each."""
    return [record(rng, speak(rng, split)) for _ in range(count)]
