"""Made news of three to seven sentences, each with the one sentence that sums it up.

What the summary says is spread over the text, among details that it leaves out.
"""

import zlib
from collections.abc import Callable
from functools import cache
from random import Random
from typing import NamedTuple

from .grammar import SLOT, sentence
from .lists import lines, word_lists
from .names import Split, made_name, names

WORDS = word_lists("news_words.txt")
HELD_OUT = 6  # one of so many combinations of wordings is held out
PAIRED = {"hurt": "hurtsum", "closed": "closedsum", "reason": "reasonsum", "police": "policesum", "why": "whysum"}
PAIRED |= {"event": "eventname"}
SHORT = 11


class Example(NamedTuple):
    """A text and its summary."""

    text: str
    summary: str


class Kind(NamedTuple):
    """A kind of news: its first sentences, the facts that follow in any order, details, and the summary."""

    leads: list[str]
    facts: list[list[str]]
    details: list[list[str]]
    summary: str


@cache
def kinds() -> dict[str, Kind]:
    """The kinds of news."""
    found: dict[str, list[str]] = {}
    for line in lines("news.txt"):
        if line[0] == "#":
            block = found.setdefault(line[2:], [])
        else:
            block.append(line)

    def ways(block: list[str], mark: str) -> list[list[str]]:
        return [line[2:].split(" | ") for line in block if line[0] == mark]

    return {
        name: Kind(ways(block, ">")[0], ways(block, "+"), ways(block, "?"), ways(block, "=")[0][0])
        for name, block in found.items()
    }


@cache
def _pools(split: Split) -> tuple[list[str], list[str], list[str], list[str]]:
    """Given names, family names, towns and companies, of a length and letters that all tokenizers bear."""

    def short(values: list[str], length: int) -> list[str]:
        return [v for v in values if v.isascii() and len(v) <= length and v.replace(" ", "").isalpha()]

    pool = names(split)
    return (
        short(pool.given, SHORT - 3),
        short(pool.family, SHORT - 2),
        short(pool.cities, SHORT),
        short(pool.companies, SHORT + 5),
    )


def _fill(rng: Random, split: Split) -> dict[str, str]:
    """One value for every slot."""
    given, family, cities, companies = _pools(split)

    def city() -> str:
        return rng.choice(cities) if rng.random() < 0.8 else made_name(rng)

    def count(low: int, high: int) -> Callable[[], str]:
        return lambda: str(rng.randint(low, high))

    makers: dict[str, Callable[[], str]] = {
        "person": lambda: f"{rng.choice(given)} {rng.choice(family)}",
        "city": city,
        "company": lambda: rng.choice(companies),
        "number": lambda: rng.choice(WORDS["number"]),
        "hours": lambda: rng.choice(WORDS["number"]),
        "score": lambda: f"{rng.randint(2, 6)}-{rng.randint(0, 1)}",
        "minute": count(50, 89),
        "years": count(13, 90),
        "speed": lambda: str(10 * rng.randint(9, 18)),
        "percent": count(51, 80),
        "jobs": lambda: str(10 * rng.randint(5, 99)),
        "money": lambda: f"{rng.randint(2, 99)} {rng.choice(['thousand', 'million'])}",
        "day": lambda: rng.choice(WORDS["day"]),
    }
    values = {slot: rng.choice(words) for slot, words in WORDS.items() if slot not in makers}
    for slot, make_value in makers.items():
        values[slot], values[f"{slot}2"] = make_value(), make_value()
    for slot, other in PAIRED.items():
        values[slot], _, values[other] = values[slot].partition("/")
    return values


def _say(template: str, values: dict[str, str]) -> str:
    """The template with its slots filled, and those in what fills them."""
    while SLOT.search(template):
        template = SLOT.sub(lambda match: _value(match[0][1:-1], values), template)
    return sentence(template).replace('." said', '," said')


def _value(slot: str, values: dict[str, str]) -> str:
    value = values[slot.lower()]
    return sentence(value) if slot[0].isupper() else value


def _example(rng: Random, split: Split) -> Example | None:
    """A text, or None if its wording belongs to the other split."""
    name = rng.choice(list(kinds()))
    kind, values = kinds()[name], _fill(rng, split)
    lead, *facts = (rng.randrange(len(ways)) for ways in (kind.leads, *kind.facts))
    wording = f"{name} {lead} {facts}".encode()
    if (zlib.crc32(wording) % HELD_OUT == 0) != (split == "test"):
        return None
    said = [ways[fact] for ways, fact in zip(kind.facts, facts, strict=True)]
    said += [rng.choice(ways) for ways in kind.details if rng.random() < 0.6]
    rng.shuffle(said)
    text = " ".join(_say(way, values) for way in [kind.leads[lead], *said])
    return Example(text, _say(kind.summary, values))


def make(rng: Random, count: int, split: Split = "train") -> list[Example]:
    """`count` texts; those of the test have names and combinations of wordings that training never has."""
    found: list[Example] = []
    while len(found) < count:
        if example := _example(rng, split):
            found.append(example)
    return found
