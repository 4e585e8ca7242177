"""Tiny models that generate: what follows a token stands in a table, so a test chooses texts by choosing numbers."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers
from tokenizers import decoders, models, pre_tokenizers, processors

from .factories import save_graph

SPECIAL = ("<pad>", "<s>", "</s>", "<unk>")
PAD, BOS, EOS, UNK = range(4)
NEVER, UNLIKELY = -1e4, -6.0

_KEPT = """
        rows = ReduceSum<keepdims = 1>(mask, axis)
        shape = Shape(input_ids)
        one = Constant<value_int = 1>()
        minus = Constant<value_int = -1>()
        length = Gather(shape, one)
        new = Min(rows, length)
        last = Sub(new, one)
        first = Sub(num_logits_to_keep, one)
        back = Range(first, minus, minus)
        places = Sub(last, back)
        tokens = GatherElements<axis = 1>(input_ids, places)
        own = Gather(table, tokens)
"""
# The logits after a row's last tokens are rows of the table; the cache is handed on as it is.
_CAUSAL = (
    """(
        int64[batch, length] input_ids, int64[batch, total] attention_mask, int64 num_logits_to_keep,
        float[batch, 1, past, {head}] "past_key_values.0.key", float[batch, 1, past, {head}] "past_key_values.0.value"
    ) => (
        float[batch, kept, {vocab}] logits,
        float[batch, 1, past, {head}] "present.0.key", float[batch, 1, past, {head}] "present.0.value"
    ) {{
        axis = Constant<value_ints = [1]>()
        mask = Identity(attention_mask)"""
    + _KEPT
    + """
        logits = Identity(own)
        "present.0.key" = Identity("past_key_values.0.key")
        "present.0.value" = Identity("past_key_values.0.value")
    }}"""
)
# What the tokens of the input add to every logit.
_ENCODER = """(int64[batch, length] input_ids, int64[batch, length] attention_mask) => (
        float[batch, 1, length, {vocab}] "present.0.encoder.key",
        float[batch, 1, length, {vocab}] "present.0.encoder.value"
    ) {{
        rows = Gather(meaning, input_ids)
        mask = Cast<to = 1>(attention_mask)
        inner = Constant<value_ints = [2]>()
        wide = Unsqueeze(mask, inner)
        kept = Mul(rows, wide)
        heads = Constant<value_ints = [1]>()
        "present.0.encoder.value" = Unsqueeze(kept, heads)
        "present.0.encoder.key" = Identity("present.0.encoder.value")
    }}"""
_DECODER = (
    """(
        int64[rows, length] input_ids, int64[batch, encoded] encoder_attention_mask,
        int64[rows, total] decoder_attention_mask, int64 num_logits_to_keep,
        float[rows, 1, past, 2] "past_key_values.0.decoder.key",
        float[rows, 1, past, 2] "past_key_values.0.decoder.value",
        float[batch, 1, encoded, {vocab}] "past_key_values.0.encoder.key",
        float[batch, 1, encoded, {vocab}] "past_key_values.0.encoder.value"
    ) => (
        float[rows, kept, {vocab}] logits,
        float[rows, 1, past, 2] "present.0.decoder.key", float[rows, 1, past, 2] "present.0.decoder.value"
    ) {{
        axis = Constant<value_ints = [1]>()
        mask = Identity(decoder_attention_mask)"""
    + _KEPT
    + """
        sides = Constant<value_ints = [1, 2]>()
        meant = ReduceSum<keepdims = 0>("past_key_values.0.encoder.value", sides)
        wide = Unsqueeze(meant, axis)
        grouped = Constant<value_ints = [0, -1, {vocab}]>()
        inputs = Shape<start = 0, end = 1>(encoder_attention_mask)
        rest = Constant<value_ints = [-1, {vocab}]>()
        folded_shape = Concat<axis = 0>(inputs, rest)
        folded = Reshape(own, folded_shape)
        sum = Add(folded, wide)
        own_shape = Shape(own)
        logits = Reshape(sum, own_shape)
        "present.0.decoder.key" = Identity("past_key_values.0.decoder.key")
        "present.0.decoder.value" = Identity("past_key_values.0.decoder.value")
    }}"""
)


def characters() -> list[str]:
    """The vocabulary of :func:`make_causal`: special tokens, then every byte."""
    return [*SPECIAL, *sorted(pre_tokenizers.ByteLevel.alphabet())]


def ids(text: str) -> list[int]:
    """The tokens of a text in that vocabulary, one for each byte."""
    split = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False).pre_tokenize_str(text)
    return [characters().index(character) for piece, _ in split for character in piece]


def make_causal(
    folder: Path,
    follow: Mapping[str, Mapping[str, float]],
    *,
    head: int = 2,
    tokenizer: Mapping[str, Any] | None = None,
    generation: Mapping[str, Any] | None = None,
    **config: Any,
) -> Path:
    """A language model of bytes.

    Args:
        folder: where to write it.
        follow: a character, or special token, to the logits of those that may follow; others have ``NEVER``.
        head: numbers that the cache holds for each token, twice.
        tokenizer: settings of ``tokenizer_config.json``; None leaves one out.
        generation: content of ``generation_config.json``.
        config: settings of ``config.json``; None leaves one out.
    """
    names = characters()
    backend = tokenizers.Tokenizer(models.BPE({name: place for place, name in enumerate(names)}, []))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens(list(SPECIAL))
    table = np.full((len(names), len(names)), NEVER, dtype=np.float32)
    for before, after in follow.items():
        for character, logit in after.items():
            table[_place(before, names), _place(character, names)] = logit
    text = _CAUSAL.format(vocab=len(names), head=head)
    save_graph(folder / "onnx" / "model.onnx", text, {"table": table, "num_logits_to_keep": np.array(1)})
    _write(
        folder, backend, tokenizer, generation, {"architectures": ["GPT2LMHeadModel"], "model_type": "gpt2"} | config
    )
    return folder


def make_seq2seq(
    folder: Path,
    meaning: Mapping[str, Mapping[str, float]],
    *,
    words: Iterable[str] = (),
    tokenizer: Mapping[str, Any] | None = None,
    generation: Mapping[str, Any] | None = None,
    **config: Any,
) -> Path:
    """A model of words that says what its input means, each word once, in the order of their first mention here.

    Args:
        folder: where to write it.
        meaning: a word of the input to the logits that it gives words of the answer. The end has a logit of 0.5, words
            that nothing means have ``UNLIKELY``.
        words: further words that inputs may hold.
        tokenizer: settings of ``tokenizer_config.json``; None leaves one out.
        generation: content of ``generation_config.json``.
        config: settings of ``config.json``; None leaves one out.
    """
    answers = list(dict.fromkeys(word for said in meaning.values() for word in said))
    names = list(dict.fromkeys((*SPECIAL, *answers, *meaning, *words)))
    backend = tokenizers.Tokenizer(models.WordLevel({name: place for place, name in enumerate(names)}, "<unk>"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    backend.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", EOS)])
    backend.add_special_tokens(list(SPECIAL))
    table = np.full((len(names), len(names)), NEVER, dtype=np.float32)
    table[:, len(SPECIAL) : len(SPECIAL) + len(answers)] = UNLIKELY
    table[:, EOS] = 0.5
    for said in range(len(SPECIAL), len(SPECIAL) + len(answers)):
        table[said, len(SPECIAL) : said + 1] = NEVER
    meant = np.zeros_like(table)
    for word, said_words in meaning.items():
        for answer, logit in said_words.items():
            meant[names.index(word), names.index(answer)] = logit - UNLIKELY
    sizes = {"vocab": len(names)}
    save_graph(folder / "onnx" / "encoder_model.onnx", _ENCODER.format(**sizes), {"meaning": meant})
    save_graph(
        folder / "onnx" / "decoder_model.onnx", _DECODER.format(**sizes),
        {"table": table, "num_logits_to_keep": np.array(1)},
    )  # fmt: skip
    defaults = {
        "architectures": ["T5ForConditionalGeneration"], "model_type": "t5", "is_encoder_decoder": True,
        "decoder_start_token_id": PAD,
    }  # fmt: skip
    _write(folder, backend, tokenizer, generation, defaults | config)
    return folder


def _place(token: str, names: list[str]) -> int:
    if token in SPECIAL:
        return SPECIAL.index(token)
    (place,) = ids(token) if len(token.encode()) == 1 else [names.index(token)]
    return place


def _write(
    folder: Path,
    backend: tokenizers.Tokenizer,
    tokenizer: Mapping[str, Any] | None,
    generation: Mapping[str, Any] | None,
    config: Mapping[str, Any],
) -> None:
    backend.save(str(folder / "tokenizer.json"))
    settings: dict[str, Any] = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    special = {"pad_token_id": PAD, "bos_token_id": BOS, "eos_token_id": EOS, "vocab_size": backend.get_vocab_size()}
    contents = {
        "tokenizer_config.json": settings | dict(tokenizer or {}),
        "config.json": special | dict(config),
        **({} if generation is None else {"generation_config.json": special | dict(generation)}),
    }
    for name, content in contents.items():
        kept = {key: value for key, value in content.items() if value is not None}
        (folder / name).write_text(json.dumps(kept), encoding="utf-8")
