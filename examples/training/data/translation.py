"""Made English sentences with their German translations, of one grammar that agrees in gender, case and number.

A few hundred words; articles, adjective endings and weak nouns, the verb second or last, perfect, future and modals,
negation by "nicht" and "kein", questions, subordinate clauses. Every English sentence has one translation, and back.
"""

import zlib
from random import Random

from .clauses import Clause, Example, join
from .german import Noun, NounPhrase, Verb, article, be, have, modal, will
from .grammar import sentence
from .lists import word_lists
from .names import Split, names

WORDS = word_lists("translation.txt")
KINDS = ["person", "animal", "food", "mass", "text", "thing", "vehicle", "building", "location"]
NOUNS = {kind: [Noun.read(kind, line) for line in WORDS[kind]] for kind in KINDS}
BY_NAME = {noun.english: noun for nouns in NOUNS.values() for noun in nouns}
TRANSITIVE, GIVING = ([Verb.read(line) for line in WORDS[key]] for key in ("transitive", "giving"))
INTRANSITIVE = [Verb.read(line) for line in WORDS["intransitive"]]
TELLING = [Verb.read(f"{line},acc,") for line in WORDS["telling"]]
ADJECTIVES = [line.split(",") for line in WORDS["adjectives"]]
PRONOUNS = [
    NounPhrase("I", "ich", "mich", "mir", 0, object="me"),
    NounPhrase("you", "du", "dich", "dir", 1, object="you"),
    NounPhrase("he", "er", "ihn", "ihm", 2, object="him"),
    NounPhrase("she", "sie", "sie", "ihr", 2, object="her"),
    NounPhrase("we", "wir", "uns", "uns", 3, object="us"),
    NounPhrase("they", "sie", "", "", 3),
]
HELD_OUT = 8  # one of so many pairs of words is held out


def _held(first: str, second: str) -> bool:
    return zlib.crc32(f"{first} {second}".encode()) % HELD_OUT == 0


class Writer:
    """Makes the sentences of a split: those of training without a held-out pair of words, the others with one."""

    def __init__(self, rng: Random, split: Split) -> None:
        """Write with the names of the split."""
        self.rng = rng
        self.given = [name for name in names(split).given if name.isalpha() and name.isascii() and len(name) < 10]
        self.held = False

    def noun_phrase(self, noun: Noun, negative: bool = False) -> NounPhrase:
        """A noun with an article, a possessive or a number, and perhaps an adjective."""
        rng, adjective = self.rng, None
        fitting = [a for a in ADJECTIVES if noun.kind in a[3].split()]
        if fitting and rng.random() < 0.35:
            adjective = rng.choice(fitting)
            self.held |= _held(adjective[0], noun.english)
        determiner = rng.choice("the the the a a this poss number plural".split())
        if noun.kind == "mass":
            determiner = rng.choice(["the", "bare", "bare", "poss"])
        if negative:
            determiner = "no"
        number = rng.choice(WORDS["numbers"]).split(",")
        return article(rng, noun, determiner, adjective, number)

    def subject(self, animal: bool = False) -> NounPhrase:
        """Who acts: a pronoun, a name, a person, sometimes an animal."""
        kind = self.rng.random()
        if kind < 0.3:
            return self.rng.choice(PRONOUNS)
        if kind < 0.5:
            return self.name()
        return self.noun_phrase(self.rng.choice(NOUNS["animal" if animal and kind < 0.7 else "person"]))

    def name(self) -> NounPhrase:
        """A given name."""
        name = self.rng.choice(self.given if self.rng.random() < 0.4 else WORDS["names"])
        return NounPhrase(name, name, name, name, 2)

    def place(self) -> tuple[str, str]:
        """A place in the dative."""
        english, german = self.rng.choice(WORDS["prepositions"]).split(",")
        noun = self.rng.choice(NOUNS["location"] + (NOUNS["building"] if english != "in" else []))
        where = article(self.rng, noun, self.rng.choice(["the", "the", "the", "poss"]), None, [])
        return f"{english} {where.english}", f"{german} {where.dative}".replace("in dem ", "im ")

    def clause(self, tense: str = "") -> Clause:
        """A clause of any kind; `tense` past, present, future or modal."""
        rng = self.rng
        tense = tense or rng.choice(["past", "present", "present", "future", "modal"])
        kind, negative = rng.random(), rng.random() < 0.2
        if kind < 0.12 and tense in ("past", "present"):
            return self._predicate(tense, negative)
        verb = rng.choice(INTRANSITIVE if kind < 0.4 else GIVING if kind < 0.5 else TRANSITIVE)
        subject = self.subject(animal="animal" in verb.kinds)
        rest, middle = self._objects(verb, subject, negative)
        return self._conjugate(verb, subject, tense, negative, rest, middle)

    def _objects(self, verb: Verb, subject: NounPhrase, negative: bool) -> tuple[str, tuple[str, ...]]:
        rng, no = self.rng, "nicht" if negative else ""
        if verb in INTRANSITIVE:
            return self._adjuncts(no)
        if verb in GIVING:
            receiver, thing = self.noun_phrase(rng.choice(NOUNS["person"])), self.thing(verb)
            return f"{receiver.english} {thing.english}", ("", receiver.dative, thing.accusative, no)
        if rng.random() < 0.15 and "person" in verb.kinds:
            pronoun = rng.choice([p for p in PRONOUNS[:5] if p.person != subject.person])
            return pronoun.object, (pronoun.case(verb.case), "", no)
        if "person" in verb.kinds and rng.random() < 0.15:
            other = self.name()
            return other.english, ("", other.case(verb.case), no)
        if negative and verb.case == "acc" and rng.random() < 0.5:
            thing = self.thing(verb, negative=True)
            return thing.english, ("", thing.accusative)
        thing = self.thing(verb)
        if rng.random() < 0.2 and not negative:
            where = self.place()
            return f"{thing.english} {where[0]}", ("", thing.case(verb.case), where[1])
        return thing.english, ("", thing.case(verb.case), no)

    def _adjuncts(self, no: str) -> tuple[str, tuple[str, ...]]:
        place = self.place() if self.rng.random() < 0.6 else ("", "")
        if self.rng.random() < 0.25:
            other = self.noun_phrase(self.rng.choice(NOUNS["person"]))
            place = f"with {other.english}", f"mit {other.dative}"
        return place[0], ("", no, place[1])

    def thing(self, verb: Verb, negative: bool = False) -> NounPhrase:
        """What the verb is done to."""
        kind = self.rng.choice(verb.kinds)
        noun = BY_NAME[kind] if kind in BY_NAME else self.rng.choice(NOUNS[kind])
        self.held |= _held(verb.english, noun.english)
        return self.noun_phrase(noun, negative)

    def _conjugate(
        self, verb: Verb, subject: NounPhrase, tense: str, negative: bool, rest: str, middle: tuple[str, ...]
    ) -> Clause:
        rng, person = self.rng, subject.person
        denied = negative and " no " not in f" {rest} "
        time = ("", "")
        if rng.random() < 0.35:
            english, german = rng.choice(WORDS[f"times_{tense if tense != 'modal' else 'present'}"]).split(",")
            time = (english, german)
        if tense in ("past", "present"):
            does = "did" if tense == "past" else "does" if person == 2 else "do"
            inflected = verb.past if tense == "past" else verb.third if person == 2 else verb.english
            finite, last = (have(verb, person), verb.participle) if tense == "past" else (verb.present(person), "")
            auxiliary, inflected = (f"{does} not", "") if denied else ("", inflected)
            bare = verb.english
        else:
            auxiliary, extra, finite = will(person) if tense == "future" else modal(rng, person, denied)
            if denied:
                auxiliary = "cannot" if auxiliary == "can" else f"{auxiliary} not"
            inflected, bare, last = "", join(extra, verb.english), verb.infinitive
            if not auxiliary:
                inflected = f"{'wants' if person == 2 else 'want'} to {verb.english}"
        return Clause(subject, auxiliary, inflected, bare, rest, time, finite, middle, last, tense)

    def _predicate(self, tense: str, negative: bool) -> Clause:
        kind = self.rng.choice(KINDS)
        noun = self.rng.choice(NOUNS[kind])
        pronoun = kind == "person" and self.rng.random() < 0.4
        adjective = self.rng.choice([a for a in ADJECTIVES if kind in a[3].split()])
        if not pronoun:
            self.held |= _held(adjective[0], noun.english)
        subject = self.subject() if pronoun else self.noun_phrase(noun)
        very = ("very", "sehr") if self.rng.random() < 0.3 else ("", "")
        english, german = be(subject, tense)
        denial = ("not", "nicht") if negative else ("", "")
        rest = join(very[0], adjective[0])
        return Clause(
            subject, join(english, denial[0]), "", "", rest, ("", ""), german, ("", denial[1], very[1], adjective[1]),
            "", "be",
        )  # fmt: skip

    def example(self) -> Example:
        """A sentence: a statement, a question, or two clauses."""
        rng, kind = self.rng, self.rng.random()
        if kind < 0.5:
            return _end(self.clause().statement(rng), ".")
        if kind < 0.72:
            return _end(self._question(), "")
        if kind < 0.78:
            return _end(self._exists(), ".")
        if kind < 0.86:
            return _end(self._told(), ".")
        return _end(self._compound(), ".")

    def _question(self) -> Example:
        clause = self.clause()
        while " not" in f" {clause.auxiliary}" or clause.auxiliary == "cannot" or " no " in f" {clause.rest} ":
            clause = self.clause()
        words = [("when", "wann"), ("why", "warum")] if not clause.time[0] else [("why", "warum")]
        if clause.tense == "be":
            words = [("why", "warum")]
        return clause.question(self.rng.choice([("", ""), ("", ""), *words]))

    def _exists(self) -> Example:
        noun = self.rng.choice(NOUNS[self.rng.choice(["person", "animal", "thing", "vehicle", "food"])])
        what = self.noun_phrase(noun)
        while what.english.split()[0] not in ("a", "an", *(n.split(",")[0] for n in WORDS["numbers"])):
            what = self.noun_phrase(noun)
        where = self.place()
        there = "there is" if what.person == 2 else "there are"
        return Example(f"{there} {what.english} {where[0]}", f"es gibt {what.accusative} {where[1]}")

    def _told(self) -> Example:
        verb, subject = self.rng.choice(TELLING), self.subject()
        inner = self.clause().subordinate()
        told = verb.third if subject.person == 2 else verb.english
        return Example(
            f"{subject.english} {told} that {inner.english}",
            f"{subject.nominative} {verb.present(subject.person)}, dass {inner.german}",
        )

    def _compound(self) -> Example:
        first, second = self.clause(), self.clause()
        word = self.rng.choice(["because", "because", "and", "but"])
        left = first.statement(self.rng)
        if word == "because":
            right = second.subordinate()
            return Example(f"{left.english} because {right.english}", f"{left.german}, weil {right.german}")
        plain = second._replace(time=("", "")).statement(self.rng)
        comma, german = ("", "und") if word == "and" else (",", "aber")
        return Example(f"{left.english}{comma} {word} {plain.english}", f"{left.german}{comma} {german} {plain.german}")


def _end(example: Example, mark: str) -> Example:
    return Example(sentence(example.english) + mark, sentence(example.german) + mark)


def make(rng: Random, count: int, split: Split = "train") -> list[Example]:
    """`count` sentences; those of training have no held-out pair of words, those of the test at least one."""
    writer = Writer(rng, split)
    found: list[Example] = []
    while len(found) < count:
        writer.held = False
        example = writer.example()
        if writer.held == (split == "test"):
            found.append(example)
    return found
