"""Texts of an exact number of tokens for every task, made of words that the tokenizer has whole."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from ..bundle import Bundle
from ..errors import InputError
from ..tokenizer import Text, Tokenizer

# Words that are looked at, and those that are enough.
_LOOKED_AT, _ENOUGH = 2000, 200
_CANDIDATES = 3
_QUESTION = 12  # words at the most
# Times that a text is mended which has not the number of tokens that it should have.
_TRIES = 20


class Words:
    """Words of one token each.

    Args:
        tokenizer: whose words they are.

    Attributes:
        tokenizer: as given.
        known: the words.

    Raises:
        InputError: it has none that stay one token beside each other.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        vocabulary = self._vocabulary()
        long = [word for word in vocabulary if len(word) > 1]
        # Words as they are written; letters or signs that stand alone; letters without spaces between them.
        for space, words in ((" ", long), (" ", vocabulary), ("", vocabulary)):
            self._space = space
            self.known = self._of_one_token(words)
            if self.known:
                return
        raise InputError("the tokenizer has no words of one token to make texts of: give inputs of your own")

    def joined(self, count: int, chance: random.Random) -> str:
        """So many words, drawn."""
        return self._space.join(chance.choices(self.known, k=count))

    def join(self, parts: Sequence[str]) -> str:
        """Parts of a text as a text."""
        return self._space.join(filter(None, parts))

    def _vocabulary(self) -> list[str]:
        """Words that single tokens stand for, evenly spread over the vocabulary."""
        size = len(self.tokenizer)
        ids = [place * size // _LOOKED_AT for place in range(_LOOKED_AT)] if size > _LOOKED_AT else range(size)
        special = self.tokenizer.special_ids
        texts = self.tokenizer.decode_batch([[i] for i in ids if i not in special], skip_special_tokens=True)
        return list(dict.fromkeys(word for text in texts if (word := text.strip()).isalpha()))

    def _of_one_token(self, words: Sequence[str]) -> list[str]:
        """Those that are one token at the beginning of a text, behind themselves, and again."""

        def counts(times: int) -> list[int]:
            texts = [self._space.join([word] * times) for word in words]
            return [len(row) for row in self.tokenizer.encode(texts, truncation=None, special_tokens=False)]

        if not words:
            return []
        found = zip(words, counts(1), counts(2), counts(3), strict=True)
        return list(islice((word for word, *lengths in found if lengths == [1, 2, 3]), _ENOUGH))


def exact(tokenizer: Tokenizer, length: int, made: Callable[[int], Text], *, src_lang: str | None = None) -> Text:
    """A text, or a pair of them, of exactly so many tokens.

    Args:
        tokenizer: what counts.
        length: tokens, special ones included.
        made: makes a text of a number of words, which need not be that of its tokens.
        src_lang: the language that the tokenizer is told.

    Raises:
        InputError: there is no such text.
    """
    words, count = length, 0
    for _ in range(_TRIES):
        if words < 1:
            break
        text = made(words)
        count = len(tokenizer.encode([text], truncation=None, src_lang=src_lang)[0])
        if count == length:
            return text
        words += length - count
    raise InputError(f"no text of {length} tokens can be made of this tokenizer's words (the last try had {count})")


@dataclass(frozen=True)
class Maker:
    """Makes the inputs of a task.

    Attributes:
        make: one input, whose rows of tokens have the wanted length, by a source of chance.
        rows: how many rows it becomes.
        options: what the pipeline has to be told.
    """

    make: Callable[[random.Random], Any]
    rows: int = 1
    options: Mapping[str, Any] = field(default_factory=dict)


def maker(task: str, words: Words, length: int, src_lang: str | None = None) -> Maker:
    """What makes a task's inputs.

    Args:
        task: one that reads texts, without languages.
        words: of the tokenizer that counts.
        length: tokens of every row, special ones included.
        src_lang: the language that the tokenizer is told.
    """
    tokenizer = words.tokenizer
    if task == "fill-mask":
        mask = tokenizer.tokens.get("mask", "")

        def masked(count: int, chance: random.Random) -> str:
            before = (count - 1) // 2
            return words.join([words.joined(before, chance), mask, words.joined(count - 1 - before, chance)])

        return Maker(lambda chance: exact(tokenizer, length, lambda count: masked(count, chance)))
    if task == "question-answering":
        question = max(1, min(_QUESTION, length // 4))

        def pair(count: int, chance: random.Random) -> Text:
            return words.joined(question, chance), words.joined(max(1, count - question), chance)

        def asked(chance: random.Random) -> dict[str, str]:
            return dict(
                zip(("question", "context"), exact(tokenizer, length, lambda count: pair(count, chance)), strict=True)
            )

        return Maker(asked, options={"max_seq_len": length})
    if task == "zero-shot-classification":
        labels = candidates(words)
        hypothesis = f"This example is {labels[0]}."
        return Maker(
            lambda chance: exact(tokenizer, length, lambda count: (words.joined(count, chance), hypothesis))[0],
            rows=len(labels),
            options={"candidate_labels": labels},
        )
    return Maker(lambda chance: exact(tokenizer, length, lambda count: words.joined(count, chance), src_lang=src_lang))


def candidates(words: Words) -> list[str]:
    """Labels for zero-shot classification, of one token each, so that all rows are of one length."""
    return words.known[:_CANDIDATES]


def languages(bundle: Bundle) -> dict[str, str]:
    """Options of a translation whose task names no languages, where the checkpoint has to be told some."""
    if codes := bundle.tokenizer.languages:
        return {"src_lang": codes[0], "tgt_lang": codes[-1]}
    declared = bundle.config.get("task_specific_params")
    pairs = [name for name in declared if name.startswith("translation_")] if isinstance(declared, Mapping) else []
    if not pairs:
        return {}
    source, target = pairs[0].removeprefix("translation_").split("_to_")
    return {"src_lang": source, "tgt_lang": target}


def tokens(tokenizer: Tokenizer, item: Any) -> int:
    """Tokens of an input of a task that reads texts, special ones included.

    Raises:
        InputError: it is none.
    """
    special = True
    if isinstance(item, Mapping):
        parts = [part for name in ("question", "context", "text", "text_pair") if (part := item.get(name))]
        item = (parts[0], parts[1]) if len(parts) == 2 else parts[0] if parts else item
    elif isinstance(item, list) and item and isinstance(item[0], Mapping):  # a chat, whose template writes them itself
        item, special = tokenizer.apply_chat_template(item), False
    (row,) = tokenizer.encode([item], truncation=None, special_tokens=special)
    return len(row)
