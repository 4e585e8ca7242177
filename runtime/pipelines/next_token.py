"""Next token: the tokens that may follow a text, with their probabilities."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import OptionError
from ..generation.config import GenerationConfig
from ..generation.sampling import warpers
from ..ops import softmax
from ..session import Array
from .base import Pipeline, check_flag, check_text
from .batching import batches
from .generating import open_generator
from .prompts import begun, check_room, prompt_tokens


@dataclass(frozen=True)
class NextTokenOptions:
    """Options of next-token.

    Attributes:
        top_k: keep this many of the most probable tokens; None or 0 keeps all.
        top_p: of those keep the most probable that together reach this probability.
        temperature: what the logits are divided by first; below 1 favours the most probable tokens.
        prefix: text put before every input.
        add_special_tokens: whether the tokenizer adds its special tokens to the text.
    """

    top_k: int | None = 50
    top_p: float | None = None
    temperature: float = 1.0
    prefix: str = ""
    add_special_tokens: bool = True

    def __post_init__(self) -> None:
        if not isinstance(self.prefix, str):
            raise OptionError(f"prefix must be a text, not {self.prefix!r:.80}")
        check_flag("add_special_tokens", self.add_special_tokens)
        self.config  # noqa: B018 - checks the numbers

    @property
    def config(self) -> GenerationConfig:
        """The filters, as options of sampling."""
        return GenerationConfig(do_sample=True).replace(
            top_k=self.top_k or 0, top_p=self.top_p, temperature=self.temperature
        )


class NextTokenPipeline(Pipeline[NextTokenOptions]):
    """The distribution of the token after a text, ``str``: ``{"token": int, "token_str": str, "score": float}``.

    Most probable first, filtered by ``top_k`` and ``top_p``; the scores of the tokens kept sum to 1. Runs on a
    text-generation bundle. Options: :class:`NextTokenOptions`.

    Example:
        >>> follow = pipeline("next-token", "models/gpt2", top_k=2)      # doctest: +SKIP
        >>> follow("Hugging Face is based in DUMBO, New York City, and")      # doctest: +SKIP
        [{'token': 318, 'token_str': ' is', 'score': 0.61}, {'token': 468, 'token_str': ' has', 'score': 0.39}]
    """

    task = "next-token"
    options_type = NextTokenOptions

    def _open(self) -> None:
        self.generator = open_generator(self.bundle, self.task, encoder_decoder=False)

    def _answer(self, items: list[Any], options: NextTokenOptions) -> Iterator[list[dict[str, Any]]]:
        texts = [options.prefix + check_text(item) for item in items]
        prompts = prompt_tokens(self.tokenizer, texts, special_tokens=options.add_special_tokens)
        rows = [begun(tokens, self.generator.config.bos_token_id) for tokens in prompts]
        for row in rows:
            check_room(row, self.generator.position_limit)
        answers: list[list[dict[str, Any]]] = [[] for _ in rows]
        for batch in batches([len(row) for row in rows], self.batch_size):
            longest = max(len(rows[index]) for index in batch)
            tokens = np.zeros((len(batch), longest), dtype=np.int64)
            for place, index in enumerate(batch):
                tokens[place, : len(rows[index])] = rows[index]
            lengths = np.array([len(rows[index]) for index in batch], dtype=np.int64)
            logits = self.generator.new_cache(len(batch), longest).prefill(tokens, lengths)  # (rows, vocab)
            for process in warpers(options.config):
                logits = process(tokens, logits)
            for index, scores in zip(batch, softmax(logits), strict=True):
                answers[index] = self._named(scores, options.top_k or scores.size)
        yield from answers

    def _named(self, scores: Array, most: int) -> list[dict[str, Any]]:
        kept = np.flatnonzero(scores)
        best = kept[np.argsort(-scores[kept], kind="stable")][:most]  # filters keep equals of the last
        return [
            {"token": int(token), "token_str": self.tokenizer.decode([token]), "score": float(scores[token])}
            for token in best
        ]
