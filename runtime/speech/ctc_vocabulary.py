"""The vocabulary of a CTC model: what its tokens are called, and how they are written down."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import BundleError, BundleNotFoundError, OptionError
from ..files import read_json
from ..tokenizer_files import named_tokens, read_config
from .ctc_collapse import Emission

_SPECIAL = {"bos": "<s>", "eos": "</s>", "unk": "<unk>", "pad": "<pad>"}
_CHARACTERS = ("Wav2Vec2CTCTokenizer", "Wav2Vec2Tokenizer")
_PHONEMES = "Wav2Vec2PhonemeCTCTokenizer"
# What transformers' clean_up_tokenization_spaces replaces, in its order.
_CLEAN = ((" .", "."), (" ?", "?"), (" !", "!"), (" ,", ","), (" ' ", "'"), (" n't", "n't"), (" 'm", "'m"),
          (" 's", "'s"), (" 've", "'ve"), (" 're", "'re"))  # fmt: skip


class Written(NamedTuple):
    """A character or word as it is written, and the frames ``start`` to ``end`` (exclusive) in which it was spoken."""

    text: str
    start: int
    end: int


class CtcVocabulary:
    """Tokens to text, as ``Wav2Vec2CTCTokenizer`` and ``Wav2Vec2PhonemeCTCTokenizer`` of transformers write it.

    Args:
        folder: the bundle's; holds ``vocab.json`` and, where the checkpoint has them, ``tokenizer_config.json``,
            ``special_tokens_map.json`` and ``added_tokens.json``.

    Attributes:
        blank: the id of CTC's blank, which is the padding token.

    Raises:
        BundleNotFoundError: there is no ``vocab.json``.
        BundleError: a file is malformed, or tells of another kind of tokenizer.

    Example:
        >>> vocabulary = CtcVocabulary(Path("models/wav2vec2"))      # doctest: +SKIP
        >>> vocabulary.text([Emission(11, 3, 4), Emission(10, 6, 7)])      # doctest: +SKIP
        'HI'
    """

    def __init__(self, folder: Path) -> None:
        config = read_config(folder)
        kind = config.get("tokenizer_class") or _CHARACTERS[0]
        if kind not in (*_CHARACTERS, _PHONEMES):
            raise BundleError(
                f"{folder} has a {kind}: of CTC models those with a vocab.json of wav2vec2's kind can run"
            )
        self._phonemes = kind == _PHONEMES
        self._names = _names(folder, config)
        special = {**_defaults(config), **named_tokens(config)}
        ids = {name: index for index, name in self._names.items()}
        for token in special.values():
            if token not in ids:  # it is numbered after those that are there
                ids[token] = len(ids)
                self._names[ids[token]] = token
        if "pad" not in special:
            raise BundleError(f"{folder}/tokenizer_config.json names no pad_token, which is the blank of a CTC model")
        self.blank = ids[special["pad"]]
        self._unknown = special.get("unk", "")
        self._delimiter = _string(config.get("word_delimiter_token", None if self._phonemes else "|"))
        self._space = str(config.get("replace_word_delimiter_char", " "))
        self._lower = bool(config.get("do_lower_case", False)) and not self._phonemes
        self._clean = bool(config.get("clean_up_tokenization_spaces", False))

    def name(self, token: int) -> str:
        """The string of a token id; an id that the vocabulary lacks is unknown."""
        return self._names.get(token, self._unknown)

    def distinct(self, width: int) -> NDArray[np.int64]:
        """For each of ``width`` ids the first that is called the same: CTC groups what reads the same.

        Raises:
            BundleError: the blank is not among them.
        """
        if self.blank >= width:
            raise BundleError(f"the blank is token {self.blank}, and the graph has logits of {width} tokens")
        first: dict[str, int] = {self.name(self.blank): self.blank}
        return np.array([first.setdefault(self.name(token), token) for token in range(width)], dtype=np.int64)

    def characters(self, emissions: Sequence[Emission]) -> list[Written]:
        """What is written for each token: delimiters of words are spaces, or nothing between phonemes."""
        named = ((self.name(token), start, end) for token, start, end in emissions)
        if self._phonemes:
            return [Written(*one) for one in named if one[0] != self._delimiter]
        return [Written(self._space if name == self._delimiter else name, start, end) for name, start, end in named]

    def words(self, characters: Sequence[Written]) -> list[Written]:
        """The words that characters make.

        Raises:
            OptionError: the tokens are phonemes, of which the spaces between words are not kept.
        """
        if self._phonemes:
            raise OptionError("a model of phonemes writes no words: set return_timestamps='char'")
        found = []
        for delimiter, group in groupby(characters, key=lambda character: character.text == self._space):
            if not delimiter:
                spoken = list(group)
                found.append(Written("".join(one.text for one in spoken), spoken[0].start, spoken[-1].end))
        return found

    def text(self, characters: Sequence[Written]) -> str:
        """The text that characters make."""
        text = (" " if self._phonemes else "").join(character.text for character in characters).strip()
        if self._lower:
            text = text.lower()
        if self._clean:
            for found, replacement in _CLEAN:
                text = text.replace(found, replacement)
        return text


def _names(folder: Path, config: dict[str, Any]) -> dict[int, str]:
    """Token strings by id: those of the vocabulary and those added to it."""
    vocabulary = read_json(folder / "vocab.json")
    if vocabulary is None:
        raise BundleNotFoundError(f"{folder} has no vocab.json, which says how the model's tokens are written")
    if (language := config.get("target_lang")) is not None:
        if not isinstance(vocabulary.get(language), dict):
            raise BundleError(f"{folder}/vocab.json has no language {language!r}; it has {', '.join(vocabulary)}")
        vocabulary = vocabulary[language]
    if any(isinstance(part, dict) for part in vocabulary.values()):
        raise BundleError(
            f"{folder}/vocab.json has vocabularies of several languages: tokenizer_config.json must name one of "
            f"{', '.join(vocabulary)} as target_lang"
        )
    added = config.get("added_tokens_decoder")
    try:
        names = {int(index): name for name, index in vocabulary.items()}
        if added is None:
            added = {index: name for name, index in (read_json(folder / "added_tokens.json") or {}).items()}
        return names | {int(index): _string(token) or "" for index, token in added.items()}
    except (AttributeError, TypeError, ValueError) as error:
        raise BundleError(f"{folder} has a malformed vocab.json or added tokens: {error}") from error


def _defaults(config: dict[str, Any]) -> dict[str, str]:
    """The special tokens that a configuration need not name, unless it says that there are none."""
    return {name: token for name, token in _SPECIAL.items() if config.get(f"{name}_token", token) is not None}


def _string(token: Any) -> str | None:
    content = token.get("content") if isinstance(token, dict) else token
    return None if content is None else str(content)
