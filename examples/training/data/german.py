"""German inflection, beside the English of the same word."""

from __future__ import annotations

from random import Random
from typing import NamedTuple

GENDERS = "mfnp"
# Endings in the order of GENDERS, p being the plural.
DEFINITE = {
    "nom": ["der", "die", "das", "die"],
    "acc": ["den", "die", "das", "die"],
    "dat": ["dem", "der", "dem", "den"],
}
THIS = {"nom": ["er", "e", "es", "e"], "acc": ["en", "e", "es", "e"], "dat": ["em", "er", "em", "en"]}
EIN = {"nom": ["", "e", "", "e"], "acc": ["en", "e", "", "e"], "dat": ["em", "er", "em", "en"]}
WEAK = {"nom": ["e", "e", "e", "en"], "acc": ["en", "e", "e", "en"], "dat": ["en", "en", "en", "en"]}
MIXED = {"nom": ["er", "e", "es", "en"], "acc": ["en", "e", "es", "en"], "dat": ["en", "en", "en", "en"]}
STRONG = {"nom": ["er", "e", "es", "e"], "acc": ["en", "e", "es", "e"], "dat": ["em", "er", "em", "en"]}
POSSESSIVES = [("my", "mein"), ("your", "dein"), ("his", "sein"), ("her", "ihr"), ("our", "unser")]
MODALS = {"can": ["kann", "kannst", "kann", "können"], "should": ["soll", "sollst", "soll", "sollen"]}
MODALS |= {"must": ["muss", "musst", "muss", "müssen"], "want": ["will", "willst", "will", "wollen"]}
WERDEN = ["werde", "wirst", "wird", "werden"]
HABEN = ["habe", "hast", "hat", "haben"]
SEIN = ["bin", "bist", "ist", "sind"]
WAR = ["war", "warst", "war", "waren"]


class Noun(NamedTuple):
    """A noun: English singular and plural, German, its gender (w: masculine and weak), its plural; its kind."""

    english: str
    english_plural: str
    german: str
    gender: str
    plural: str
    kind: str

    @classmethod
    def read(cls, kind: str, line: str) -> Noun:
        """From a word list's `ENGLISH,PLURAL,GERMAN,GENDER,PLURAL`."""
        english, english_plural, german, gender, plural = line.split(",")
        return cls(english, english_plural, german, gender, plural, kind)

    def form(self, case: str, plural: bool) -> str:
        """The German noun in a case."""
        if plural:
            return self.plural + "n" if case == "dat" and self.plural[-1] not in "ns" else self.plural
        if self.gender == "w" and case != "nom":
            return self.german + ("n" if self.german.endswith(("e", "r")) and self.german != "Bär" else "en")
        return self.german


class NounPhrase(NamedTuple):
    """A phrase in English and in the German cases; person 0 to 2 singular, 3 any plural."""

    english: str
    nominative: str
    accusative: str
    dative: str
    person: int
    object: str = ""

    def case(self, case: str) -> str:
        """The German phrase in a case."""
        return {"nom": self.nominative, "acc": self.accusative, "dat": self.dative}[case]


class Verb(NamedTuple):
    """A verb: English forms, German forms; the case of its object or its auxiliary; the kinds of its objects."""

    english: str
    third: str
    past: str
    infinitive: str
    er: str
    participle: str
    case: str
    kinds: list[str]

    @classmethod
    def read(cls, line: str) -> Verb:
        """From a word list's line."""
        english, third, past, infinitive, er, participle, case, kinds = line.split(",")
        return cls(english, third, past, infinitive, er, participle, case, kinds.split())

    def present(self, person: int) -> str:
        """The German present."""
        if self.infinitive == "wissen":
            return ["weiß", "weißt", "weiß", "wissen"][person]
        stem = self.er[:-1]
        first = self.infinitive[:-1] + "e" if self.infinitive.endswith("ern") else self.infinitive[:-1]
        return [first, stem + ("t" if stem[-1] in "sßzx" else "st"), self.er, self.infinitive][person]


def have(verb: Verb, person: int) -> str:
    """The auxiliary of the perfect."""
    return (SEIN if verb.case == "s" else HABEN)[person]


def be(subject: NounPhrase, tense: str) -> tuple[str, str]:
    """To be, in both languages."""
    if tense == "past":
        return "was" if subject.person in (0, 2) else "were", WAR[subject.person]
    return ["am", "are", "is", "are"][subject.person] if subject.english != "you" else "are", SEIN[subject.person]


def will(person: int) -> tuple[str, str, str]:
    """The future: English auxiliary, what follows it, German finite verb."""
    return "will", "", WERDEN[person]


def modal(rng: Random, person: int, denied: bool) -> tuple[str, str, str]:
    """A modal verb as `will` has it; "want" has no auxiliary unless denied, and "must not" is another verb's."""
    word = rng.choice(["can", "should", "want"] if denied else list(MODALS))
    german = MODALS[word][person]
    if word != "want":
        return word, "", german
    does = "does" if person == 2 else "do"
    return (does if denied else ""), "want to", german


def article(rng: Random, noun: Noun, determiner: str, adjective: list[str] | None, number: list[str]) -> NounPhrase:
    """A noun phrase; determiner the, a, this, poss, number, plural (the or a possessive), no, or bare."""
    plural = determiner in ("number", "plural") or (determiner in ("this", "poss") and rng.random() < 0.2)
    plural = plural and bool(noun.plural)
    owner = rng.choice(POSSESSIVES)
    if determiner == "plural":
        determiner = "the" if rng.random() < 0.6 else "poss"
    word = noun.english_plural if plural else noun.english
    described = f"{adjective[0]} {word}" if adjective else word
    gender = GENDERS.index("p" if plural else noun.gender.replace("w", "m"))
    forms = []
    for case in ("nom", "acc", "dat"):
        lead, endings = _determine(determiner, case, gender, owner[1], number)
        inflected = adjective[2] + endings[case][gender] if adjective else ""
        forms.append(" ".join(part for part in (lead, inflected, noun.form(case, plural)) if part))
    english = {
        "the": "the ", "a": "an " if described[0] in "aeiou" else "a ", "this": "these " if plural else "this ",
        "poss": f"{owner[0]} ", "number": f"{number[0] if number else ''} ", "no": "no ", "bare": "",
    }[determiner]  # fmt: skip
    return NounPhrase(english + described, forms[0], forms[1], forms[2], 3 if plural else 2)


def _determine(
    determiner: str, case: str, gender: int, owner: str, number: list[str]
) -> tuple[str, dict[str, list[str]]]:
    """The German determiner and the endings that adjectives take after it."""
    if determiner == "the":
        return DEFINITE[case][gender], WEAK
    if determiner == "this":
        return f"dies{THIS[case][gender]}", WEAK
    if determiner in ("number", "bare"):
        return number[1] if determiner == "number" else "", STRONG
    stem = {"a": "ein", "no": "kein"}.get(determiner, owner)
    return stem + EIN[case][gender], MIXED
