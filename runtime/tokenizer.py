"""Text to model inputs and back, with the `tokenizers` library and what ``tokenizer_config.json`` says.

Nothing here changes the underlying tokenizer's state (truncation, padding), so one tokenizer serves many threads.
"""

from __future__ import annotations

import re
import threading
import warnings
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import tokenizers
from numpy.typing import NDArray

from . import texts as checks
from . import tokenizer_files
from .batch import Batch, collate
from .errors import InputError, OptionError, TruncationWarning, user_stacklevel
from .languages import Languages
from .texts import Text
from .vocabulary import Vocabulary

__all__ = ["Batch", "Text", "Tokenizer", "Truncation", "length_limit"]

Truncation: TypeAlias = Literal["longest_first", "only_first", "only_second"]

# transformers writes an absurdly large model_max_length where a tokenizer has no limit.
_NO_LIMIT = 1_000_000
_FORCED_CLEAN_UP = "clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output"


class Tokenizer:
    """A frozen ``tokenizer.json`` and its configuration.

    Args:
        folder: holds ``tokenizer.json``, and usually ``tokenizer_config.json`` or ``special_tokens_map.json``.
        max_length: the model's limit in tokens, special tokens included; None takes the configuration's.

    Raises:
        BundleNotFoundError: there is no ``tokenizer.json``.
        BundleError: a file is malformed.

    Example:
        >>> tokenizer = Tokenizer(Path("models/sst2"))      # doctest: +SKIP
        >>> tokenizer(["I love you", ("a question", "its context")])["input_ids"].shape      # doctest: +SKIP
        (2, 7)
    """

    def __init__(self, folder: Path, max_length: int | None = None) -> None:
        self._folder = folder
        self.backend = tokenizer_files.read_backend(folder)
        config = self._config = tokenizer_files.read_config(folder)
        own = tokenizer_files.own_settings(config)
        # Truncation is state of the library's tokenizer: a second one, under a lock, keeps the first free of it.
        self._truncating: tokenizers.Tokenizer | None = None
        self._lock = threading.Lock()
        self.max_length = max_length if max_length is not None else length_limit(config.get("model_max_length"))
        self.padding_side: str = config.get("padding_side", "right")
        self.truncation_side: str = config.get("truncation_side", "right")
        self._encoded = Vocabulary(self.backend, own)
        # What comes out may have a vocabulary of its own, where the two sides of a translation do.
        target = own.get("target")
        self._decoding = tokenizer_files.read_backend(folder, str(target)) if target else self.backend
        self._decoded = Vocabulary(self._decoding, {}) if target else self._encoded
        self.tokens: dict[str, str] = {}
        self.ids: dict[str, int] = {}
        for name, token in tokenizer_files.named_tokens(config).items():
            identifier = self._encoded.id(token)
            if identifier is not None:
                self.tokens[name], self.ids[name] = token, identifier
        self._hidden: str | None = own.get("hidden")
        languages = own.get("languages")
        self._languages = Languages(self.backend, languages) if languages else None
        # Cleaning up spaces is meant for word pieces; transformers skips it for byte-pair encodings too.
        self._bpe = type(self.backend.model).__name__ == "BPE" and not config.get(_FORCED_CLEAN_UP, False)
        self._clean_up = bool(config.get("clean_up_tokenization_spaces", False))
        # Words can only be told apart by tokens where continuation pieces carry a prefix such as "##".
        self.marks_subwords = bool(getattr(self.backend.model, "continuing_subword_prefix", None))

    def __call__(
        self,
        texts: Text | Sequence[Text],
        *,
        truncation: Truncation | None = "longest_first",
        max_length: int | None = None,
        src_lang: str | None = None,
    ) -> Batch:
        """Model inputs for one text or pair of texts, or a list of them, padded to the longest.

        Args:
            texts: strings, or (first, second) tuples.
            truncation: which text of a pair is cut where it is too long; None never cuts.
            max_length: limit in tokens, special tokens included; None takes the model's.
            src_lang: the language of the texts, one of ``languages``; None takes the checkpoint's.

        Returns:
            ``input_ids``, ``attention_mask`` and ``token_type_ids``, each int64 ``(batch, length)``.
        """
        many = isinstance(texts, Iterable) and not isinstance(texts, (str, tuple, bytes, Mapping))
        listed: list[Any] = list(texts) if many else [texts]
        return self.collate(self.encode(listed, truncation=truncation, max_length=max_length, src_lang=src_lang))

    def encode(
        self,
        texts: Sequence[Text] | Sequence[list[str]],
        *,
        truncation: Truncation | None = "longest_first",
        max_length: int | None = None,
        special_tokens: bool = True,
        src_lang: str | None = None,
    ) -> list[tokenizers.Encoding]:
        """Encode texts, cutting what is too long and warning about the tokens lost.

        Args:
            texts: strings, (first, second) tuples, or lists of words; one kind of them.
            truncation: which text of a pair is cut where it is too long; None never cuts.
            max_length: limit in tokens, special tokens included; None takes the model's.
            special_tokens: whether to add them.
            src_lang: the language of the texts, one of ``languages``; None takes the checkpoint's.

        Raises:
            InputError: a text is none of these, or cannot be cut to fit.
            OptionError: an unknown truncation or language, a limit below the number of special tokens, or a language
                for pairs of texts or without special tokens.
        """
        if truncation is not None and truncation not in get_args(Truncation):
            raise OptionError(f"truncation must be one of {get_args(Truncation)} or None, not {truncation!r}")
        words = checks.check_all(texts)
        languages = None if src_lang is None else self._speaking(src_lang, texts, special_tokens)
        special = special_tokens and languages is None
        try:
            encodings: list[tokenizers.Encoding] = self.backend.encode_batch(
                texts, is_pretokenized=words, add_special_tokens=special
            )
        except TypeError as error:
            raise checks.not_unicode(error) from error
        limit = self.max_length if max_length is None else max_length
        if truncation is not None and limit is not None:
            self._cut(encodings, texts, limit, truncation, special, 0 if languages is None else languages.added())
        encodings = [self._encoded.resolve(encoding) for encoding in encodings]
        return encodings if languages is None or src_lang is None else languages.around(encodings, src_lang)

    def windows(
        self,
        text: Text | Sequence[str],
        *,
        max_length: int,
        stride: int,
        truncation: Truncation = "longest_first",
    ) -> list[tokenizers.Encoding]:
        """Overlapping windows over a text that may be too long.

        Args:
            text: a text; a pair, of which every window repeats the text that is not cut; or a list of words.
            max_length: tokens per window, special tokens included.
            stride: tokens by which a window overlaps the one before.
            truncation: which text of a pair is cut into windows.

        Returns:
            One encoding per window, special tokens included, offsets counted in the whole text.

        Raises:
            InputError: the text that is repeated leaves no room for the one that is cut.
            OptionError: the windows would have no room to advance.
        """
        checks.check(text)
        pair = isinstance(text, tuple)
        if pair and truncation == "longest_first":
            raise OptionError("windows over a pair cut one of its texts: truncation='only_first' or 'only_second'")
        encoding = checks.encode_one(self.backend, text)
        if 0 < len(encoding) <= max_length:
            return [self._encoded.resolve(encoding)]
        part = 1 if truncation == "only_second" else 0
        room = max_length - sum(sequence != part for sequence in encoding.sequence_ids)
        if pair and room < 1:
            raise InputError(f"the text that windows of {max_length} tokens repeat leaves no room for the other")
        if not 0 <= stride < room:  # the library panics
            raise OptionError(
                f"no windows of {max_length} tokens with a stride of {stride}: they would advance by {room - stride}"
            )
        first = self._truncate(text, max_length, truncation, stride=stride)
        return [self._encoded.resolve(encoding) for encoding in (first, *first.overflowing)]

    def special_tokens(self, pair: bool = False) -> int:
        """How many special tokens are added to one text or to a pair."""
        return int(self.backend.num_special_tokens_to_add(pair))

    def collate(self, encodings: Sequence[tokenizers.Encoding]) -> Batch:
        """Pad encodings to the longest and stack them.

        Raises:
            InputError: rows differ in length and the tokenizer has no padding token.
        """
        return collate(encodings, self.ids.get("pad"), self.padding_side)

    def decode(
        self,
        ids: Sequence[int] | NDArray[np.integer[Any]],
        skip_special_tokens: bool = False,
        clean_up_tokenization_spaces: bool | None = None,
    ) -> str:
        """The text of token ids.

        Args:
            ids: the tokens.
            skip_special_tokens: leave special tokens out.
            clean_up_tokenization_spaces: whether to remove the spaces that word pieces leave before punctuation; None
                takes the configuration's. The text of byte-pair encodings is never changed.
        """
        try:
            text: str = self._decoding.decode(checks.listed(ids), skip_special_tokens=skip_special_tokens)
        except (OverflowError, TypeError) as error:
            raise checks.no_ids(error) from error
        return self._finished(text, clean_up_tokenization_spaces)

    def decode_batch(
        self,
        ids: Sequence[Sequence[int]] | NDArray[np.integer[Any]],
        skip_special_tokens: bool = False,
        clean_up_tokenization_spaces: bool | None = None,
    ) -> list[str]:
        """The texts of rows of token ids, such as ``(rows, length)``; all else as in :meth:`decode`.

        Raises:
            InputError: what is no token id.
        """
        try:
            rows = [checks.listed(row) for row in ids]
            texts: list[str] = self._decoding.decode_batch(rows, skip_special_tokens=skip_special_tokens)
        except (OverflowError, TypeError) as error:
            raise checks.no_ids(error) from error
        return [self._finished(text, clean_up_tokenization_spaces) for text in texts]

    def apply_chat_template(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        tools: Sequence[Mapping[str, Any]] | None = None,
        documents: Sequence[Mapping[str, Any]] | None = None,
        chat_template: str | None = None,
        add_generation_prompt: bool | None = None,
        continue_final_message: bool | str = False,
        **variables: Any,
    ) -> str:
        r"""The text of a conversation; encode it with ``special_tokens=False``, as the template writes them.

        Args:
            messages: dictionaries with ``role`` and ``content``, and whatever else the template reads.
            tools: JSON schemas of functions that the model may call.
            documents: dictionaries with ``title`` and ``text``.
            chat_template: the name of one of ``chat_templates``, or Jinja source; None takes ``"tool_use"`` with tools
                where there is one, and ``"default"`` otherwise.
            add_generation_prompt: whether the text ends with what introduces an answer; None does so unless the last
                message is to be continued.
            continue_final_message: end the text within the last message, so that the model goes on with it.
            variables: what else the template can see.

        Raises:
            MissingDependencyError: jinja2 is not installed.
            BundleError: a malformed template.
            InputError: messages that are none, or that the template refuses.
            OptionError: there is no such template, or options that contradict each other.

        Example:
            >>> tokenizer = Tokenizer(Path("models/chat"))      # doctest: +SKIP
            >>> tokenizer.apply_chat_template([{"role": "user", "content": "Hi"}])      # doctest: +SKIP
            '<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n'
        """
        from .chat import choose, render

        template = choose(self.chat_templates, chat_template, tools is not None)
        special = {f"{name}_token": token for name, token in self.tokens.items() if name.isidentifier()}
        return render(
            template,
            messages,
            tools,
            documents,
            add_generation_prompt,
            continue_final_message=continue_final_message,
            **{**special, **variables},
        )

    def join(self, tokens: Sequence[str]) -> str:
        """The text of token strings, as the tokenizer's decoder joins them."""
        decoder = self.backend.decoder
        return " ".join(tokens) if decoder is None else str(decoder.decode(list(tokens)))

    def token(self, identifier: int) -> str:
        """The string of one token id."""
        return self._decoded.token(identifier)

    def id(self, token: str) -> int | None:
        """The id of one token string, or None where the vocabulary lacks it."""
        return self._decoded.id(token)

    def language_id(self, code: str) -> int:
        """The id of a language's token, which a translation into it begins with.

        Raises:
            OptionError: an unknown language, or a tokenizer without languages.
        """
        if self._languages is None:
            raise OptionError(f"the tokenizer has no languages to choose from, {code!r} or others")
        return self._languages.id(code)

    @property
    def languages(self) -> list[str]:
        """The languages that ``src_lang`` and :meth:`language_id` take; empty where there are none to choose."""
        return [] if self._languages is None else self._languages.codes

    @cached_property
    def special_ids(self) -> frozenset[int]:
        """The ids that ``skip_special_tokens`` leaves out."""
        added = self._decoding.get_added_tokens_decoder()
        return frozenset(identifier for identifier, token in added.items() if token.special)

    @cached_property
    def chat_templates(self) -> dict[str, str]:
        """Jinja source by name, ``"default"`` where there is one; empty where the model is not for chats."""
        return tokenizer_files.chat_templates(self._folder, self._config)

    def __len__(self) -> int:
        return self._decoded.size

    def __reduce__(self) -> tuple[type[Tokenizer], tuple[Path, int | None]]:
        return Tokenizer, (self._folder, self.max_length)

    def _finished(self, text: str, clean_up: bool | None) -> str:
        """A text without what is never shown (timestamps), and cleaned up where that is wanted."""
        if not self._bpe and (self._clean_up if clean_up is None else clean_up):
            text = checks.clean_up(text)
        return text if self._hidden is None else re.sub(self._hidden, "", text)

    def _speaking(self, code: str, texts: Sequence[Any], special_tokens: bool) -> Languages:
        """The languages, one of which is that of the texts."""
        self.language_id(code)
        if not special_tokens:
            raise OptionError(f"src_lang={code!r} is told by special tokens: special_tokens=False contradicts it")
        if any(isinstance(text, tuple) for text in texts):
            raise OptionError(f"src_lang={code!r} is for single texts, not for pairs")
        assert self._languages is not None
        return self._languages

    def _cut(
        self,
        encodings: list[tokenizers.Encoding],
        texts: Sequence[Any],
        limit: int,
        truncation: Truncation,
        special_tokens: bool,
        reserved: int,
    ) -> None:
        """Replace encodings that are too long, ``reserved`` tokens included, with a warning of what is lost."""
        if reserved and limit < reserved:
            raise OptionError(f"a limit of {limit} tokens leaves no room for the {reserved} special tokens")
        lost = [max(0, len(encoding) + reserved - limit) for encoding in encodings]
        for row, excess in enumerate(lost):
            if excess:
                room = limit - reserved
                encodings[row] = self._truncate(texts[row], room, truncation, special_tokens=special_tokens)
        if any(lost):
            warnings.warn(
                f"{sum(map(bool, lost))} of {len(texts)} texts exceed the limit of {limit} tokens and were cut: "
                f"{sum(lost)} tokens lost, at most {max(lost)} from one text",
                TruncationWarning,
                stacklevel=user_stacklevel(),
            )

    def _truncate(
        self,
        text: Text | Sequence[str],
        limit: int,
        truncation: Truncation,
        *,
        stride: int = 0,
        special_tokens: bool = True,
    ) -> tokenizers.Encoding:
        added = self.special_tokens(pair=isinstance(text, tuple)) if special_tokens else 0
        if limit < added:
            raise OptionError(f"a limit of {limit} tokens leaves no room for the {added} special tokens")
        with self._lock:
            if self._truncating is None:
                self._truncating = tokenizer_files.read_backend(self._folder)  # a copy by text would be inexact
            try:
                self._truncating.enable_truncation(
                    limit, stride=stride, strategy=truncation, direction=self.truncation_side
                )
            except Exception as error:  # the library raises a bare Exception
                raise OptionError(f"no windows of {limit} tokens with a stride of {stride}: {error}") from error
            try:
                return checks.encode_one(self._truncating, text, special_tokens)
            except Exception as error:
                raise InputError(f"a text cannot be cut to {limit} tokens with {truncation!r}: {error}") from error


def length_limit(declared: Any) -> int | None:
    """A tokenizer's declared ``model_max_length``, or None where it means no limit."""
    return int(declared) if isinstance(declared, (int, float)) and 0 < declared < _NO_LIMIT else None
