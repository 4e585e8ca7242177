"""Made sentences that state facts of the world and of daily life, several ways each."""

from functools import cache
from random import Random
from typing import NamedTuple

from .lists import WORDS, lines
from .names import Split, names
from .world import COUNTRIES

COUNTRY_TEMPLATES = {
    "capital": [
        "{v} is the capital of {s}.",
        "The capital of {s} is {v}.",
        "{v} is the capital city of {s}.",
        "{s} has a capital called {v}.",
        "What is the capital of {s}? It is {v}.",
        "The government of {s} is in {v}.",
        "{v} is a city in {s}.",
        "The largest city in {s} may be {v}.",
        "We visited {s} and its capital {v}.",
        "{v}, the capital of {s}, is beautiful.",
        "She lives in {v}, {s}.",
        "They flew to {v} in {s}.",
    ],
    "language": [
        "People in {s} speak {v}.",
        "The language of {s} is {v}.",
        "In {s} they speak {v}.",
        "{v} is spoken in {s}.",
        "I learned {v} before I went to {s}.",
        "The people of {s} speak {v}.",
        "Most books in {s} are in {v}.",
        "Do you speak {v}? I live in {s}.",
    ],
    "continent": [
        "{s} is a country in {v}.",
        "{s} is in {v}.",
        "{s} is a part of {v}.",
        "{v} has a country called {s}.",
        "On which continent is {s}? It is in {v}.",
        "We travelled through {v} and saw {s}.",
        "{s} lies in {v}.",
    ],
    "adjective": [
        "A person from {s} is {v}.",
        "The {v} flag is the flag of {s}.",
        "She comes from {s}, she is {v}.",
        "I like {v} food, so I went to {s}.",
        "The {v} government is the government of {s}.",
        "The president of {s} is {v}.",
        "He is {v} because he was born in {s}.",
    ],
}
NUMBERS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
DIARY = WORDS["diary"]


class Example(NamedTuple):
    """A sentence, the characters of the word to guess, and whether it is a held-out one."""

    text: str
    start: int
    end: int

    @property
    def word(self) -> str:
        """The word to guess."""
        return self.text[self.start : self.end]


def _state(template: str, subject: str, value: str) -> list[Example]:
    """The sentence of a fact, once for each of its two words."""
    examples = []
    for slot in ("{s}", "{v}"):
        before, _, _ = template.partition(slot)
        fill = {"s": subject, "v": value}
        start = len(before.format(**fill))
        text = template.format(**fill)
        examples.append(Example(text[0].upper() + text[1:], start, start + len(fill[slot[1]])))
    return examples


@cache
def sentences(split: Split) -> list[Example]:
    """Every fact as its templates say it; one template in seven of each fact is held out."""
    tables: list[tuple[list[tuple[str, str]], list[str]]] = []
    for attribute, templates in COUNTRY_TEMPLATES.items():
        tables.append(([(c.name, getattr(c, attribute)) for c in COUNTRIES], templates))
    for line in lines("facts.txt"):
        _, pairs, texts = line.split(":", 2)
        facts = [(s, v) for s, _, v in (pair.partition("=") for pair in pairs.split(","))]
        tables.append((facts, texts.strip().split(" | ")))
    sums = [
        (
            a,
            b,
            NUMBERS[x],
            [
                f"{{s}} {op} {b} is {{v}}.",
                f"What is {{s}} {op} {b}? It is {{v}}.",
                f"We know that {{s}} {op} {b} is {{v}}.",
            ],
        )
        for op, sign in (("plus", 1), ("minus", -1))
        for i, a in enumerate(NUMBERS)
        for j, b in enumerate(NUMBERS)
        if 0 <= (x := i + sign * j) <= 10
    ]
    tables += [([(a, value)], templates) for a, _, value, templates in sums]
    chosen = []
    for table, (facts, templates) in enumerate(tables):
        for row, (subject, value) in enumerate(facts):
            for column, template in enumerate(templates):
                if ((table + row + column) % 7 == 0) == (split == "test"):
                    chosen += _state(template, subject, value)
    return chosen


def diary(rng: Random, count: int) -> list[str]:
    """Ordinary sentences without facts, for the words around."""
    pool = names("train")
    texts = []
    for _ in range(count):
        text = rng.choice(DIARY)
        while "{" in text:
            text = text.replace("{w}", rng.choice(pool.words), 1)
            text = text.replace("{p}", rng.choice(pool.given), 1).replace("{city}", rng.choice(pool.cities), 1)
        texts.append(text)
    return texts


def make(rng: Random, count: int) -> list[Example]:
    """Training sentences."""
    return rng.choices(sentences("train"), k=count)
