"""The facts that question answering texts state: how they are said, and how they are asked for.

A line of relations.txt is `SUBJECT VALUE: STATEMENT | ... ? QUESTION | ...`. In its texts `{s}` is the
subject and `{v}` the value. A question that names `{v}` asks for the subject.
"""

from typing import NamedTuple

from .lists import lines


class Relation(NamedTuple):
    """One attribute of a kind of subject."""

    subject: str
    value: str
    statements: list[str]
    questions: list[str]


def _relation(line: str) -> Relation:
    head, _, rest = line.partition(": ")
    subject, value = head.split()
    statements, _, questions = rest.partition(" ? ")
    return Relation(subject, value, statements.split(" | "), questions.split(" | "))


RELATIONS = [_relation(line) for line in lines("relations.txt")]
