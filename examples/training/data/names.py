"""Names of people, places and companies, split by name into a training and a held-out part."""

import re
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from random import Random
from typing import Literal

from faker import Faker
from faker.providers.lorem.en_US import Provider as EnglishWords

from .lists import WORDS
from .world import CITIES, COMPANIES, COUNTRIES, GIVEN_NAMES

Split = Literal["train", "test"]

LOCALES = WORDS["locales"]
LATIN_NAME = re.compile(r"[A-Za-zÀ-ž][A-Za-zÀ-ž' -]+")
ONSETS = WORDS["onsets"]
VOWELS = ["a", "e", "i", "o", "u", "a", "e", "i", "o", "ai", "ea", "ia", "io", "oo", "ou", "y"]
CODAS = ["", "", "", "n", "r", "s", "l", "x", "ck", "m", "nd", "rt", "th", "t"]


@dataclass(frozen=True)
class Names:
    """The names that one split may use."""

    given: list[str]
    family: list[str]
    cities: list[str]
    companies: list[str]
    words: list[str]

    def person(self, rng: Random) -> str:
        """A full name, or a given name alone."""
        given = rng.choice(self.given) if rng.random() < 0.8 else made_name(rng)
        if rng.random() < 0.3:
            return given
        family = rng.choice(self.family) if rng.random() < 0.8 else made_name(rng)
        if rng.random() < 0.06:
            return f"{given} {rng.choice('ABCDEFGHJKLMPRSTW')}. {family}"
        return f"{given} {family}"

    def city(self, rng: Random) -> str:
        """A town, real or made up."""
        return rng.choice(self.cities) if rng.random() < 0.8 else made_name(rng)

    def company(self, rng: Random) -> str:
        """A company, real or made up."""
        kind = rng.random()
        if kind < 0.4:
            return rng.choice(self.companies)
        stem = made_name(rng) if kind < 0.7 else rng.choice(self.family)
        if rng.random() < 0.15:
            stem += made_name(rng)
        ending = [
            "",
            " Inc.",
            " Ltd",
            " Group",
            " Labs",
            " Corporation",
            " Systems",
            " AG",
            " Bank",
            " Motors",
        ]
        return stem + rng.choice(ending)


def made_name(rng: Random) -> str:
    """A pronounceable name that no list holds."""
    syllables = rng.choice([1, 2, 2, 2, 3])
    return "".join(rng.choice(ONSETS) + rng.choice(VOWELS) + rng.choice(CODAS) for _ in range(syllables)).capitalize()


def _draw(locales: Iterable[str], method: str, count: int) -> set[str]:
    """Up to `count` different values of a Faker method for each locale."""
    values: set[str] = set()
    for locale in locales:
        fake = Faker(locale)
        fake.seed_instance(0)
        draw: Callable[[], str] = getattr(fake, method)
        values.update(draw() for _ in range(count))
    return {value for value in values if LATIN_NAME.fullmatch(value)}


def _part(values: Iterable[str], split: Split) -> list[str]:
    """A tenth of the values is held out, chosen by a hash of the name."""
    return [v for v in sorted(set(values)) if (zlib.crc32(v.encode()) % 10 == 0) == (split == "test")]


@cache
def names(split: Split) -> Names:
    """The names of a split."""
    companies = _draw(LOCALES, "company", 150)
    # Faker keeps Italy's towns in a set, whose order no seed fixes.
    cities = _draw([locale for locale in LOCALES if locale != "it_IT"], "city", 150)
    return Names(
        given=_part(_draw(LOCALES, "first_name", 300) | set(GIVEN_NAMES), split),
        family=_part(_draw(LOCALES, "last_name", 300), split),
        cities=_part(cities | set(CITIES) | {c.capital for c in COUNTRIES}, split),
        companies=_part({c for c in companies if len(c) < 28} | set(COMPANIES), split),
        words=sorted({word for word in EnglishWords.word_list if len(word) > 2}),
    )


@cache
def gendered_names(split: Split, girl: bool) -> list[str]:
    """Given names of a split that only girls, or only boys, have; short ones of ASCII letters."""
    drawn = [_draw(LOCALES, f"first_name_{gender}", 150) for gender in ("male", "female")]
    own, other = drawn[girl], drawn[not girl]
    return _part({name for name in own - other if name.isascii() and name.isalpha() and 2 < len(name) < 9}, split)
