"""Spoken sentences of a small grammar."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from random import Random
from typing import TYPE_CHECKING, NamedTuple

from . import voices
from .grammar import Source, phrase
from .lists import word_lists
from .voices import RATE, Clip

if TYPE_CHECKING:
    from .names import Split

BANK: Mapping[str, Source] = word_lists("spoken_sentences.txt")
KINDS = ("order", "travel", "talk")
# The characters of facebook/wav2vec2-base-960h, in its order.
CHARACTERS = "<pad> <s> </s> <unk> | E T A O N I H S R D L U M W C F G Y P B V K ' X J Q Z".split()


class Example(NamedTuple):
    """A clip and what is said in it, in capitals."""

    clip: Clip
    text: str


def sentence(rng: Random, split: Split) -> str:
    """A sentence of a split: one in eight is held out."""
    while True:
        text = phrase(rng, f"{{{rng.choice(KINDS)}}}", BANK)
        if (zlib.crc32(text.encode()) % 8 == 0) == (split == "test"):
            return text


def words(rng: Random, longest: int) -> str:
    """A few words on end out of a sentence of training."""
    found = sentence(rng, "train").split()
    count = rng.randint(1, longest)
    start = rng.randrange(max(1, len(found) - count + 1))
    return " ".join(found[start : start + count])


def speak(rng: Random, text: str, split: Split) -> Example:
    """The text as a voice of the split says it, without a room."""
    return Example(voices.say(text, voices.voice(rng, split)), text.upper())


def record(rng: Random, spoken: Example) -> Example:
    """The same in a room, with up to 0.4 s of its sound before and after."""
    before, after = rng.randrange(int(0.4 * RATE)), rng.randrange(int(0.4 * RATE))
    return Example(voices.record(rng, spoken.clip, before, after), spoken.text)


def make(rng: Random, count: int, split: Split = "train") -> list[Example]:
    """Examples of a split: other sentences, voices, speeds and pitches in each."""
    return [record(rng, speak(rng, sentence(rng, split), split)) for _ in range(count)]
