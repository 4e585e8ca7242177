"""The tokens that multilingual tokenizers put around a text for its language."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import tokenizers
from tokenizers.processors import TemplateProcessing

from .errors import BundleError, OptionError


class Languages:
    """The languages of a tokenizer.

    Args:
        backend: the library's tokenizer.
        settings: ``{"tokens": {code: token}, "prefix": [...], "suffix": [...], "default": code}``; in prefix and
            suffix, None is the place of the language's own token.

    Raises:
        BundleError: malformed settings, or a token that the tokenizer lacks.
    """

    def __init__(self, backend: tokenizers.Tokenizer, settings: Mapping[str, Any]) -> None:
        try:
            self._tokens: dict[str, str] = dict(settings["tokens"])
            self._layout: list[str | None] = [*settings["prefix"], "$A", *settings["suffix"]]
            self.default: str | None = settings.get("default")
            names = {name for name in (*self._tokens.values(), *self._layout) if name is not None and name != "$A"}
            found = {name: backend.token_to_id(name) for name in names}
        except (KeyError, TypeError, ValueError) as error:
            raise BundleError(f"tokenizer_config.json has malformed languages: {error!r}") from error
        self._ids = {name: identifier for name, identifier in found.items() if identifier is not None}
        absent = sorted(names - set(self._ids))
        if absent:
            raise BundleError(f"tokenizer_config.json has languages with tokens that do not exist: {absent[:3]}")

    @property
    def codes(self) -> list[str]:
        """The languages by the names that they are asked for."""
        return list(self._tokens)

    def id(self, code: str) -> int:
        """The id of a language's token.

        Raises:
            OptionError: an unknown language.
        """
        return self._ids[self._token(code)]

    def added(self) -> int:
        """How many tokens are put around a text."""
        return len(self._layout) - 1

    def around(self, encodings: Sequence[tokenizers.Encoding], code: str) -> list[tokenizers.Encoding]:
        """Encodings of single texts with the tokens of a language around them."""
        layout = [self._token(code) if name is None else name for name in self._layout]
        special = [(name, self._ids[name]) for name in dict.fromkeys(layout) if name != "$A"]
        template = TemplateProcessing(single=layout, special_tokens=special)
        return [template.process(encoding) for encoding in encodings]

    def _token(self, code: str) -> str:
        if code not in self._tokens:
            known = ", ".join(sorted(self._tokens))
            raise OptionError(f"unknown language {code!r}; the tokenizer knows {known}")
        return self._tokens[code]
