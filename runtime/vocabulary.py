"""Ids and strings of tokens, and the ids that stand for others."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import tokenizers

from .errors import BundleError, InputError


class Vocabulary:
    """The tokens of a frozen tokenizer.

    Args:
        backend: the library's tokenizer.
        settings: what the export wrote of ways in which the original differs:

            - ``size`` and ``aliases``: the library cuts texts into pieces that the model has no id for; it numbers them
              from ``size`` on, and id ``size + index`` stands for ``aliases[index]``;
            - ``continuing_suffix``: written behind a piece that is not the last of its word, where the library's
              strings mark the last piece.

    Raises:
        BundleError: malformed settings.
    """

    def __init__(self, backend: tokenizers.Tokenizer, settings: Mapping[str, Any]) -> None:
        self._backend = backend
        known = int(backend.get_vocab_size())
        size, aliases = settings.get("size", known), settings.get("aliases", [])
        numbers = isinstance(aliases, list) and all(isinstance(value, int) for value in [size, *aliases])
        if not numbers or size + len(aliases) != known or not all(0 <= alias < size for alias in aliases):
            raise BundleError(f"tokenizer_config.json has aliases that do not fit a tokenizer.json of {known} tokens")
        self.size: int = size
        self._aliases: Sequence[int] = aliases
        self._continuing: str | None = settings.get("continuing_suffix")
        self._end: str = getattr(backend.model, "end_of_word_suffix", None) or ""
        self._added = {token.content for token in backend.get_added_tokens_decoder().values()}

    def token(self, identifier: int) -> str:
        """The string of one token id.

        Raises:
            InputError: there is no such id.
        """
        token = self._backend.id_to_token(identifier) if 0 <= identifier < self.size else None
        if token is None:
            raise InputError(f"token id {identifier} is not in the vocabulary")
        if self._continuing is None or token in self._added:
            return str(token)
        return token.removesuffix(self._end) if token.endswith(self._end) else token + self._continuing

    def id(self, token: str) -> int | None:
        """The id of one token string, or None where the vocabulary lacks it."""
        if self._continuing is None or token in self._added:
            return self._known(token)
        continued = self._known(token.removesuffix(self._continuing)) if token.endswith(self._continuing) else None
        return self._known(token + self._end) if continued is None else continued

    def _known(self, string: str) -> int | None:
        identifier: int | None = self._backend.token_to_id(string)
        return None if identifier is None or identifier >= self.size else identifier

    def resolve(self, encoding: tokenizers.Encoding) -> tokenizers.Encoding:
        """An encoding in which ids that stand for others are replaced by those."""
        if not self._aliases or max(encoding.ids, default=0) < self.size:
            return encoding
        state = json.loads(encoding.__getstate__())
        state["ids"] = [self._aliases[i - self.size] if i >= self.size else i for i in state["ids"]]
        state["overflowing"] = []
        resolved = tokenizers.Encoding()
        resolved.__setstate__(json.dumps(state).encode())
        return resolved
