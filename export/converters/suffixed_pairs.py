"""Byte-pair encodings whose vocabulary marks unfinished words with ``@@`` (subword-nmt's habit; CTRL).

The library marks the last piece of a word instead, with ``</w>``, as the merges do. So ``th@@`` is called ``th`` here
and ``the`` is called ``the</w>``: the same ids under other names, which the runtime translates.
"""

from __future__ import annotations

from typing import Any

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerBase

from .converted import Converted, escape, finish, stripped, vocabulary_size

_MORE = "@@"
_END = "</w>"


def suffixed_pairs(tokenizer: PreTrainedTokenizerBase) -> Converted:
    """Build the tokenizer from its vocabulary and merges.

    Args:
        tokenizer: has ``encoder`` (piece to id), ``bpe_ranks`` (pair to rank) and an unknown token; words are what lies
            between whitespace, with the line break behind them.
    """
    original: Any = tokenizer
    encoder: dict[str, int] = original.encoder
    size = vocabulary_size(tokenizer, encoder.values())
    vocabulary = {_symbol(piece): identifier for piece, identifier in encoder.items() if _more(piece)}
    vocabulary |= {_symbol(piece): identifier for piece, identifier in encoder.items() if not _more(piece)}
    for identifier, token in tokenizer.added_tokens_decoder.items():
        vocabulary = {symbol: known for symbol, known in vocabulary.items() if known != identifier}
        vocabulary[token.content] = identifier
    # A line of the merges file that is not a pair, as one with a no-break space is not, never applies.
    ranked = sorted(original.bpe_ranks, key=original.bpe_ranks.__getitem__)
    merges = [pair for pair in ranked if len(pair) == 2]
    symbols = [symbol for first, second in merges for symbol in (first, second, first + second)]
    missing = [symbol for symbol in dict.fromkeys(symbols) if symbol not in vocabulary]
    aliases = tuple(encoder.get(_piece(symbol), tokenizer.unk_token_id) for symbol in missing)
    vocabulary |= {symbol: size + index for index, symbol in enumerate(missing)}
    backend = Tokenizer(
        models.BPE(vocabulary, merges, unk_token=str(tokenizer.unk_token), end_of_word_suffix=_END, fuse_unk=False)
    )
    backend.pre_tokenizer = pre_tokenizers.Split(Regex(r"\S+\n?"), "removed", invert=True)
    backend.decoder = _decoder(tokenizer)
    return Converted(finish(tokenizer, backend), size, aliases, continuing_suffix=_MORE)


def _more(piece: str) -> bool:
    """Whether a piece of the vocabulary is continued."""
    return len(piece) > len(_MORE) and piece.endswith(_MORE)


def _symbol(piece: str) -> str:
    """The merges' name of a piece of the vocabulary."""
    return piece.removesuffix(_MORE) if _more(piece) else piece + _END


def _piece(symbol: str) -> str:
    """The vocabulary's name of a symbol of the merges."""
    return symbol.removesuffix(_END) if symbol.endswith(_END) else symbol + _MORE


def _decoder(tokenizer: PreTrainedTokenizerBase) -> decoders.Decoder:
    """Name the pieces as the vocabulary does, join them by spaces, and take out what marks unfinished words."""
    whole = "".join(f"(?<!{escape(token.content)})" for token in tokenizer.added_tokens_decoder.values())
    join, strip = stripped()
    return decoders.Sequence(
        [
            decoders.Replace(Regex(rf"(?<!{_END}){whole}\z"), _MORE),
            decoders.Replace(Regex(r"\A"), " "),  # before that, as no match is found in an empty piece
            decoders.Replace(Regex(rf"{_END}\z"), ""),
            join,
            decoders.Replace(f"{_MORE} ", ""),
            strip,
        ]
    )
