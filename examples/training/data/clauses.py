"""A clause of English and of German in pieces, put together as each language orders them."""

from random import Random
from typing import NamedTuple

from .german import NounPhrase


class Example(NamedTuple):
    """A sentence in both languages."""

    english: str
    german: str


class Clause(NamedTuple):
    """A clause in both languages, in the pieces that word order moves.

    English: subject, auxiliary ("" without), verb as it agrees, verb as it follows an auxiliary, and the rest.
    German: subject, finite verb, what stands between the verbs, what stands last.
    """

    subject: NounPhrase
    auxiliary: str
    inflected: str
    bare: str
    rest: str
    time: tuple[str, str]
    finite: str
    middle: tuple[str, ...]
    last: str
    tense: str

    def statement(self, rng: Random) -> Example:
        """The clause as a main clause, the time in front of it or within."""
        verb = self.inflected or join(self.auxiliary, self.bare)
        english, german = self.subject.english, self.subject.nominative
        if self.time[0] and rng.random() < 0.5:
            return Example(
                join(self.time[0], english, verb, self.rest),
                join(self.time[1], self.finite, german, *self.middle, self.last),
            )
        return Example(
            join(english, verb, self.rest, self.time[0]),
            join(german, self.finite, *self._middle(), self.last),
        )

    def subordinate(self) -> Example:
        """The clause with its verb last."""
        verb = self.inflected or join(self.auxiliary, self.bare)
        return Example(
            join(self.subject.english, verb, self.rest, self.time[0]),
            join(self.subject.nominative, *self._middle(), self.last, self.finite),
        )

    def question(self, word: tuple[str, str] = ("", "")) -> Example:
        """The clause as a question, of the word or for yes and no."""
        does = "do" if self.subject.person != 2 else "does"
        auxiliary = self.auxiliary or ("did" if self.tense == "past" else does)
        return Example(
            join(word[0], auxiliary, self.subject.english, self.bare, self.rest, self.time[0]) + "?",
            join(word[1], self.finite, self.subject.nominative, *self._middle(), self.last) + "?",
        )

    def _middle(self) -> tuple[str, ...]:
        pronoun, *others = self.middle
        return (pronoun, self.time[1], *others)


def join(*parts: str) -> str:
    """The parts that are not empty, with spaces between."""
    return " ".join(part for part in parts if part)
