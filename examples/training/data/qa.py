"""Made texts with questions about them, a part of which the text does not answer."""

from random import Random
from typing import NamedTuple

from .grammar import Source, expand, phrase, sentence
from .lists import WORDS
from .names import Names, Split, made_name, names
from .relations import RELATIONS, Relation
from .world import COUNTRIES, OTHER_COUNTRIES

UNANSWERABLE = 0.18


class Example(NamedTuple):
    """A question, its context, and where in the context the answer lies; start = end = 0 without one."""

    question: str
    context: str
    start: int
    end: int

    @property
    def answer(self) -> str:
        """The text of the answer."""
        return self.context[self.start : self.end]


class Fact(NamedTuple):
    """A statement with its two names filled in."""

    relation: Relation
    subject: str
    value: str
    statement: str


NOUNS = WORDS["nouns"]
ADJECTIVES = WORDS["adjectives"]
THINGS = WORDS["things"]
PLACES = WORDS["places"]
FOODS = WORDS["foods"]
PRODUCTS = WORDS["products"]
COLOURS = WORDS["colours"]
JOBS = WORDS["jobs"]
SUBJECTS = WORDS["subjects"]
ANIMALS = WORDS["animals"]
INSTRUMENTS = WORDS["instruments"]
MATERIALS = WORDS["materials"]
MONTHS = WORDS["months"]
DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
NUMBERS = ["two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "twelve"]
VERBS = WORDS["verbs"]
OPENERS = WORDS["openers"]
FILLERS = WORDS["fillers"]
TAILS = [" in {city}", " with {person}", " since {year}", " last year", " near the {noun}"]


def bank_of(pool: Names) -> dict[str, Source]:
    """The values of every slot and kind of subject."""

    def year(rng: Random) -> str:
        return str(rng.randint(1700, 2024))

    def count(rng: Random) -> str:
        number = rng.randint(20, 999) * 10 ** rng.randint(0, 4)
        return rng.choice([str(number), f"{number:,}", f"{rng.randint(2, 90)} million", f"about {number}"])

    def date(rng: Random) -> str:
        day, month = rng.randint(1, 30), rng.choice(MONTHS)
        forms = [rng.choice(DAYS), f"{month} {day}", f"{day} {month}", f"{day} {month} {year(rng)}"]
        return rng.choice([*forms, f"{month} {day}, {year(rng)}", f"{rng.choice(DAYS)}, {month} {day}"])

    def money(rng: Random) -> str:
        amount = rng.randint(2, 999)
        return rng.choice([f"${amount}", f"{amount} dollars", f"{amount} euros", f"${amount} million"])

    def title(rng: Random) -> str:
        adjective, noun = rng.choice(pool.words).title(), rng.choice(pool.words).title()
        return rng.choice(["The {0} {1}", "{0} and {1}", "A {1}", "The {0} of {2}", "{2}"]).format(
            adjective, noun, made_name(rng)
        )

    def event(rng: Random) -> str:
        kind = rng.choice(WORDS["event_kinds"])
        return f"the {rng.choice([pool.city, made_name])(rng)} {kind}"

    def identifier(rng: Random) -> str:
        a, b = made_name(rng), made_name(rng)
        low = f"{a.lower()}{rng.choice('/-_.')}{b.lower()}"
        mail = f"{a.lower()}@{b.lower()}.{rng.choice(['com', 'org', 'net'])}"
        return rng.choice(
            [low, low, low.replace("-", "/"), a, f"{a} {b}", f"{a}{b}", mail, f"{a}-{rng.randint(1, 99)}"]
        )

    def noun(rng: Random) -> str:
        word = rng.choice(NOUNS) if rng.random() < 0.7 else rng.choice(pool.words)
        return f"{rng.choice(ADJECTIVES)} {word}" if rng.random() < 0.4 else word

    def thing(rng: Random) -> str:
        adjective = rng.choice(ADJECTIVES + COLOURS) + " " if rng.random() < 0.5 else ""
        return adjective + rng.choice(THINGS)

    return {
        "person": pool.person,
        "city": pool.city,
        "company": pool.company,
        "country": [c.name for c in COUNTRIES] + OTHER_COUNTRIES,
        "language": [c.language for c in COUNTRIES],
        "university": lambda rng: f"University of {pool.city(rng)}",
        "river": made_name,
        "year": year,
        "age": lambda rng: str(rng.randint(3, 99)),
        "count": count,
        "number": lambda rng: rng.choice(NUMBERS) if rng.random() < 0.5 else str(rng.randint(2, 99)),
        "clock": lambda rng: rng.choice([f"{rng.randint(1, 12)} pm", f"{rng.randint(1, 23)}:{rng.randint(10, 59)}"]),
        "date": date,
        "money": money,
        "weight": lambda rng: f"{rng.randint(2, 900)} {rng.choice(['kg', 'grams', 'pounds', 'tons'])}",
        "title": title,
        "event": event,
        "identifier": identifier,
        "noun": noun,
        "thing": thing,
        "things": PRODUCTS,
        "place": PLACES,
        "food": FOODS,
        "colour": COLOURS,
        "job": JOBS,
        "subject": SUBJECTS,
        "animal": ANIMALS,
        "instrument": INSTRUMENTS,
        "material": MATERIALS,
        "weekday": DAYS,
        "me": ["I"],
        "w": pool.words,
    }


def _fill(text: str, value: str) -> str:
    """Say "an" where the value begins with a vowel."""
    return text.replace(" a {v}", " an {v}") if value[0] in "aeiou" else text


def _value(rng: Random, bank: dict[str, Source], kind: str) -> str:
    return phrase(rng, f"{{{kind}}}", bank)


def _action(rng: Random) -> Relation:
    """A relation made of any verb: who did it, and what it was done to."""
    base, past = rng.choice(VERBS).split("/")
    subject = rng.choice(["person", "noun", "company"])
    s = "The {s}" if subject == "noun" else "{s}"
    kind = rng.choice(["noun", "thing", "person"])
    v = "{v}" if kind == "person" else "the {v}"
    passive = {
        "broke": "broken",
        "stole": "stolen",
        "saw": "seen",
        "took": "taken",
        "ate": "eaten",
        "wrote": "written",
    }
    was = f"was {passive.get(past, 'drawn' if past == 'drew' else past)} by"
    statements = [
        f"{s} {past} {v}.",
        f"{s} {past} {v}.",
        f"{sentence(v)} {was} {s.lower() if 'T' in s else s}.",
    ]
    ask = "Who" if kind == "person" else "What"
    who = "Who" if subject == "person" else "What"
    return Relation(subject, kind, statements, [f"{ask} did {s.replace('The', 'the')} {base}?", f"{who} {past} {v}?"])


def _facts(rng: Random, bank: dict[str, Source], kind: str, count: int) -> list[Fact]:
    """Different facts of one new subject."""
    subject = _value(rng, bank, kind)
    known = [relation for relation in RELATIONS if relation.subject == kind]
    chosen = rng.sample(known, min(count, len(known)))
    if rng.random() < 0.15:
        action = _action(rng)
        if action.subject == kind:
            chosen[0] = action
    facts = []
    for relation in chosen:
        value = _value(rng, bank, relation.value)
        statement = _fill(rng.choice(relation.statements), value)
        if rng.random() < 0.12 and relation.value not in ("city", "year", "date"):
            statement = statement.removesuffix(".") + phrase(rng, rng.choice(TAILS), bank) + "."
        facts.append(Fact(relation, subject, value, statement))
    return facts


def _join(rng: Random, facts: list[Fact]) -> list[tuple[str, list[Fact]]]:
    """Statements of one subject as templates, some joined by "and" or begun with a pronoun."""
    joined: list[tuple[str, list[Fact]]] = []
    pronoun = {
        "person": rng.choice(["He", "She"]),
        "company": rng.choice(["It", "The company"]),
        "city": "It",
    }
    kind = facts[0].relation.subject
    for index, fact in enumerate(facts):
        text = fact.statement.replace("{v}", f"{{v{index}}}")
        begins = text.startswith(("{s} ", "I "))
        predicate = text.removeprefix("{s} ").removeprefix("I ")
        last, said = joined[-1] if joined else ("", [])
        joinable = begins and last.startswith(("{s} ", "I ", "My name ")) and len(said) < 3
        if joinable and rng.random() < 0.35:
            link = " and " if kind != "me" else " and I "
            joined[-1] = (last[:-1] + link + predicate, [*said, fact])
        elif begins and said and kind in pronoun and rng.random() < 0.3:
            joined.append((f"{pronoun[kind]} {predicate}", [fact]))
        else:
            joined.append((text, [fact]))
    return joined


def _context(rng: Random, bank: dict[str, Source], sentences: int) -> tuple[str, list[tuple[Fact, int, int]]]:
    """A text, and for each of its facts where the subject (-1 for a pronoun) and the value start."""
    kinds = ["person"] * 4 + ["company"] * 2 + ["city", "country", "event", "thing", "noun", "noun", "me", "me"]
    groups: list[list[tuple[str, list[Fact]]]] = []
    kind = rng.choice(kinds)
    used_me = False
    total = 0
    while total < sentences:
        facts = _facts(rng, bank, kind, rng.randint(1, min(4, sentences - total)))
        if kind != "me" or not used_me:
            groups.append(_join(rng, facts))
            total += len(facts)
        used_me = used_me or kind == "me"
        kind = kind if rng.random() < 0.5 else rng.choice(kinds)
    text = ""
    found: list[tuple[Fact, int, int]] = []
    for group in groups:
        if rng.random() < 0.15:
            text += sentence(phrase(rng, rng.choice(FILLERS), bank)) + " "
        index = 0
        for template, facts in group:
            if template.startswith("{s}") and facts[0].relation.subject != "event" and rng.random() < 0.08:
                text += phrase(rng, rng.choice(OPENERS), bank)
            slots = {f"v{index + i}": [fact.value] for i, fact in enumerate(facts)} | {"s": [facts[0].subject]}
            body, spans = expand(rng, template, slots)
            starts = {span.slot: span.start + len(text) for span in spans}
            for fact in facts:
                found.append((fact, starts.get("s", -1), starts[f"v{index}"]))
                index += 1
            text += sentence(body) + " "
    return text.rstrip(), found


def _example(rng: Random, bank: dict[str, Source], longest: int) -> Example:
    context, found = _context(rng, bank, rng.randint(1, longest))
    if rng.random() < 0.1:
        context = context.rstrip(".")
    fact, subject_start, value_start = rng.choice(found)
    own_name = next((f.value for f, _, _ in found if f.relation.subject == "me" and f.relation.value == "person"), "")
    if fact.relation.subject == "me" and fact.relation.value != "person" and own_name and rng.random() < 0.5:
        relation = next(r for r in RELATIONS if r.subject == "person" and r.value == fact.relation.value)
        fact, subject_start = Fact(relation, own_name, fact.value, ""), -1
    question = rng.choice([q for q in fact.relation.questions if subject_start >= 0 or "{v}" not in q])
    slots = {"s": [fact.subject], "v": [fact.value]}
    start, answer = (subject_start, fact.subject) if "{v}" in question else (value_start, fact.value)
    if rng.random() < UNANSWERABLE:
        asked = {(f.subject, f.relation.questions[0]) for f, _, _ in found}
        relation = rng.choice([r for r in RELATIONS if r.subject == fact.relation.subject])
        subject = fact.subject if rng.random() < 0.6 else _value(rng, bank, relation.subject)
        if (subject, relation.questions[0]) not in asked:
            question = rng.choice([q for q in relation.questions if "{v}" not in q])
            slots, start, answer = {"s": [subject]}, 0, ""
    if fact.relation.subject == "person" and "{v}" not in question and rng.random() < 0.3:
        slots["s"] = [slots["s"][0].split()[0]]
    question = sentence(phrase(rng, _fill(question, fact.value), slots))
    if rng.random() < 0.15:
        question = question.replace("?", " ?")
    if rng.random() < 0.05:
        question = question.rstrip(" ?")
    return Example(question, context, start, start + len(answer))


def make(rng: Random, count: int, split: Split = "train", longest: int = 12) -> list[Example]:
    """`count` examples with contexts of up to `longest` facts."""
    bank = bank_of(names(split))
    return [_example(rng, bank, longest) for _ in range(count)]
