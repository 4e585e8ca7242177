"""Made sentence pairs: does the first sentence entail the second, contradict it, or neither?"""

from random import Random
from typing import NamedTuple

from .grammar import Source, phrase, sentence
from .lists import WORDS, lines, word_lists
from .names import Split, names
from .sentiment import Grammar
from .world import COUNTRIES

LABELS = ["entailment", "neutral", "contradiction"]
ENTAILMENT, NEUTRAL, CONTRADICTION = range(3)

TOPIC_HYPOTHESES = WORDS["topic_hypotheses"]
NOUN_FRAMES = WORDS["noun_frames"]
WHO = WORDS["who"]


class Example(NamedTuple):
    """A premise, a hypothesis and the label of the pair."""

    premise: str
    hypothesis: str
    label: int


class Topic(NamedTuple):
    """A topic's names, the nouns that belong to it, and what people do there."""

    labels: list[str]
    nouns: list[str]
    actions: list[str]


def _topics() -> list[Topic]:
    topics = []
    for line in lines("nli_topics.txt"):
        labels, _, rest = line.partition(": ")
        nouns, _, actions = rest.partition(" = ")
        topics.append(Topic(labels.split(", "), nouns.split("|"), actions.split("|")))
    return topics


TOPICS = _topics()
SENTIMENT = Grammar("train")
URGENCY = {
    "urgent": [
        "as soon as possible",
        "right now",
        "immediately",
        "asap",
        "without delay",
        "today or it is too late",
    ],
    "not urgent": [
        "whenever you have time",
        "some day",
        "no hurry",
        "next month is fine",
        "there is no rush",
    ],
}


def _topic_text(rng: Random, topic: Topic, bank: dict[str, Source]) -> str:
    """One or two sentences about the topic."""
    texts = []
    for _ in range(rng.choice([1, 1, 2])):
        if rng.random() < 0.5:
            text = f"{rng.choice(WHO)} {rng.choice(topic.actions)}"
            if rng.random() < 0.4:
                text += " and " + rng.choice(topic.actions)
            if rng.random() < 0.3:
                text += phrase(rng, rng.choice([" with the {w}", " on {d}", " for {p}", " after the {w}"]), bank)
            texts.append(text + ".")
        else:
            texts.append(sentence(phrase(rng, "{f}", bank | {"n": topic.nouns})))
    return " ".join(texts)


def _topic(rng: Random, bank: dict[str, Source]) -> Example:
    """Zero-shot classification: the right topic is entailed, another is contradicted."""
    topic = rng.choice(TOPICS)
    premise = _topic_text(rng, topic, bank)
    hypothesis = rng.choice(TOPIC_HYPOTHESES)
    kind = rng.random()
    if kind < 0.06:
        urgency, other_urgency = rng.sample(sorted(URGENCY), 2)
        premise = f"{premise.rstrip('.')} {rng.choice(URGENCY[urgency])}"
        right = rng.random() < 0.5
        named = urgency if right else other_urgency
        return Example(premise, f"This example is {named}.", ENTAILMENT if right else CONTRADICTION)
    if kind < 0.16:
        positive = rng.randrange(2)
        premise, right = sentence(SENTIMENT.text(rng, positive)), rng.random() < 0.5
        word = rng.choice([["negative", "bad", "sad"], ["positive", "good", "happy"]][positive == right])
        return Example(premise, f"This example is {word}.", ENTAILMENT if right else CONTRADICTION)
    if kind < 0.28:
        ordinary, distant = names("train").words, [t for t in TOPICS if not _is_close(t, topic)]
        pools = (topic.nouns, rng.choice(distant).nouns) if rng.random() < 0.5 else (ordinary, ordinary)
        words = [rng.choice(pool) for pool in pools]
        right = rng.random() < 0.5
        premise = phrase(rng, "{f}", bank | {"n": [words[0]]})
        label = ENTAILMENT if right else CONTRADICTION
        return Example(sentence(premise), hypothesis.replace("{t}", words[not right]), label)
    if rng.random() < 0.45:
        return Example(premise, hypothesis.replace("{t}", rng.choice(topic.labels)), ENTAILMENT)
    other = rng.choice([t for t in TOPICS if not _is_close(t, topic)])
    return Example(premise, hypothesis.replace("{t}", rng.choice(other.labels)), CONTRADICTION)


def _is_close(one: Topic, other: Topic) -> bool:
    """Topics so close that neither excludes the other."""
    groups = [
        {"business", "economics", "work", "technology"},
        {"technology", "phone", "video games", "science"},
        {"science", "space", "environment", "health"},
        {"sports", "video games"},
        {"environment", "animals", "gardening", "weather"},
        {"film", "books", "art", "music", "dancing"},
        {"politics", "war", "crime", "history", "economics"},
        {"education", "books", "technology", "science"},
        {"religion", "history"},
        {"travel", "cars"},
    ]
    return one is other or any(one.labels[0] in group and other.labels[0] in group for group in groups)


SLOTS: dict[str, Source] = {
    "p": names("train").person,
    "city": names("train").city,
    "org": names("train").company,
    "country": [c.name for c in COUNTRIES],
    "num": lambda rng: str(rng.randint(2, 60)),
    "d": ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"],
    "colour": ["red", "blue", "green", "yellow", "black", "white", "brown"],
    "w": names("train").words,
}
TWICE = {
    "q": "p",
    "city2": "city",
    "org2": "org",
    "country2": "country",
    "num2": "num",
    "d2": "d",
    "colour2": "colour",
}


def _statements() -> list[list[list[str]]]:
    """Rows of premises, and of what they entail, leave open and contradict."""
    rows = lines("nli_statements.txt")
    return [[part.strip().split(" | ") for part in row.split("=>")] for row in rows]


def _scenes() -> dict[str, list[list[str]]]:
    """Who does what where in a caption, each with more general words for the same."""
    return {key: [value.split("/") for value in values] for key, values in word_lists("nli_scenes.txt").items()}


STATEMENTS = _statements()
SCENES = _scenes()


def _is_held_out(premise: int, hypothesis: int) -> bool:
    """A fifth of the pairs of phrasings is not trained on."""
    return (premise + 2 * hypothesis) % 5 == 4


def _statement(rng: Random, split: Split) -> Example:
    """A statement with names, and another statement about the same names."""
    premises, *groups = rng.choice(STATEMENTS)
    fixed: dict[str, Source] = {slot: [phrase(rng, f"{{{slot}}}", SLOTS)] for slot in SLOTS}
    for slot, kind in TWICE.items():
        value = phrase(rng, f"{{{kind}}}", SLOTS)
        while [value] == fixed[kind]:
            value = phrase(rng, f"{{{kind}}}", SLOTS)
        fixed[slot] = [value]
    label = rng.randrange(3)
    first = rng.randrange(len(premises))
    allowed = [i for i in range(len(groups[label])) if _is_held_out(first, i) == (split == "test")]
    if not allowed:
        return _statement(rng, split)
    second = rng.choice(allowed)
    return Example(phrase(rng, premises[first], fixed), phrase(rng, groups[label][second], fixed), label)


def _scene(rng: Random, split: Split) -> Example:
    """A picture's caption, and what it shows, may show, or does not show."""
    first = rng.randrange(len(SCENES["who"]))
    forms = [i for i in range(len(SCENES["verb"])) if _is_held_out(first, i) == (split == "test")]
    who, verb, where = SCENES["who"][first], SCENES["verb"][rng.choice(forms)], rng.choice(SCENES["where"])
    be = "are" if who[0].startswith(("two", "three", "a group")) else "is"
    adjective, colour = (
        rng.choice(["", "", "tall ", "happy ", "tired "]),
        rng.choice(["red", "blue", "black", "white"]),
    )
    head, _, noun = who[0].rpartition(" ")
    wearing = rng.choice(["", "", f" wearing a {colour} hat"]) if be == "is" else ""
    premise = f"{head} {adjective}{noun}{wearing} {be} {verb[0]} {where[0]}."
    subject = rng.choice([who[0], who[1]])
    is_ = "are" if subject.startswith(("two", "three", "some", "people", "a group")) else "is"
    label = rng.randrange(3)
    if label == ENTAILMENT:
        action = rng.choice(verb)
        hypotheses = [f"{subject} {is_} {action}", f"{subject} {is_} {action} {rng.choice(where)}"]
        hypotheses += [f"{subject} {is_} {where[0]}", f"{subject} {is_} {where[1]}"]
    elif label == NEUTRAL:
        hypotheses = [
            f"{subject} {is_} {verb[0]} {rng.choice(SCENES['extra'])[0]}",
            f"{subject} {is_} hungry",
        ]
        hypotheses += [f"{subject} {is_} {rng.choice(['famous', 'married', 'from Italy', 'very rich', 'late'])}"]
        hypotheses += [phrase(rng, rng.choice(["{p} lives in {city}", "{org} makes {w}", "the {w} is {w}"]), SLOTS)]
    else:
        others = [v for v in SCENES["verb"] if not set(v) & set(verb) and v[2] != "moving"]
        other = rng.choice(others)
        hypotheses = [f"{subject} {is_} {rng.choice(other[:1])}", f"{subject} {is_} not {verb[0]}"]
        hypotheses += [f"nobody is {verb[0]}", f"{subject} {is_} {rng.choice(other[:1])} {where[0]}"]
        indoors = {"inside", "indoors", "inside a building", "on stage"}
        places = [w for w in SCENES["where"] if (w[1] in indoors) != (where[1] in indoors)]
        hypotheses.append(f"{subject} {is_} {verb[0]} {rng.choice(rng.choice(places))}")
    return Example(sentence(premise), sentence(rng.choice(hypotheses)) + ".", label)


def make_topics(rng: Random, count: int, split: Split = "train") -> list[Example]:
    """Pairs of a text and a topic."""
    bank: dict[str, Source] = {
        **SLOTS,
        "f": [f for i, f in enumerate(NOUN_FRAMES) if (i % 6 == 5) == (split == "test")],
    }
    return [_topic(rng, bank) for _ in range(count)]


def make_pairs(rng: Random, count: int, split: Split = "train") -> list[Example]:
    """Pairs of two statements."""
    makers = (_statement, _statement, _scene)
    return [_unrelated(rng, rng.choice(makers)(rng, split)) for _ in range(count)]


def _unrelated(rng: Random, example: Example) -> Example:
    """Now and then the second sentence is about something else, or the very same."""
    kind = rng.random()
    if kind < 0.05:
        other = _statement(rng, "train")
        return Example(example.premise, rng.choice(other[:2]), NEUTRAL)
    if kind < 0.08:
        return Example(example.premise, example.premise, ENTAILMENT)
    return example
