"""The task names, their aliases, and which head of a checkpoint serves which task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .errors import TaskError

ALIASES = {
    "sentiment-analysis": "text-classification",
    "ner": "token-classification",
}

# The suffix of an architecture's class name tells the task: BertForSequenceClassification, RobertaForMaskedLM, ...
HEADS = {
    "ForSequenceClassification": "text-classification",
    "ForTokenClassification": "token-classification",
    "ForQuestionAnswering": "question-answering",
    "ForMaskedLM": "fill-mask",
    "Model": "feature-extraction",
}

# Tasks that run on a bundle made for another task: zero-shot classification reads an entailment classifier.
SERVED_BY = {"zero-shot-classification": "text-classification"}

TASKS = (*HEADS.values(), *SERVED_BY)


def normalize(task: str) -> str:
    """The canonical name of a task or alias.

    Raises:
        TaskError: no such task.
    """
    name = ALIASES.get(task, task)
    if name not in TASKS:
        known = ", ".join((*TASKS, *ALIASES))
        raise TaskError(f"unknown task {task!r}; known tasks: {known}")
    return name


def infer(config: Mapping[str, Any]) -> str | None:
    """The task that a ``config.json``'s ``architectures`` point to, or None where they do not tell."""
    for architecture in map(str, config.get("architectures") or ()):
        if architecture.endswith(("HeadModel", "HeadsModel")):  # a language model: not one of our tasks
            continue
        for suffix, task in HEADS.items():
            if architecture.endswith(suffix):
                return task
    return None
