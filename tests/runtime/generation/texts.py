"""Tokenizers of every kind, made on the spot from a few texts in several scripts."""

from __future__ import annotations

import json

import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, trainers

from torchless import Tokenizer

TEXTS = [
    "Hello world! The stop sign stops the bus, doesn't it?",
    "größer, naïve café — 你好世界 こんにちは",
    "🤗🤗 emoji 👩‍👩‍👧 and flags 🇫🇷🇩🇪",
    "   three spaces,\n\nnew lines\tand it 's n't we 've , done .",
    "e\u0301 combining, ﷺ long, \u00a0 no-break",
]


def byte_level():
    tokenizer = tokenizers.Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=300, initial_alphabet=alphabet, special_tokens=["<end>"], show_progress=False
    )
    tokenizer.train_from_iterator(TEXTS, trainer)
    return tokenizer


def byte_fallback():
    """As Llama's: words begin with a mark, characters that are unknown are spelled in bytes."""
    pieces = ["<unk>", "<end>", *(f"<0x{byte:02X}>" for byte in range(256)), *"abcdefghijklmnopqrstuvwxyz▁.,!?'"]
    pieces += ["▁t", "he", "▁the", "st", "op"]
    merges = [("▁", "t"), ("h", "e"), ("▁t", "he"), ("s", "t"), ("o", "p")]
    vocabulary = {piece: place for place, piece in enumerate(pieces)}
    tokenizer = tokenizers.Tokenizer(
        models.BPE(vocabulary, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    )
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    tokenizer.add_special_tokens(["<unk>", "<end>"])
    return tokenizer


def unigram():
    tokenizer = tokenizers.Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=160, unk_token="<unk>", special_tokens=["<unk>", "<end>"], show_progress=False
    )
    tokenizer.train_from_iterator(TEXTS, trainer)
    return tokenizer


def word_pieces():
    tokenizer = tokenizers.Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece(cleanup=False)
    trainer = trainers.WordPieceTrainer(vocab_size=200, special_tokens=["[UNK]", "<end>"], show_progress=False)
    tokenizer.train_from_iterator(TEXTS, trainer)
    return tokenizer


KINDS = {"byte level": byte_level, "byte fallback": byte_fallback, "unigram": unigram, "word pieces": word_pieces}


def tokenizer(kind, folder):
    """A frozen one; that of word pieces cleans up spaces, as BERT's does."""
    KINDS[kind]().save(str(folder / "tokenizer.json"))
    settings = {"eos_token": "<end>", "clean_up_tokenization_spaces": kind == "word pieces"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return Tokenizer(folder)
