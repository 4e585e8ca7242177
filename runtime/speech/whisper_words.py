"""Whisper's tokens as words: between spaces, or single characters where a language is written without them."""

from __future__ import annotations

import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .whisper_languages import UNSPACED

# Marks that belong to the word behind them, and to that before.
_PREPENDED = "\"'“¡¿([{-"
_APPENDED = "\"'.。,，!！?？:：”)]}、"
_REPLACEMENT = "\ufffd"  # what bytes that are no character yet are decoded as

Decode = Callable[[Sequence[int]], str]


@dataclass
class Word:
    """A word and where its tokens are.

    Attributes:
        text: with the space before it.
        places: of its tokens, in order; not empty.
    """

    text: str
    places: list[int]


def split_words(tokens: Sequence[int], decode: Decode, special_from: int, language: str | None) -> list[Word]:
    """The words of a text, each with the punctuation that belongs to it.

    Args:
        tokens: the text's.
        decode: tokens to text.
        special_from: the first token that stands for no text.
        language: the English name of the text's language; None for one with spaces.
    """
    words = _characters(tokens, decode)
    if language not in UNSPACED:
        words = _between_spaces(words, tokens, special_from)
    return _with_punctuation(words)


def _characters(tokens: Sequence[int], decode: Decode) -> list[Word]:
    """The shortest runs of tokens that are whole characters."""
    full = decode(tokens)
    found: list[Word] = []
    places: list[int] = []
    offset = 0
    for place in range(len(tokens)):
        places.append(place)
        text = decode([tokens[place] for place in places])
        # A replacement character that the whole text has in this place too was meant, or never becomes another.
        at = offset + text.index(_REPLACEMENT) if _REPLACEMENT in text else -1
        if at < 0 or (at < len(full) and full[at] == _REPLACEMENT):
            found.append(Word(text, places))
            places = []
            offset += len(text)
    return found


def _between_spaces(parts: list[Word], tokens: Sequence[int], special_from: int) -> list[Word]:
    words: list[Word] = []
    for part in parts:
        special = tokens[part.places[0]] >= special_from
        begins = part.text.startswith(" ") or part.text.strip() in string.punctuation
        if special or begins or not words:
            words.append(Word(part.text, list(part.places)))
        else:
            words[-1].text += part.text
            words[-1].places += part.places
    return words


def _with_punctuation(words: list[Word]) -> list[Word]:
    """Marks joined with the word that they belong to."""
    behind = len(words) - 1
    for place in range(len(words) - 2, -1, -1):
        word = words[place]
        if word.text.startswith(" ") and word.text.strip() in _PREPENDED:
            words[behind] = Word(word.text + words[behind].text, word.places + words[behind].places)
            words[place] = Word("", [])
        else:
            behind = place
    before = 0
    for place in range(1, len(words)):
        word = words[place]
        if not words[before].text.endswith(" ") and word.text in _APPENDED:
            words[before] = Word(words[before].text + word.text, words[before].places + word.places)
            words[place] = Word("", [])
        else:
            before = place
    return [word for word in words if word.text]
