"""Text to model inputs and back, with the `tokenizers` library and what ``tokenizer_config.json`` says.

Nothing here changes the underlying tokenizer's state (truncation, padding), so one tokenizer serves many threads.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import tokenizers
from numpy.typing import NDArray

from .errors import (
    BundleError,
    BundleNotFoundError,
    InputError,
    OptionError,
    TruncationWarning,
    user_stacklevel,
)
from .files import read_json

Text: TypeAlias = str | tuple[str, str]
Truncation: TypeAlias = Literal["longest_first", "only_first", "only_second"]

_SPECIAL_TOKENS = ("bos", "eos", "unk", "sep", "pad", "cls", "mask")
# transformers writes an absurdly large model_max_length where a tokenizer has no limit.
_NO_LIMIT = 1_000_000


class Batch(dict[str, NDArray[np.int64]]):
    """Model inputs by name, each ``(batch, length)``, with the encodings that they were made from.

    Attributes:
        encodings: one ``tokenizers.Encoding`` per row, unpadded: tokens, offsets, word ids, special tokens mask.
    """

    def __init__(self, arrays: dict[str, NDArray[np.int64]], encodings: Sequence[tokenizers.Encoding]) -> None:
        super().__init__(arrays)
        self.encodings = list(encodings)

    @property
    def offsets(self) -> list[list[tuple[int, int]]]:
        """Per row and token, the (start, end) characters in the text it came from; (0, 0) for special tokens."""
        return [encoding.offsets for encoding in self.encodings]


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
        path = folder / "tokenizer.json"
        if not path.is_file():
            raise BundleNotFoundError(f"{folder} has no tokenizer.json")
        try:
            self.backend = tokenizers.Tokenizer.from_file(str(path))
        except Exception as error:  # the library raises a bare Exception
            raise BundleError(f"{path} is not a tokenizer: {error}") from error
        self.backend.no_truncation()
        self.backend.no_padding()
        # Truncation is state of the library's tokenizer: a second one, under a lock, keeps the first free of it.
        self._truncating: tokenizers.Tokenizer | None = None
        self._lock = threading.Lock()
        config = {
            **(read_json(folder / "special_tokens_map.json") or {}),
            **(read_json(folder / "tokenizer_config.json") or {}),
        }
        self.max_length = max_length if max_length is not None else length_limit(config.get("model_max_length"))
        self.padding_side: str = config.get("padding_side", "right")
        self.truncation_side: str = config.get("truncation_side", "right")
        self.tokens: dict[str, str] = {}
        self.ids: dict[str, int] = {}
        for name in _SPECIAL_TOKENS:
            token = config.get(f"{name}_token")
            token = token.get("content") if isinstance(token, dict) else token
            identifier = self.backend.token_to_id(token) if token else None
            if identifier is not None:
                self.tokens[name], self.ids[name] = str(token), identifier
        # Cleaning up spaces is meant for word pieces; transformers skips it for byte-pair encodings too.
        self._bpe = type(self.backend.model).__name__ == "BPE"
        self._clean_up = bool(config.get("clean_up_tokenization_spaces", False))
        # Words can only be told apart by tokens where continuation pieces carry a prefix such as "##".
        self.marks_subwords = bool(getattr(self.backend.model, "continuing_subword_prefix", None))

    def __call__(
        self,
        texts: Text | Sequence[Text],
        *,
        truncation: Truncation | None = "longest_first",
        max_length: int | None = None,
    ) -> Batch:
        """Model inputs for one text or pair of texts, or a list of them, padded to the longest.

        Args:
            texts: strings, or (first, second) tuples.
            truncation: which text of a pair is cut where it is too long; None never cuts.
            max_length: limit in tokens, special tokens included; None takes the model's.

        Returns:
            ``input_ids``, ``attention_mask`` and ``token_type_ids``, each int64 ``(batch, length)``.
        """
        many = isinstance(texts, Iterable) and not isinstance(texts, (str, tuple, bytes, Mapping))
        listed: list[Any] = list(texts) if many else [texts]
        return self.collate(self.encode(listed, truncation=truncation, max_length=max_length))

    def encode(
        self,
        texts: Sequence[Text] | Sequence[list[str]],
        *,
        truncation: Truncation | None = "longest_first",
        max_length: int | None = None,
        special_tokens: bool = True,
    ) -> list[tokenizers.Encoding]:
        """Encode texts, cutting what is too long and warning about the tokens lost.

        Args:
            texts: strings, (first, second) tuples, or lists of words; one kind of them.
            truncation: which text of a pair is cut where it is too long; None never cuts.
            max_length: limit in tokens, special tokens included; None takes the model's.
            special_tokens: whether to add them.

        Raises:
            InputError: a text is none of these, or cannot be cut to fit.
            OptionError: an unknown truncation, or a limit below the number of special tokens.
        """
        if truncation is not None and truncation not in get_args(Truncation):
            raise OptionError(f"truncation must be one of {get_args(Truncation)} or None, not {truncation!r}")
        if not isinstance(texts, (list, tuple)):
            raise InputError(f"expected a list of texts, not {type(texts).__name__}: {texts!r:.80}")
        for text in texts:
            _check(text)
        words = any(isinstance(text, list) for text in texts)
        if words and not all(isinstance(text, list) for text in texts):
            raise InputError("some texts are lists of words and some are not")
        try:
            encodings: list[tokenizers.Encoding] = self.backend.encode_batch(
                texts, is_pretokenized=words, add_special_tokens=special_tokens
            )
        except TypeError as error:
            raise _not_unicode(error) from error
        limit = self.max_length if max_length is None else max_length
        if truncation is None or limit is None:
            return encodings
        lost = [max(0, len(encoding) - limit) for encoding in encodings]
        for row, excess in enumerate(lost):
            if excess:
                encodings[row] = self._truncate(texts[row], limit, truncation, special_tokens=special_tokens)
        if any(lost):
            warnings.warn(
                f"{sum(map(bool, lost))} of {len(texts)} texts exceed the limit of {limit} tokens and were cut: "
                f"{sum(lost)} tokens lost, at most {max(lost)} from one text",
                TruncationWarning,
                stacklevel=user_stacklevel(),
            )
        return encodings

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
        _check(text)
        pair = isinstance(text, tuple)
        if pair and truncation == "longest_first":
            raise OptionError("windows over a pair cut one of its texts: truncation='only_first' or 'only_second'")
        encoding = _encode_one(self.backend, text)
        if 0 < len(encoding) <= max_length:
            return [encoding]
        part = 1 if truncation == "only_second" else 0
        room = max_length - sum(sequence != part for sequence in encoding.sequence_ids)
        if pair and room < 1:
            raise InputError(f"the text that windows of {max_length} tokens repeat leaves no room for the other")
        if not 0 <= stride < room:  # the library panics
            raise OptionError(
                f"no windows of {max_length} tokens with a stride of {stride}: they would advance by {room - stride}"
            )
        first = self._truncate(text, max_length, truncation, stride=stride)
        return [first, *first.overflowing]

    def special_tokens(self, pair: bool = False) -> int:
        """How many special tokens are added to one text or to a pair."""
        return int(self.backend.num_special_tokens_to_add(pair))

    def collate(self, encodings: Sequence[tokenizers.Encoding]) -> Batch:
        """Pad encodings to the longest and stack them.

        Raises:
            InputError: rows differ in length and the tokenizer has no padding token.
        """
        lengths = [len(encoding) for encoding in encodings]
        longest = max(lengths, default=0)
        pad = self.ids.get("pad")
        if pad is None and any(length < longest for length in lengths):
            raise InputError("the tokenizer has no padding token, so only texts of one length can be batched")
        shape = (len(encodings), longest)
        arrays = {
            "input_ids": np.full(shape, 0 if pad is None else pad, dtype=np.int64),
            "attention_mask": np.zeros(shape, dtype=np.int64),
            "token_type_ids": np.zeros(shape, dtype=np.int64),
        }
        for row, (encoding, length) in enumerate(zip(encodings, lengths, strict=True)):
            place = slice(0, length) if self.padding_side == "right" else slice(longest - length, longest)
            arrays["input_ids"][row, place] = encoding.ids
            arrays["attention_mask"][row, place] = 1
            arrays["token_type_ids"][row, place] = encoding.type_ids
        return Batch(arrays, encodings)

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
        text: str = self.backend.decode([int(i) for i in ids], skip_special_tokens=skip_special_tokens)
        wanted = self._clean_up if clean_up_tokenization_spaces is None else clean_up_tokenization_spaces
        return _clean_up(text) if wanted and not self._bpe else text

    def join(self, tokens: Sequence[str]) -> str:
        """The text of token strings, as the tokenizer's decoder joins them."""
        decoder = self.backend.decoder
        return " ".join(tokens) if decoder is None else str(decoder.decode(list(tokens)))

    def token(self, identifier: int) -> str:
        """The string of one token id."""
        token = self.backend.id_to_token(identifier) if 0 <= identifier < 1 << 32 else None
        if token is None:
            raise InputError(f"token id {identifier} is not in the vocabulary")
        return str(token)

    def id(self, token: str) -> int | None:
        """The id of one token string, or None where the vocabulary lacks it."""
        identifier: int | None = self.backend.token_to_id(token)
        return identifier

    def __len__(self) -> int:
        return int(self.backend.get_vocab_size())

    def __reduce__(self) -> tuple[type[Tokenizer], tuple[Path, int | None]]:
        return Tokenizer, (self._folder, self.max_length)

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
                self._truncating = tokenizers.Tokenizer.from_str(self.backend.to_str())
            try:
                self._truncating.enable_truncation(
                    limit, stride=stride, strategy=truncation, direction=self.truncation_side
                )
            except Exception as error:  # the library raises a bare Exception
                raise OptionError(f"no windows of {limit} tokens with a stride of {stride}: {error}") from error
            try:
                return _encode_one(self._truncating, text, special_tokens)
            except Exception as error:
                raise InputError(f"a text cannot be cut to {limit} tokens with {truncation!r}: {error}") from error


def _encode_one(
    backend: tokenizers.Tokenizer, text: Text | Sequence[str], special_tokens: bool = True
) -> tokenizers.Encoding:
    first, second = text if isinstance(text, tuple) else (text, None)
    try:
        return backend.encode(first, second, is_pretokenized=isinstance(text, list), add_special_tokens=special_tokens)
    except TypeError as error:
        raise _not_unicode(error) from error


def _not_unicode(error: TypeError) -> InputError:
    """Texts were checked to be strings, so that the library only refuses those with half a surrogate pair."""
    return InputError(f"a text is not valid Unicode: {error}")


def _check(text: Any) -> None:
    if isinstance(text, str):
        return
    pair = isinstance(text, tuple) and len(text) == 2
    if not ((pair or isinstance(text, list)) and all(isinstance(part, str) for part in text)):
        raise InputError(f"expected a text or a pair of texts, not {type(text).__name__}: {text!r:.80}")


def length_limit(declared: Any) -> int | None:
    """A tokenizer's declared ``model_max_length``, or None where it means no limit."""
    return int(declared) if isinstance(declared, (int, float)) and 0 < declared < _NO_LIMIT else None


def _clean_up(text: str) -> str:
    """Undo the spaces that word pieces put before punctuation; the list is transformers'."""
    for spaced in (" .", " ?", " !", " ,"):
        text = text.replace(spaced, spaced[1:])
    text = text.replace(" ' ", "'")
    for spaced in (" n't", " 'm", " 's", " 've", " 're"):
        text = text.replace(spaced, spaced[1:])
    return text
