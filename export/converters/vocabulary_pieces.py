"""Sentencepiece models whose pieces get their ids from a ``vocab.json`` beside them (Marian, M2M100).

The library's model has one list of pieces for both directions, and a place in it is an id. So it holds, at the ids of
the vocabulary, the pieces of the model with their own scores, and the rest of the vocabulary (for Marian, the pieces
that only occur in the other language) with scores so low that no text is ever cut into them. The pieces that the
vocabulary lacks come last and stand for the unknown token.

What is unknown is looked up too: sentencepiece returns a run of characters that it does not know as one piece, which
may be in the vocabulary. Other runs become one character that is in no piece. This is exact where each character of
each piece is itself a piece, as sentencepiece's trainer makes it.

Two differences are left. A language code (``>>de<<``) is found anywhere in a text, not only in front of it. And the
library normalizes grapheme by grapheme, where sentencepiece takes the longest match: some combining characters behind
compatibility characters come out composed in one and not in the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any

from sentencepiece import sentencepiece_model_pb2
from tokenizers import Regex, Tokenizer, decoders, models, normalizers
from transformers import PreTrainedTokenizerBase
from transformers.convert_slow_tokenizer import generate_merges

from .converted import Converted, escape, finish, stripped, vocabulary_size

_SPACE = "▁"
_UNIGRAM, _BPE = 1, 2
_NORMAL, _CONTROL, _USER_DEFINED = 1, 3, 4
# Noncharacters: in front of a special token in decoding and for a language code that is not in the vocabulary, and for
# a run of unknown characters. Only the second may occur in a text.
_MARK, _UNKNOWN = "\ufffe", "\uffff"
# Far below any cut into known pieces, and below any cut that has one run of unknown characters more.
_UNKNOWN_SCORE, _NEVER = -1e4, -1e6
_CODE = r"\A>>(?m:.*?)<<"


@dataclass(frozen=True)
class _Model:
    """A sentencepiece model as its file has it."""

    proto: Any

    @classmethod
    def read(cls, path: str) -> _Model:
        proto: Any = sentencepiece_model_pb2.ModelProto()  # type: ignore[attr-defined]  # made when imported
        proto.ParseFromString(Path(path).read_bytes())
        if proto.trainer_spec.model_type not in (_UNIGRAM, _BPE):
            raise ValueError(f"{Path(path).name} is neither a unigram nor a byte-pair model of sentencepiece")
        spec = proto.trainer_spec
        if proto.denormalizer_spec.precompiled_charsmap or spec.treat_whitespace_as_suffix or spec.byte_fallback:
            raise ValueError(f"{Path(path).name} has a denormalizer, spaces at the end of words or bytes for pieces")
        return cls(proto)

    @cached_property
    def scores(self) -> dict[str, float]:
        """Score by piece, of those that a text can be cut into; the ones defined by a user are always chosen."""
        best = max((piece.score for piece in self.proto.pieces if piece.type == _NORMAL), default=0.0)
        return {
            piece.piece: piece.score if piece.type == _NORMAL else len(piece.piece) * best - 0.1
            for piece in self.proto.pieces
            if piece.type in (_NORMAL, _USER_DEFINED)
        }

    @cached_property
    def characters(self) -> set[str]:
        """All that pieces are made of."""
        return set().union(*self.scores)

    def knows(self, piece: str) -> bool:
        """Whether a piece has an id in the model, whatever its kind."""
        return piece in self._names

    @cached_property
    def _names(self) -> set[str]:
        return {piece.piece for piece in self.proto.pieces}

    @cached_property
    def controls(self) -> list[str]:
        """The pieces that are never text."""
        return [piece.piece for piece in self.proto.pieces if piece.type == _CONTROL]


def vocabulary_pieces(tokenizer: PreTrainedTokenizerBase) -> Converted:
    """Build the tokenizer from its sentencepiece models and vocabulary.

    Args:
        tokenizer: has ``encoder`` (piece to id) and the files of its sentencepiece models: ``spm_files`` (source and
            target, whose codes in front of a text are tokens) or ``spm_file``.

    Raises:
        ValueError: a model that the library cannot follow.
    """
    original: Any = tokenizer
    paths = getattr(original, "spm_files", None) or [original.spm_file]
    source = _Model.read(paths[0])
    coded = hasattr(original, "remove_language_code")
    after = " " if coded else ""
    encoder: dict[str, int] = original.encoder
    languages: dict[str, int] = getattr(original, "lang_token_to_id", {})
    tokens = _tokens(tokenizer, {**encoder, **languages})
    unknown = encoder[str(tokenizer.unk_token)]
    missing = [piece for piece in source.scores if piece not in encoder]
    backend = Tokenizer(_model(source, tokens, missing, unknown))
    lone = [token for token in encoder if source.characters.isdisjoint(token)]
    if source.proto.trainer_spec.model_type == _BPE:  # no merge makes a longer one
        lone = [token for token in lone if len(token) == 1]
    backend.normalizer = _normalizer(source, lone, coded)
    separate = getattr(original, "separate_vocabs", False)
    backend.decoder = _decoder(tokenizer, source, tokens, after)
    codes = [token for token in encoder if coded and token.startswith(">>") and token.endswith("<<") and len(token) > 4]
    finish(tokenizer, backend, codes)
    target = _target(original, _Model.read(paths[1]), after) if separate else None
    return Converted(backend, len(tokens), (unknown,) * len(missing), target=target)


def _tokens(tokenizer: PreTrainedTokenizerBase, encoder: dict[str, int]) -> list[str]:
    """The token of each id; ids that the vocabulary leaves out get names that are in no text."""
    tokens = [f"{_MARK}{identifier}" for identifier in range(vocabulary_size(tokenizer, encoder.values()))]
    for token, identifier in encoder.items():
        tokens[identifier] = token
    for identifier, added in tokenizer.added_tokens_decoder.items():
        tokens[identifier] = added.content
    return tokens


def _model(source: _Model, tokens: list[str], missing: list[str], unknown: int) -> models.Model:
    scores = source.scores
    if source.proto.trainer_spec.model_type == _UNIGRAM:
        pieces = [
            (token, scores.get(token, _UNKNOWN_SCORE if source.characters.isdisjoint(token) else _NEVER))
            for token in tokens
        ]
        pieces += [(piece, scores[piece]) for piece in missing]
        return models.Unigram(pieces, unk_id=unknown)
    vocabulary = {token: identifier for identifier, token in enumerate([*tokens, *missing])}
    merges = generate_merges({piece: vocabulary[piece] for piece in scores}, scores)
    return models.BPE(vocabulary, merges, unk_token=tokens[unknown], fuse_unk=True)


def _normalizer(source: _Model, lone: list[str], coded: bool) -> normalizers.Normalizer:
    """What sentencepiece makes of a text before it cuts it.

    Args:
        source: the model.
        lone: tokens of the vocabulary made of characters that the model does not know.
        coded: whether a language code in front is a token of its own, also one that the vocabulary lacks.
    """
    spec = source.proto.normalizer_spec
    steps: list[normalizers.Normalizer] = [normalizers.Replace(_MARK, _UNKNOWN)]
    if coded:
        steps.append(normalizers.Replace(Regex(_CODE), f"{_MARK} "))
    if spec.precompiled_charsmap:
        steps.append(normalizers.Precompiled(spec.precompiled_charsmap))
    if spec.remove_extra_whitespaces:
        steps.append(normalizers.Replace(Regex(" {2,}"), " "))
        steps.append(normalizers.Replace(Regex(rf"\A +|[ {_SPACE}]+\z"), ""))
    steps.append(normalizers.Replace(Regex(_unknown_runs(source.characters, lone)), _UNKNOWN))
    if spec.add_dummy_prefix:
        steps.append(normalizers.Prepend(_SPACE))
    steps.append(normalizers.Replace(" ", _SPACE))
    if coded:
        steps.append(normalizers.Replace(Regex(rf"\A{_SPACE}?{escape(_MARK)}"), _UNKNOWN))
    return normalizers.Sequence(steps)


def _unknown_runs(known: set[str], lone: list[str]) -> str:
    """A regular expression for runs of unknown characters that are not in the vocabulary as a whole."""
    run = f"[^{_ranges({*known, ' ', _SPACE, _MARK})}]"
    whole = "|".join(map(escape, lone))
    kept = rf"(?!(?:{whole})(?!{run}))" if whole else ""
    return f"(?<!{run}){kept}{run}+"


def _ranges(characters: set[str]) -> str:
    """Characters as the inside of a character class."""
    numbered = enumerate(sorted(map(ord, characters)))
    runs = [[code for _, code in run] for _, run in groupby(numbered, lambda pair: pair[1] - pair[0])]
    return "".join(f"\\x{{{run[0]:X}}}-\\x{{{run[-1]:X}}}" for run in runs)


def _decoder(tokenizer: PreTrainedTokenizerBase, source: _Model, tokens: list[str], after: str) -> decoders.Decoder:
    """Join the pieces between special tokens as sentencepiece does, and those parts with the special tokens.

    Args:
        tokenizer: the original.
        source: the model that joins pieces; one that it does not know keeps its space, also as the first.
        tokens: the vocabulary.
        after: what follows a special token.
    """
    spec = source.proto.normalizer_spec
    special = [escape(token) for token in tokenizer.all_special_tokens]
    foreign = [token[1:] for token in tokens if token.startswith(_SPACE) and not source.knows(token)]
    hidden = [escape(token) for token in source.controls if token not in tokenizer.all_special_tokens]
    first = f"{_SPACE}*" if spec.remove_extra_whitespaces else f"{_SPACE}?" if spec.add_dummy_prefix else ""
    join, strip = stripped()
    steps: list[decoders.Decoder] = [decoders.Replace(Regex(rf"\A(?={'|'.join(special)}\z)"), _MARK)]
    if hidden:
        steps.append(decoders.Replace(Regex(rf"\A(?:{'|'.join(hidden)})\z"), ""))
    if foreign:
        steps.append(decoders.Replace(Regex(rf"\A{_SPACE}(?={_any_of(foreign)}\z)"), " "))
    follows = "|".join(escape(_MARK) + token for token in special)
    steps += [
        join,
        decoders.Replace(Regex(rf"(?<={follows}){first}"), after),
        decoders.Replace(_MARK, ""),
        decoders.Replace(_SPACE, " "),
        strip,
    ]
    return decoders.Sequence(steps)


def _any_of(words: list[str]) -> str:
    """A regular expression for many words, with common beginnings written once so that it is fast."""
    ends = [word for word in words if not word]
    branches = [
        escape(letter) + _any_of([word[1:] for word in group])
        for letter, group in groupby(sorted(filter(None, words)), lambda word: word[0])
    ]
    if not branches:
        return ""
    return f"(?:{'|'.join(branches)}){'?' if ends else ''}"


def _target(original: Any, target: _Model, after: str) -> Tokenizer:
    """The tokenizer that decodes the other language."""
    encoder: dict[str, int] = original.target_encoder
    for identifier, token in original.added_tokens_decoder.items():
        if encoder.get(token.content, identifier) != identifier:
            raise ValueError(f"{token.content!r} has another id in each of the two vocabularies")
    tokens = _tokens(original, encoder)
    unknown = encoder.get(str(original.unk_token), original.unk_token_id)
    backend = Tokenizer(models.Unigram([(token, 0.0) for token in tokens], unk_id=unknown))
    backend.decoder = _decoder(original, target, tokens, after)
    finish(original, backend)
    backend.post_processor = None
    return backend
