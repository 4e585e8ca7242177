"""Made short stories that stay true to their facts, and a reader that tells whether a text is such a story.

A kind of story is a sequence of stages, each said in several ways. Slots are facts: once a story has said that the ball
is red or that its hero is a girl, it may say nothing else.
"""

import re
import zlib
from collections.abc import Iterator, Mapping
from functools import cache
from random import Random
from typing import NamedTuple

from .grammar import Bank, Span, expand, sentence
from .lists import lines, word_lists
from .names import Split, gendered_names

WORDS = word_lists("stories_words.txt")
NAME = r"[A-ZÀ-Ž][a-zà-ž]+"
SLOT = re.compile(r"\{(\w+)\}")
HELD_OUT = 8  # one of so many pairs of facts is held out

# The slots of a row of words; a row is one fact.
COLUMNS = {
    "genders": ["he", "him", "his", "kid"],
    "friend_genders": ["fhe", "fhim", "fhis", "fkid"],
    "dish": ["dish", "ing1", "ing2"],
    "relative": ["relative", "rhe", "rhis"],
    "animal": ["animal", "feed", "sound"],
    "hobby": ["hobby", "gift"],
    "dest": ["dest", "seen"],
    "weather": ["weather", "wear"],
    "skill": ["skill", "failed", "where"],
    "plant": ["seed", "plants", "look"],
}
FREE = ("day", "number")  # said anew each time
NAMES = ("hero", "friend", "pet")

Row = Mapping[str, str]
Facts = Mapping[str, tuple[Row, ...]]  # what each table may still say


class Stage(NamedTuple):
    """One step of a story: the ways to tell it, and whether it may be left out."""

    ways: list[str]
    optional: bool


class Kind(NamedTuple):
    """A kind of story: the two slots whose combinations are held out, and its stages."""

    name: str
    key: list[str]
    stages: list[Stage]


@cache
def kinds() -> list[Kind]:
    """The kinds of stories."""
    found: list[Kind] = []
    opening = Stage([], False)
    for line in lines("stories.txt"):
        mark, text = line[0], line[2:]
        if mark == "#":
            name, *key = text.split()
            found.append(Kind(name, key, [opening]))
        elif mark == "=":
            opening = Stage(text.split(" | "), False)
        else:
            found[-1].stages.append(Stage(text.split(" | "), mark == "?"))
    return found


@cache
def tables() -> Facts:
    """Every table's rows."""
    sources = {name: WORDS.get(name, WORDS["genders"]) for name in [*WORDS, *COLUMNS]}
    return {
        name: tuple(dict(zip(COLUMNS.get(name, [name]), row.split(","), strict=True)) for row in rows)
        for name, rows in sources.items()
        if name not in ("girls", "boys", "pet")
    }


@cache
def _table_of() -> dict[str, str]:
    return {slot: name for name, rows in tables().items() for slot in rows[0]}


class Story(NamedTuple):
    """A story, stage by stage, and where it says again what it has said (start, end)."""

    kind: str
    stages: list[str]
    facts: list[tuple[int, int]]

    @property
    def text(self) -> str:
        """The whole story."""
        return " ".join(self.stages)

    def opening(self, stages: int) -> str:
        """Its first stages."""
        return " ".join(self.stages[:stages])


def _person(rng: Random, split: Split, girl: bool) -> str:
    known = WORDS["girls" if girl else "boys"]
    if split == "train" and rng.random() < 0.4:
        return rng.choice(known)
    return rng.choice(gendered_names(split, girl))


def _facts(rng: Random, split: Split) -> dict[str, str]:
    facts: dict[str, str] = {}
    for rows in tables().values():
        facts |= rng.choice(rows)
    facts["hero"] = _person(rng, split, facts["kid"] == "girl")
    facts["friend"] = _person(rng, split, facts["fkid"] == "girl")
    facts["pet"] = rng.choice(WORDS["pet"])
    return facts


def _bank(facts: dict[str, str]) -> Bank:
    """What every slot says, in lower case and with a capital."""
    bank = {slot: [value] for slot, value in facts.items()} | {slot: WORDS[slot] for slot in FREE}
    bank["who"] = [facts["hero"], facts["he"]]
    return bank | {sentence(slot): [sentence(value) for value in values] for slot, values in bank.items()}


def _tell(rng: Random, kind: Kind, bank: Bank) -> Story:
    stages: list[str] = []
    facts: list[tuple[int, int]] = []
    known: set[str] = set()
    length = 0
    for stage in kind.stages:
        if stage.optional and rng.random() < 0.5:
            continue
        text, spans = expand(rng, rng.choice(stage.ways), bank)
        stages.append(sentence(text))
        facts += [(span.start + length, span.end + length) for span in spans if _is_known(span, known)]
        length += len(text) + 1
    return Story(kind.name, stages, facts)


def _is_known(span: Span, known: set[str]) -> bool:
    """Whether the story has said it before; what it says for the first time is added."""
    slot = span.slot.lower()
    subject = "hero" if slot == "who" else _table_of().get(slot, slot)
    if slot in FREE or subject in known:
        return slot not in FREE
    known.add(subject)
    return False


def _held(kind: Kind, facts: Mapping[str, str]) -> bool:
    key = " ".join(facts["seed" if slot == "plant" else slot] for slot in kind.key)
    return zlib.crc32(key.encode()) % HELD_OUT == 0


def make(rng: Random, count: int, split: Split = "train") -> list[Story]:
    """`count` stories; those of the test have names and combinations of facts that no other story has."""
    found: list[Story] = []
    while len(found) < count:
        kind, facts = rng.choice(kinds()), _facts(rng, split)
        if _held(kind, facts) != (split == "test") or len({facts[name] for name in NAMES}) < len(NAMES):
            continue
        found.append(_tell(rng, kind, _bank(facts)))
    return found


def read(text: str) -> str | None:
    """The kind of story that the text is, whole and without contradiction; None if it is none."""
    for kind in kinds():
        if any(_read(text, kind.stages, 0, dict(tables()), {})):
            return kind.name
    return None


def _read(text: str, stages: list[Stage], index: int, facts: Facts, named: Mapping[str, str]) -> Iterator[bool]:
    """One True for each way to read the text as the stages from `index` on."""
    if index == len(stages):
        if not text:
            yield True
        return
    for way in stages[index].ways:
        for length, known, names in _match(text, way, facts, named):
            yield from _read(text[length:].removeprefix(" "), stages, index + 1, known, names)
    if stages[index].optional:
        yield from _read(text, stages, index + 1, facts, named)


def _match(
    text: str, way: str, facts: Facts, named: Mapping[str, str]
) -> Iterator[tuple[int, Facts, Mapping[str, str]]]:
    """How far the text is this way to tell a stage, and what is known after it."""
    match = re.match(_pattern(way, facts, named), text)
    if not match or text[match.end() :][:1] not in ("", " "):
        return
    known, names = dict(facts), dict(named)
    for group, value in match.groupdict().items():
        if value is None:  # the other way to say who
            continue
        slot = group.rsplit("_", 1)[0]
        if slot in NAMES:
            if names.setdefault(slot, value) != value:
                return
        elif slot not in FREE:
            table = _table_of()[slot.lower()]
            rows = tuple(r for r in known[table] if value in (r[slot.lower()], sentence(r[slot.lower()])))
            if not rows:
                return
            known[table] = rows
    if len(set(names.values())) == len(names):
        yield match.end(), known, names


def _pattern(way: str, facts: Facts, named: Mapping[str, str]) -> str:
    """The regular expression of a way to tell a stage, with a group for every slot."""
    pattern, parts = "", SLOT.split(way)
    for index, part in enumerate(parts):
        start = not pattern
        if index % 2 == 0:
            pattern += re.escape(part)
            continue
        who = part == "Who"
        slot = "he" if who else part
        if slot in NAMES:
            values = [re.escape(named[slot]) if slot in named else NAME]
        else:
            values = [row[slot.lower()] for row in facts[_table_of()[slot.lower()]]]
            values = [re.escape(sentence(v) if start or who or slot[0].isupper() else v) for v in values]
        group = f"(?P<{slot}_{index}>{'|'.join(values)})"
        pattern += f"(?:{group}|{named.get('hero', NAME)})" if who else group
    return pattern
