"""What a converter returns, and the parts that every converter shares."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, processors
from transformers import PreTrainedTokenizerBase

# What str.strip() takes away and "\s" of the library's regular expressions does not know.
_SPACES = r"[\s\x1c-\x1f]+"


@dataclass(frozen=True)
class Converted:
    """A tokenizer in the library's form, and what it cannot express.

    Attributes:
        tokenizer: encodes like the original; ids from ``size`` on stand for those in ``aliases``.
        size: the number of ids that the model knows.
        aliases: what the id ``size + index`` stands for: the library wants an id for every piece that a text can be
            cut into, also where the original's vocabulary has none and answers with the unknown token.
        continuing_suffix: what the vocabulary writes behind a piece that is not the last of its word, where the
            library marks the last piece instead.
        target: decodes, where the two languages have vocabularies of their own.
    """

    tokenizer: Tokenizer
    size: int
    aliases: tuple[int, ...] = ()
    continuing_suffix: str | None = None
    target: Tokenizer | None = None

    def settings(self) -> dict[str, Any]:
        """What the runtime has to be told."""
        found: dict[str, Any] = {}
        if self.aliases:
            found |= {"size": self.size, "aliases": list(self.aliases)}
        if self.continuing_suffix is not None:
            found["continuing_suffix"] = self.continuing_suffix
        return found


def vocabulary_size(tokenizer: PreTrainedTokenizerBase, vocabulary: Iterable[int]) -> int:
    """The number of ids, gaps in the vocabulary and added tokens included."""
    return max(*vocabulary, *tokenizer.added_tokens_decoder, len(tokenizer) - 1) + 1


def finish(tokenizer: PreTrainedTokenizerBase, backend: Tokenizer, more: Iterable[str] = ()) -> Tokenizer:
    """Give a tokenizer its added tokens and the special tokens around a text or a pair.

    Args:
        tokenizer: the original.
        backend: the tokenizer to complete.
        more: tokens of the vocabulary that are never split, though the original does not list them as added.
    """
    for identifier, token in sorted(tokenizer.added_tokens_decoder.items()):
        kept = AddedToken(
            token.content, single_word=token.single_word, lstrip=token.lstrip, rstrip=token.rstrip, normalized=False
        )
        (backend.add_special_tokens if token.special else backend.add_tokens)([kept])
        if backend.token_to_id(token.content) != identifier:
            raise ValueError(f"the added token {token.content!r} has the id of another token: {identifier}")
    backend.add_tokens([AddedToken(token, normalized=False) for token in more])
    backend.post_processor = _template(tokenizer)
    return backend


def _template(tokenizer: PreTrainedTokenizerBase) -> processors.TemplateProcessing:
    """The special tokens around texts, seen by putting two ids that do not exist in place of them."""
    first, second = -1, -2
    single = tokenizer.build_inputs_with_special_tokens([first])
    pair = tokenizer.build_inputs_with_special_tokens([first], [second])
    names: dict[int, str] = {first: "$A", second: "$B"}
    special = {}
    for identifier in {*single, *pair} - set(names):
        names[identifier] = str(tokenizer.convert_ids_to_tokens(identifier))
        special[names[identifier]] = identifier
    types = tokenizer.create_token_type_ids_from_sequences([first], [second])
    return processors.TemplateProcessing(
        single=[names[identifier] for identifier in single],
        pair=[f"{names[identifier]}:{kind}" for identifier, kind in zip(pair, types, strict=True)],
        special_tokens=list(special.items()),
    )


def stripped() -> list[decoders.Decoder]:
    """Decoders that make one text of all tokens before them and take away the whitespace around it."""
    return [decoders.Fuse(), decoders.Replace(Regex(rf"\A{_SPACES}|{_SPACES}\z"), "")]


def escape(text: str) -> str:
    """A text as a regular expression that matches it, whatever its characters mean there."""
    return "".join(f"\\x{{{ord(character):X}}}" for character in text)
