"""From tokens to text while they come, without ever showing half a character."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

# What a later token may still change: a character whose bytes are not all there; and spaces and beginnings of
# contractions, from which the clean-up of some tokenizers removes spaces ("do n ' t" is "don't", "so ." is "so."); and
# the sign that a word goes on ("th@@"), which is shown where nothing follows.
_UNSETTLED = re.compile("(?: n(?: ?')?| '[vr]?|@+)? ?\ufffd*\\Z")


class TextStream:
    r"""The text of tokens, in pieces, for one row.

    The pieces joined are the text that ``decode`` gives for all tokens. Only the last few tokens are decoded anew with
    each one, so that a piece costs the same however long the text is.

    Args:
        decode: token ids to their text, such as ``tokenizer.decode``.
        context: tokens before the first one, such as the prompt, whose text is not returned: some tokenizers drop the
            space before the first token of all.
        skip_special_tokens: passed to ``decode``.

    Example:
        >>> letters = {1: b"\xc3", 2: b"\xa9", 3: b"t"}
        >>> stream = TextStream(lambda ids, **_: b"".join(letters[i] for i in ids).decode(errors="replace"))
        >>> [stream.feed(token) for token in (3, 1, 2, 3)], stream.end()
        (['t', '', 'é', 't'], '')
    """

    # Tokens decoded at once: more than _MOST are cut down to _LEAST, which are enough for any clean-up.
    _LEAST, _MOST = 8, 24

    def __init__(
        self, decode: Callable[..., str], context: Sequence[int] = (), *, skip_special_tokens: bool = True
    ) -> None:
        self._decode, self._skip = decode, skip_special_tokens
        self._tokens = [int(token) for token in context[-self._LEAST :]]
        self._shown = (
            len(self._text(self._tokens)) if self._tokens else 0
        )  # characters of their text that were returned
        self._limit = self._MOST

    def feed(self, tokens: int | Sequence[int] | NDArray[np.integer[Any]]) -> str:
        """Add one or more tokens: the text that is certain now, and was not before. Often empty."""
        self._tokens += np.atleast_1d(np.asarray(tokens, dtype=np.int64)).tolist()
        text = self._text(self._tokens)
        piece = self._show(_UNSETTLED.sub("", text, count=1))
        if len(self._tokens) > self._limit:
            self._forget(text)
        return piece

    def end(self) -> str:
        """The rest of the text; what is left of a character shows as U+FFFD. The stream then begins anew."""
        piece = self._show(self._text(self._tokens))
        self._tokens, self._shown, self._limit = [], 0, self._MOST
        return piece

    def _text(self, tokens: Sequence[int]) -> str:
        return self._decode(tokens, skip_special_tokens=self._skip)

    def _show(self, text: str) -> str:
        piece = text[self._shown :]
        self._shown = max(self._shown, len(text))
        return piece

    def _forget(self, text: str) -> None:
        """Drop tokens whose text was returned, where the others have the same text without them."""
        for kept in range(self._LEAST, len(self._tokens)):
            rest = self._text(self._tokens[-kept:])
            dropped = len(text) - len(rest)
            if rest and dropped <= self._shown and text.endswith(rest) and not rest.startswith("\ufffd"):
                self._tokens, self._shown, self._limit = self._tokens[-kept:], self._shown - dropped, self._MOST
                return
        # Nothing to hold on to, as in a long row of special tokens: try again later, not with every token.
        self._limit *= 2
