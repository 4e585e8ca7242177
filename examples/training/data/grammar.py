"""Template expansion that records where every slot's text ends up."""

import re
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import NamedTuple

Source = Sequence[str] | Callable[[Random], str]
Bank = Mapping[str, Source]

SLOT = re.compile(r"(\{\w+\})")


class Span(NamedTuple):
    """The characters that one slot of a template was replaced with."""

    slot: str
    start: int
    end: int


def expand(rng: Random, template: str, bank: Bank) -> tuple[str, list[Span]]:
    """Replace each `{slot}` by a random value of `bank[slot]`, whose own slots are expanded in turn."""
    text = ""
    spans: list[Span] = []
    for piece in SLOT.split(template):
        if not SLOT.fullmatch(piece):
            text += piece
            continue
        slot = piece[1:-1]
        source = bank[slot]
        value = source(rng) if callable(source) else rng.choice(source)
        value, inner = expand(rng, value, bank)
        spans.append(Span(slot, len(text), len(text) + len(value)))
        spans.extend(Span(s.slot, s.start + len(text), s.end + len(text)) for s in inner)
        text += value
    return text, spans


def phrase(rng: Random, template: str, bank: Bank) -> str:
    """Expand a template where only the text matters."""
    return expand(rng, template, bank)[0]


def sentence(text: str) -> str:
    """Capitalise the first letter, leaving the rest as it is."""
    return text[:1].upper() + text[1:]
