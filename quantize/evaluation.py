"""A bundle's answers to a labelled file, and the metrics of its task."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchless.bundle import Bundle
from torchless.errors import InputError, OptionError, TruncationWarning
from torchless.generation import log_softmax
from torchless.pipelines import pipeline

from . import metrics
from .labelled import Entity, Labelled

Metric = Callable[[Sequence[Any], Sequence[Any]], float]

_LABELS: dict[str, Metric] = {"accuracy": metrics.accuracy, "f1_macro": metrics.f1_macro}
_TEXTS: dict[str, Metric] = {"chrf": metrics.chrf, "bleu": metrics.bleu, "exact_match": metrics.exact_match}
METRICS: dict[str, dict[str, Metric]] = {
    "text-classification": _LABELS,
    "audio-classification": _LABELS,
    "image-classification": _LABELS,
    "token-classification": {"f1": metrics.entity_f1},
    "question-answering": {"f1": metrics.squad_f1, "exact_match": metrics.squad_exact},
    "fill-mask": {"accuracy": metrics.accuracy},
    "text-generation": {"perplexity": lambda losses, wanted: _perplexity(losses)},
    "text2text-generation": _TEXTS,
    "summarization": _TEXTS,
    "translation": _TEXTS,
    "automatic-speech-recognition": {
        "word_error_rate": metrics.word_error_rate, "character_error_rate": metrics.character_error_rate,
    },
}  # fmt: skip
"""The metrics of each task; the first is what a budget counts unless another one is asked for."""

# Texts whose likelihood is computed together, and the shortest that has one.
_BATCH = 32
_SHORTEST = 2


@dataclass(frozen=True)
class Scores:
    """The metrics of a task on a labelled file.

    Attributes:
        values: by name; shares and error rates from 0 (error rates may exceed 1), perplexity from 1.
        primary: the metric that counts.
        examples: rows of the file.
    """

    values: dict[str, float]
    primary: str
    examples: int

    def lost(self, base: Scores) -> float:
        """Points of the primary metric that are lost beside other scores; negative where there is a gain.

        A point is a hundredth of a share or error rate, and a hundredth of the other's perplexity.
        """
        mine, other = self.values[self.primary], base.values[self.primary]
        if self.primary == "perplexity":
            return 100 * (mine / other - 1)
        return 100 * (mine - other if self.primary in metrics.LOWER else other - mine)


def evaluate(bundle: Bundle, data: Labelled, names: Sequence[str] | None = None) -> Scores:
    """Let a bundle answer a labelled file, and compare.

    What generates does so as its checkpoint says: with its own number of beams, and without sampling.

    Args:
        bundle: what is asked.
        data: inputs and right answers, see :func:`.labelled.read_labelled`.
        names: the wanted metrics, see :data:`METRICS`; the first counts. None takes all that the task has.

    Raises:
        OptionError: a metric that the task does not have.
        InputError: an input that cannot be processed.
        MissingDependencyError: BLEU or chrF without sacrebleu.
    """
    known = METRICS[data.kind]
    chosen = list(known) if names is None else list(names)
    if not chosen or not set(chosen) <= set(known):
        raise OptionError(f"metrics {chosen}: {data.kind} has {', '.join(known)}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TruncationWarning)
        found = _ANSWERS[data.kind](bundle, data)
    return Scores({name: known[name](found, data.targets) for name in chosen}, chosen[0], len(data.targets))


def _labels(bundle: Bundle, data: Labelled) -> list[str]:
    answers = pipeline(data.task, bundle, top_k=1)(data.inputs)
    return [answer[0]["label"] for answer in answers]


def _texts(bundle: Bundle, data: Labelled) -> list[str]:
    answers = pipeline(data.task, bundle, do_sample=False)(data.inputs)
    return [next(text for name, text in answer.items() if name.endswith("_text")) for answer in answers]


def _transcripts(bundle: Bundle, data: Labelled) -> list[str]:
    return [answer["text"].strip() for answer in pipeline(data.task, bundle)(data.inputs)]


def _entities(bundle: Bundle, data: Labelled) -> list[list[Entity]]:
    """Entities by the first token of each word where inputs are words, otherwise by neighbouring tokens."""
    found: dict[int, list[Entity]] = {}
    for words, strategy in ((True, "first"), (False, "simple")):
        places = [place for place, item in enumerate(data.inputs) if isinstance(item, list) == words]
        answer = pipeline(data.task, bundle, aggregation_strategy=strategy, is_split_into_words=words)
        answers = answer([data.inputs[place] for place in places])
        for place, parts in zip(places, answers, strict=True):
            found[place] = [(part["entity_group"], part["start"], part["end"]) for part in parts]
    return [found[place] for place in range(len(data.inputs))]


def _spans(bundle: Bundle, data: Labelled) -> list[str]:
    """Answers; empty ones may be given where a right answer is empty."""
    answer = pipeline(data.task, bundle, handle_impossible_answer=not all(data.targets))
    found = answer(data.inputs)
    return [part["answer"] for part in (found if isinstance(found, list) else [found])]


def _fillings(bundle: Bundle, data: Labelled) -> list[str]:
    answers = pipeline(data.task, bundle, top_k=1)(data.inputs)
    found = []
    for text, answer in zip(data.inputs, answers if len(data.inputs) > 1 else [answers], strict=True):
        if isinstance(answer[0], list):
            raise InputError(f"one mask, and not {len(answer)}, is to be filled in {text!r:.80}")
        found.append(answer[0]["token_str"].strip())
    return found


def _losses(bundle: Bundle, data: Labelled) -> list[NDArray[np.float64]]:
    """The negative log-likelihood of each token of each text, the first ones excepted."""
    rows = [list(encoding.ids) for encoding in bundle.tokenizer.encode(data.inputs)]
    for text, row in zip(data.inputs, rows, strict=True):
        if len(row) < _SHORTEST:
            raise InputError(f"perplexity needs texts of {_SHORTEST} tokens at least, not {text!r:.80}")
    found: dict[int, NDArray[np.float64]] = {}
    order = sorted(range(len(rows)), key=lambda place: len(rows[place]))
    for start in range(0, len(order), _BATCH):
        places = order[start : start + _BATCH]
        found |= dict(zip(places, _batch_losses(bundle, [rows[place] for place in places]), strict=True))
    return [found[place] for place in range(len(rows))]


def _batch_losses(bundle: Bundle, rows: Sequence[Sequence[int]]) -> list[NDArray[np.float64]]:
    """Losses of texts that are read side by side, token by token."""
    longest = max(map(len, rows))
    tokens = np.zeros((len(rows), longest), dtype=np.int64)
    for place, row in enumerate(rows):
        tokens[place, : len(row)] = row
    state = bundle.generator().new_cache(len(rows), longest)
    losses = np.zeros((len(rows), longest - 1))
    logits = state.prefill(tokens[:, :1])
    for step in range(1, longest):
        likelihoods = log_softmax(logits.astype(np.float64))
        losses[:, step - 1] = -likelihoods[np.arange(len(rows)), tokens[:, step]]
        if step < longest - 1:
            logits = state.step(tokens[:, step])
    return [losses[place, : len(row) - 1] for place, row in enumerate(rows)]


def _perplexity(losses: Sequence[NDArray[np.float64]]) -> float:
    """The exponential of the mean negative log-likelihood of a token."""
    try:
        return math.exp(float(np.concatenate(losses).mean()))
    except OverflowError:
        return math.inf


_ANSWERS: Mapping[str, Callable[[Bundle, Labelled], Sequence[Any]]] = {
    "text-classification": _labels,
    "audio-classification": _labels,
    "image-classification": _labels,
    "token-classification": _entities,
    "question-answering": _spans,
    "fill-mask": _fillings,
    "text-generation": _losses,
    "text2text-generation": _texts,
    "summarization": _texts,
    "translation": _texts,
    "automatic-speech-recognition": _transcripts,
}
