"""Extractive question answering: a question and a context to the span of the context that answers it.

Follows transformers' QuestionAnsweringPipeline; spans are scored as in Chen et al. 2017 (DrQA).
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
import tokenizers
from numpy.typing import NDArray

from ..errors import InputError, OptionError, TruncationWarning, user_stacklevel
from ..ops import top_k
from ..session import Array
from .base import check_flag, check_integer, check_text
from .single_pass import Request, SinglePassPipeline

_MAX_SEQ_LEN = 384
_DOC_STRIDE = 128


@dataclass(frozen=True)
class QuestionAnsweringOptions:
    """Options of question answering; lengths are in tokens.

    Attributes:
        top_k: how many answers to return; above 1 they come in a list, which may be shorter.
        doc_stride: overlap of the windows into which a long context is cut; None takes 128, or half a window where
            that is less.
        max_answer_len: longest answer.
        max_seq_len: length of a window: question, context and special tokens; None takes 384, or the model's limit.
        max_question_len: longest question; a longer one is cut, with a warning.
        handle_impossible_answer: whether the empty answer may be given.
        align_to_words: whether answers are widened to whole words.
    """

    top_k: int = 1
    doc_stride: int | None = None
    max_answer_len: int = 15
    max_seq_len: int | None = None
    max_question_len: int = 64
    handle_impossible_answer: bool = False
    align_to_words: bool = True

    def __post_init__(self) -> None:
        for name in ("top_k", "max_answer_len", "max_question_len"):
            check_integer(name, getattr(self, name), 1)
        for name in ("handle_impossible_answer", "align_to_words"):
            check_flag(name, getattr(self, name))
        if self.max_seq_len is not None:
            check_integer("max_seq_len", self.max_seq_len, 1)
        if self.doc_stride is not None:
            check_integer("doc_stride", self.doc_stride, 0)
            if self.max_seq_len is not None and self.doc_stride > self.max_seq_len:
                raise OptionError(f"doc_stride={self.doc_stride} exceeds max_seq_len={self.max_seq_len}")


class _Spans(NamedTuple):
    """The best spans of one window: token numbers and scores, (n,) each, and the score of no answer."""

    starts: NDArray[np.intp]
    ends: NDArray[np.intp]
    scores: NDArray[np.float32]
    null_score: float


class QuestionAnsweringPipeline(SinglePassPipeline[QuestionAnsweringOptions]):
    """The answer to ``question`` in ``context``: ``{"score", "start", "end", "answer"}``.

    Call it with ``question=`` and ``context=`` (texts, or lists of them; one context may serve several questions),
    or with ``{"question": str, "context": str}``, a list or an iterable of these. ``start`` and ``end`` count
    characters of the context. A list of one is answered like one. Options: :class:`QuestionAnsweringOptions`.

    Example:
        >>> answer = pipeline("question-answering", "models/squad")      # doctest: +SKIP
        >>> answer(question="Where does Anna live?", context="Anna lives in Berlin.")      # doctest: +SKIP
        {'score': 0.98, 'start': 14, 'end': 20, 'answer': 'Berlin'}
    """

    task = "question-answering"
    outputs: ClassVar[Mapping[str, int]] = {"start_logits": 2, "end_logits": 2}  # (batch, length)
    per_token = True
    options_type = QuestionAnsweringOptions

    def __call__(self, inputs: Any = None, context: Any = None, *, question: Any = None, **options: Any) -> Any:
        """Answer one question or many; see the class."""
        if question is None and isinstance(inputs, str) and context is not None:
            inputs, question = None, inputs
        if inputs is None:
            inputs = _pairs(question, context)
        elif question is not None or context is not None:
            raise InputError("give either question= and context=, or dictionaries of both")
        if isinstance(inputs, list) and len(inputs) == 1:
            inputs = inputs[0]
        return self._call(inputs, options)

    def _is_single(self, inputs: Any, options: QuestionAnsweringOptions) -> bool:
        if isinstance(inputs, str):
            raise InputError("a question needs its context: call with question= and context=")
        return isinstance(inputs, Mapping)

    def _prepare(self, items: list[Any], options: QuestionAnsweringOptions) -> list[Request]:
        length, stride = self._window(options)
        return [self._windows(item, length, stride, options) for item in items]

    def _window(self, options: QuestionAnsweringOptions) -> tuple[int, int]:
        """Length and overlap of the windows, in tokens."""
        limit = self.tokenizer.max_length
        length = options.max_seq_len
        if length is None:
            length = _MAX_SEQ_LEN if limit is None else min(limit, _MAX_SEQ_LEN)
        elif limit is not None and length > limit:
            raise OptionError(f"max_seq_len={length} exceeds the model's limit of {limit} tokens")
        stride = min(length // 2, _DOC_STRIDE) if options.doc_stride is None else options.doc_stride
        if stride > length:
            raise OptionError(f"doc_stride={stride} exceeds the window of {length} tokens")
        return length, stride

    def _windows(self, item: Any, length: int, stride: int, options: QuestionAnsweringOptions) -> Request:
        question, context = _question_and_context(item)
        question, tokens = self._shorten(question, options.max_question_len)
        room = length - tokens - self.tokenizer.special_tokens(pair=True)
        if options.doc_stride is None and stride >= room:
            stride = max(0, room // 2)  # the default would not let the windows advance beside so long a question
        question_first = self.tokenizer.padding_side == "right"
        rows = self.tokenizer.windows(
            (question, context) if question_first else (context, question),
            max_length=length,
            stride=stride,
            truncation="only_second" if question_first else "only_first",
        )
        return Request(rows, context)

    def _shorten(self, question: str, limit: int) -> tuple[str, int]:
        """The question, cut where it is too long, and its number of tokens."""
        encoding = self.tokenizer.encode([question], truncation=None, special_tokens=False)[0]
        if len(encoding) <= limit:
            return question, len(encoding)
        warnings.warn(
            f"the question has {len(encoding)} tokens: {len(encoding) - limit} were cut (max_question_len={limit})",
            TruncationWarning,
            stacklevel=user_stacklevel(),
        )
        return question[: encoding.offsets[limit - 1][1]], limit

    def _reduce(
        self, row: tokenizers.Encoding, outputs: Mapping[str, Array], options: QuestionAnsweringOptions
    ) -> _Spans:
        sequence = self._context_sequence
        allowed = np.array([part == sequence for part in row.sequence_ids])
        if (cls := self.tokenizer.ids.get("cls")) is not None:
            # The first token's scores stand for "no answer", so they take part in the softmax.
            allowed |= np.array(row.ids) == cls
        # Some candidates are the same answer once they are widened to words.
        wanted = options.top_k * 2 + 10 if options.align_to_words else options.top_k
        return best_spans(outputs["start_logits"], outputs["end_logits"], allowed, wanted, options.max_answer_len)

    def _finish(self, request: Request, reduced: list[Any], options: QuestionAnsweringOptions) -> Any:
        context: str = request.context
        answers: dict[str, dict[str, Any]] = {}
        for row, spans in zip(request.rows, reduced, strict=True):
            for first, last, score in zip(spans.starts, spans.ends, spans.scores, strict=True):
                start, end = self._characters(row, int(first), int(last), options.align_to_words)
                text = context[start:end]
                answer = answers.setdefault(text.lower(), {"score": 0.0, "start": start, "end": end, "answer": text})
                answer["score"] += float(score)
        found = list(answers.values())
        if options.handle_impossible_answer or not found:
            null_score = min(spans.null_score for spans in reduced) if options.handle_impossible_answer else 0.0
            found.append({"score": null_score, "start": 0, "end": 0, "answer": ""})
        found = sorted(found, key=lambda answer: -answer["score"])[: options.top_k]
        return found[0] if options.top_k == 1 else found

    def _characters(self, row: tokenizers.Encoding, first: int, last: int, align_to_words: bool) -> tuple[int, int]:
        """Where a span of tokens lies in the context."""
        if align_to_words:
            first_word, last_word = row.token_to_word(first), row.token_to_word(last)
            if first_word is not None and last_word is not None:
                begin = row.word_to_chars(first_word, self._context_sequence)
                end = row.word_to_chars(last_word, self._context_sequence)
                if begin is not None and end is not None:
                    return begin[0], end[1]
        return row.offsets[first][0], row.offsets[last][1]

    @property
    def _context_sequence(self) -> int:
        return 1 if self.tokenizer.padding_side == "right" else 0


def best_spans(
    start_logits: Array, end_logits: Array, allowed: NDArray[np.bool_], count: int, max_answer_len: int
) -> _Spans:
    """The most probable spans of one window.

    A span's score is the probability of its first token as a start times that of its last as an end; it has at most
    ``max_answer_len`` tokens. The first token of the window never belongs to an answer.

    Args:
        start_logits: (length,)
        end_logits: (length,)
        allowed: (length,) the tokens that may belong to an answer, and the first where it stands for no answer.
        count: how many spans at the most.
        max_answer_len: in tokens.
    """
    start = _probabilities(start_logits, allowed)
    end = _probabilities(end_logits, allowed)
    null_score = float(start[0] * end[0])
    start[0] = end[0] = 0.0
    scores = np.tril(np.triu(np.outer(start, end)), max_answer_len - 1)
    best = top_k(scores.ravel(), count)
    starts, ends = np.unravel_index(best, scores.shape)
    # A score of zero is no span at all: an end before its start, or a token that is not allowed.
    kept = (scores[starts, ends] > 0) & allowed[starts] & allowed[ends]
    return _Spans(starts[kept], ends[kept], scores[starts[kept], ends[kept]], null_score)


def _probabilities(logits: Array, allowed: NDArray[np.bool_]) -> Array:
    masked = np.where(allowed, logits.astype(np.float32), np.float32(-10000.0))
    exponentials = np.exp(masked - masked.max())
    probabilities: Array = exponentials / exponentials.sum()
    return probabilities


def _pairs(question: Any, context: Any) -> Any:
    if question is None or context is None:
        raise InputError("question answering needs a question and a context")
    if isinstance(question, str):
        return {"question": question, "context": context}
    if not isinstance(question, (list, tuple)) or not isinstance(context, (str, list, tuple)):
        raise InputError(
            f"question and context must be texts or lists, not {type(question).__name__} and {type(context).__name__}"
        )
    contexts = [context] * len(question) if isinstance(context, str) else list(context)
    if len(contexts) != len(question):
        raise InputError(f"{len(question)} questions and {len(contexts)} contexts")
    return [{"question": one, "context": its} for one, its in zip(question, contexts, strict=True)]


def _question_and_context(item: Any) -> tuple[str, str]:
    if not isinstance(item, Mapping) or set(item) != {"question", "context"}:
        raise InputError(f'expected {{"question": ..., "context": ...}}, not {item!r:.80}')
    question, context = check_text(item["question"], "question"), check_text(item["context"], "context")
    if not question or not context:
        raise InputError(f"the {'question' if not question else 'context'} is empty")
    return question, context
