"""Made opinions about films, food, products and people."""

from random import Random
from typing import NamedTuple

from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

from .grammar import Source, phrase, sentence
from .lists import WORDS, lines, word_lists
from .names import Split, names

LABELS = ["NEGATIVE", "POSITIVE"]
SUFFIXES = {
    "lexadj": tuple(WORDS["suffixes_adjective"]),
    "lexadv": ("ly",),
    "lexnoun": tuple(WORDS["suffixes_noun"]),
}
CONTRASTS = WORDS["contrasts"]
PAIRS = WORDS["pairs"]


class Example(NamedTuple):
    """A text and its label."""

    text: str
    label: int


def _words() -> list[dict[str, Source]]:
    """The word lists of the two polarities, negative first."""
    banks: list[dict[str, Source]] = [{"w": names("train").words}, {"w": names("train").words}]
    for key, values in word_lists("sentiment_words.txt").items():
        for polarity, sign in enumerate("-+"):
            if key[-1] not in "+-" or key[-1] == sign:
                banks[polarity][key.rstrip("+-")] = values
    lexicon = SentimentIntensityAnalyzer().lexicon
    for polarity, factor in enumerate((-1, 1)):
        words = [w for w, score in lexicon.items() if w.isalpha() and len(w) > 3 and score * factor >= 0.9]
        groups: dict[str, list[str]] = {"word": [], **{slot: [] for slot in SUFFIXES}}
        for word in words:
            slot = next((s for s, ends in SUFFIXES.items() if word.endswith(ends)), "word")
            groups[slot].append(word)
        banks[polarity].update(groups)
    return banks


class Grammar:
    """The opinions of one split's templates."""

    def __init__(self, split: Split) -> None:
        """Read the word lists and the templates."""
        self.banks = _words()
        templates = lines(f"sentiment_{split}.txt")
        self.same = [line[2:] for line in templates if line[0] == "="]
        self.negated = [line[2:] for line in templates if line[0] == "!"]
        phrases = lines("sentiment_phrases.txt")
        self.phrases = [line[2:].split(" | ") for line in reversed(phrases)] if split == "train" else [[], []]

    def clause(self, rng: Random, label: int) -> str:
        """One opinion of the label."""
        kind = rng.random()
        if kind < 0.12 and self.phrases[label]:
            return rng.choice(self.phrases[label])
        if kind < 0.40:
            return phrase(rng, rng.choice(self.negated), self.banks[1 - label])
        return phrase(rng, rng.choice(self.same), self.banks[label])

    def text(self, rng: Random, label: int) -> str:
        """One opinion, several of the label, or one that outweighs another."""
        kind = rng.random()
        if kind < 0.6:
            return self.clause(rng, label)
        template = rng.choice(CONTRASTS if kind < 0.8 else PAIRS)
        slots: dict[str, Source] = {
            "clause": lambda r: self.clause(r, label),
            "other": lambda r: self.clause(r, 1 - label),
        }
        return phrase(rng, template, slots)


def _noise(rng: Random, text: str, grammar: Grammar) -> str:
    """The ways in which people write: capitals, punctuation, typing errors, other sentences around."""
    words = text.split(" ")
    if rng.random() < 0.15:
        index = rng.randrange(len(words))
        word = words[index]
        if len(word) > 4:
            cut = rng.randrange(1, len(word) - 1)
            words[index] = word[:cut] + rng.choice(["", word[cut] * 2]) + word[cut + 1 :]
    if rng.random() < 0.15:
        words.insert(rng.randrange(len(words) + 1), phrase(rng, rng.choice(["{w}", "the {w}"]), grammar.banks[0]))
    text = " ".join(words)
    if rng.random() < 0.12:
        other = phrase(rng, "{more_neutral}", grammar.banks[0])
        text = f"{other} {text}" if rng.random() < 0.6 else f"{text}. {other}"
    return sentence(text) + rng.choice([".", ".", ".", "", "", "!", " .", " !", "..."])


def make(rng: Random, count: int, split: Split = "train") -> list[Example]:
    """Examples from the templates of a split; both use the same words."""
    grammar = Grammar(split)
    labels = [rng.randrange(2) for _ in range(count)]
    return [Example(_noise(rng, grammar.text(rng, label), grammar), label) for label in labels]
