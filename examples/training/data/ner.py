"""Made sentences with CoNLL's four types of named entities."""

from random import Random
from typing import NamedTuple

from .grammar import Source, Span, expand
from .lists import WORDS, lines
from .names import Names, Split, made_name, names
from .qa import ADJECTIVES, DAYS, FOODS, JOBS, MONTHS, NOUNS, THINGS
from .world import COUNTRIES, OTHER_COUNTRIES

TYPES = ("PER", "ORG", "LOC", "MISC")
LABELS = ["O", *(f"{prefix}-{kind}" for kind in TYPES for prefix in "BI")]

TITLES = WORDS["titles"]
GEOGRAPHY = {
    "{x} {k}": WORDS["landforms_after"],
    "{k} {x}": WORDS["landforms_before"],
}
REGIONS = WORDS["regions"]
INSTITUTIONS = WORDS["institutions"]
ORGANISATION = WORDS["organisation"]
EVENTS = WORDS["events"]
MADE_EVENT = WORDS["made_event"]
PEOPLES = WORDS["peoples"]
VERBS = WORDS["verbs_ner"]


def bank_of(pool: Names) -> dict[str, Source]:
    """The values of the entity slots, in capitals, and of the ordinary words."""

    def word(rng: Random) -> str:
        return rng.choice(pool.words).title()

    def stem(rng: Random) -> str:
        return rng.choice([pool.city(rng), pool.city(rng), made_name(rng), rng.choice(pool.family)])

    def made(rng: Random, forms: list[str]) -> str:
        slots: dict[str, Source] = {"x": stem, "w": word, "n": lambda r: str(r.randint(2, 900))}
        return expand(rng, rng.choice(forms), slots)[0]

    def person(rng: Random) -> str:
        kind = rng.random()
        if kind < 0.1:
            return rng.choice(pool.family)
        if kind < 0.15:
            return f"{rng.choice('ABCDEFGHJKLMPRST')}. {rng.choice(pool.family)}"
        return pool.person(rng)

    def place(rng: Random) -> str:
        kind = rng.random()
        if kind < 0.4:
            return pool.city(rng)
        if kind < 0.65:
            return rng.choice([rng.choice(COUNTRIES).name, rng.choice(OTHER_COUNTRIES)])
        if kind < 0.8:
            return rng.choice(REGIONS)
        if kind < 0.83:
            return made_name(rng).upper()
        form, kinds = rng.choice(list(GEOGRAPHY.items()))
        return form.format(x=stem(rng), k=rng.choice(kinds))

    def organisation(rng: Random) -> str:
        kind = rng.random()
        if kind < 0.5:
            return pool.company(rng)
        if kind < 0.7:
            return rng.choice(INSTITUTIONS)
        if kind < 0.75:
            return "".join(rng.choice("ABCDEFGHIKLMNOPRSTU") for _ in range(rng.randint(3, 4)))
        if kind < 0.82:
            return f"{word(rng)} {word(rng)}" + rng.choice(["", " Inc.", " Ltd", " Group", " Corp", " Co."])
        return made(rng, ORGANISATION)

    def miscellany(rng: Random) -> str:
        kind = rng.random()
        if kind < 0.5:
            return rng.choice([rng.choice(COUNTRIES).adjective, rng.choice(PEOPLES)])
        return rng.choice(EVENTS) if kind < 0.7 else made(rng, MADE_EVENT)

    def noun(rng: Random) -> str:
        return rng.choice(NOUNS + THINGS + FOODS) if rng.random() < 0.5 else rng.choice(pool.words)

    return {
        "PER": person,
        "LOC": place,
        "ORG": organisation,
        "MISC": miscellany,
        "noun": noun,
        "sentence_noun": lambda rng: noun(rng).capitalize(),
        "adj": lambda rng: rng.choice(ADJECTIVES) if rng.random() < 0.5 else rng.choice(pool.words),
        "verb": lambda rng: rng.choice(VERBS) if rng.random() < 0.5 else rng.choice(pool.words),
        "job": JOBS,
        "title": TITLES,
        "day": [*DAYS, "June 3", "14 March 2012"],
        "month": MONTHS,
        "year": lambda rng: str(rng.randint(1800, 2024)),
        "num": lambda rng: str(rng.randint(2, 900)),
        "money": lambda rng: f"{rng.choice(['$', ''])}{rng.randint(2, 900)}{rng.choice(['', ' million', ' euros'])}",
        "score": lambda rng: f"{rng.randint(0, 9)}{rng.choice(['-', ' '])}{rng.randint(0, 9)}",
    }


class Example(NamedTuple):
    """A text and the entities in it."""

    text: str
    spans: list[Span]


def _vary(rng: Random, template: str, bank: dict[str, Source]) -> str:
    """Replace words around the slots, or all of them, so that names count and not only where they stand."""
    rate = rng.choice([0.0, 0.2, 0.2, 0.5, 1.0])
    kept = [word if "{" in word or rng.random() >= rate else "{noun}" for word in template.split(" ")]
    return " ".join(kept)


def _example(rng: Random, bank: dict[str, Source], templates: list[str], noise: bool) -> Example:
    text = ""
    spans: list[Span] = []
    for _ in range(rng.choice([1, 1, 2, 3])):
        template = rng.choice(templates)
        body, found = expand(rng, _vary(rng, template, bank) if noise else template, bank)
        if body[0].islower() and noise and rng.random() < 0.8:
            body = body[0].upper() + body[1:]
        spans += [Span(s.slot, s.start + len(text), s.end + len(text)) for s in found if s.slot in TYPES]
        text += body + " "
    text = text.rstrip()
    if noise and rng.random() < 0.03:
        text = text.upper()
    if noise and rng.random() < 0.15:
        text = text.rstrip(".")
    return Example(text, spans)


def make(rng: Random, count: int, split: Split = "train") -> list[Example]:
    """Examples from the templates and the names of a split."""
    templates = lines(f"ner_{split}.txt")
    bank = bank_of(names(split))
    return [_example(rng, bank, templates, split == "train") for _ in range(count)]
