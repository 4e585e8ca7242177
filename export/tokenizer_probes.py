"""Comparing a frozen tokenizer with the original: texts that tokenizers differ on, and tokens that no text gives."""

from __future__ import annotations

import random
from typing import Any

from tokenizers import Encoding
from transformers import PreTrainedTokenizerBase

import torchless
from torchless.errors import ExportError, VerificationError

PROBES = (
    "Hello, world!",
    "",
    " ",
    "  two  spaces \t tab \n newline \r\n end ",
    "Don't stop: it's 3.14% of $1,000.00 (approx.)",
    "UPPER lower MiXeD ẞ İstanbul Ǆ",
    "naïve café na\u0308ive cafe\u0301 ﬁne \u00a0nbsp\u200bzero\u200dwidth\ufeffbom",
    "emoji 😀 👩‍👩‍👧‍👦 🇩🇪 ❤️ 👍🏽",
    "中文分词测试。日本語のテキスト、カタカナ ﾊﾝｶｸ 한국어 텍스트",
    "עברית مَرْحَبًا بالعالم हिन्दी ไทย தமிழ்",
    "Ελληνικά Русский Ёлка ÅÄÖ ß œ æ",
    "control \x00 \x07 \x1b \x7f \u0085 chars \ufffd",
    "math ∑∫√ ½ ² ™ Ⅳ ﷺ quotes “ ” ‘ ’ „ dash – — …",
    "code: for (int i=0; i<n; ++i) { a[i] = b_c->d; } <html> http://a.b/c?d=e&f=g",
    "x" * 250,
    "word " * 60,
    "\U0001f9ff\U00020000\U000e0001 rare planes",
    "it 's here , is n't it ? @@ x@@ y</w> ▁z <0x41>",
)
_SEQUENCES, _LENGTH = 64, 24


def compare(tokenizer: PreTrainedTokenizerBase, frozen: torchless.Tokenizer) -> None:
    """Check that texts, pairs of texts and sequences of tokens come out the same.

    Raises:
        ExportError: the original cannot encode a probe.
        VerificationError: something comes out differently.
    """
    separate = getattr(tokenizer, "separate_vocabs", False)  # what is encoded is then not what is decoded
    specials = " ".join(tokenizer.all_special_tokens)
    probes = (*PROBES, f"special {specials} in text", specials.replace(" ", ""))
    for text, pair in zip(probes, (*probes[1:], probes[0]), strict=True):
        ids = _encode(tokenizer, frozen, text)
        if not separate:
            _same_text(tokenizer, frozen, ids)
        if pair:  # transformers takes an empty second text for none
            _encode(tokenizer, frozen, text, pair)
    for ids in _sequences(tokenizer, separate):
        _same_text(tokenizer, frozen, ids)
    _same_languages(tokenizer, frozen)


def _encode(
    tokenizer: PreTrainedTokenizerBase, frozen: torchless.Tokenizer, text: str, pair: str | None = None
) -> list[int]:
    """Check that both encode a text or a pair the same; returns its ids."""
    try:
        wanted = tokenizer(
            text, pair, return_token_type_ids=True, return_offsets_mapping=tokenizer.is_fast, verbose=False
        )
    except Exception as error:  # tokenizers raises nothing more specific
        raise ExportError(f"{type(tokenizer).__name__} cannot encode {text!r}: {error}") from error
    (encoding,) = frozen.encode([text if pair is None else (text, pair)], truncation=None)
    for field, values in _fields(encoding).items():
        if field == "token_type_ids" and not tokenizer.is_fast and field not in tokenizer.model_input_names:
            continue  # the library has them for each text, those in Python only where a model asks for them
        if field in wanted and list(wanted[field]) != values:
            raise VerificationError(
                f"the frozen tokenizer gives other {field} than {type(tokenizer).__name__} for {(text, pair)!r}"
            )
    return list(encoding.ids)


def _fields(encoding: Encoding) -> dict[str, list[Any]]:
    return {"input_ids": encoding.ids, "token_type_ids": encoding.type_ids, "offset_mapping": encoding.offsets}


def _same_text(tokenizer: PreTrainedTokenizerBase, frozen: torchless.Tokenizer, ids: list[int]) -> None:
    for skip in (False, True):
        wanted = tokenizer.decode(ids, skip_special_tokens=skip)
        found = frozen.decode(ids, skip_special_tokens=skip)
        if wanted != found:
            raise VerificationError(
                f"the frozen tokenizer decodes {ids} to {found!r} and {type(tokenizer).__name__} to {wanted!r}"
            )


def _sequences(tokenizer: PreTrainedTokenizerBase, separate: bool) -> list[list[int]]:
    """Tokens of the whole vocabulary at random, special ones among them, as a model may write them."""
    original: Any = tokenizer
    vocabulary = original.target_encoder if separate else tokenizer.get_vocab()
    known = sorted(vocabulary.values())
    special = sorted(tokenizer.all_special_ids) or known
    # Whisper's tokenizer takes what begins with <|startofprev|> for a prompt, and leaves it out.
    first = sorted(set(known) - set(special)) or known
    draw = random.Random(0)
    return [
        [
            draw.choice(first if not place else special if draw.random() < 0.1 else known)
            for place in range(draw.randrange(1, _LENGTH))
        ]
        for _ in range(_SEQUENCES)
    ]


def _same_languages(tokenizer: PreTrainedTokenizerBase, frozen: torchless.Tokenizer) -> None:
    """Check the tokens around a text in the first and the last language."""
    original: Any = tokenizer
    codes = frozen.languages
    if not codes:
        return
    before = original.src_lang
    try:
        for code in (codes[0], codes[-1]):
            original.src_lang = code
            (encoding,) = frozen.encode([PROBES[0]], truncation=None, src_lang=code)
            if tokenizer(PROBES[0])["input_ids"] != encoding.ids:
                raise VerificationError(f"the frozen tokenizer gives other input_ids for src_lang={code!r}")
    finally:
        original.src_lang = before
