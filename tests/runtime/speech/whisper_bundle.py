"""Whisper-shaped bundles with windows of one second: what follows a token stands in a table.

The sound decides nothing but the language, by how loud it is, and what tokens attend to: a token of a band looks for
the steps at which that band of the spectrum is loud.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers
from tokenizers import decoders, models, pre_tokenizers

from tests.runtime.factories import save_graph

RATE, BANDS, STEPS, POSITIONS = 16000, 4, 50, 24
SPECIAL = (
    "<|endoftext|>", "<|startoftranscript|>", "<|en|>", "<|de|>", "<|zh|>", "<|translate|>", "<|transcribe|>",
    "<|startofprev|>", "<|nospeech|>", "<|notimestamps|>",
)  # fmt: skip
TIMES = tuple(f"<|{step * 0.02:.2f}|>" for step in range(STEPS + 1))
NEVER = -1e4

_ENCODER = """(float[batch, {bands}, {frames}] input_features) => (
        float[batch, 1, {steps}, {bands}] "present.0.encoder.key",
        float[batch, 1, {steps}, {bands}] "present.0.encoder.value"
    ) {{
        halves = AveragePool<kernel_shape = [2], strides = [2]>(input_features)
        turned = Transpose<perm = [0, 2, 1]>(halves)
        heads = Constant<value_ints = [1]>()
        "present.0.encoder.key" = Unsqueeze(turned, heads)
        "present.0.encoder.value" = Identity("present.0.encoder.key")
    }}"""
_DECODER = """(
        int64[rows, length] input_ids, int64[rows, total] decoder_attention_mask, int64 num_logits_to_keep,
        float[rows, 1, past, 2] "past_key_values.0.decoder.key",
        float[rows, 1, past, 2] "past_key_values.0.decoder.value",
        float[batch, 1, {steps}, {bands}] "past_key_values.0.encoder.key",
        float[batch, 1, {steps}, {bands}] "past_key_values.0.encoder.value"
    ) => (
        float[rows, kept, {vocab}] logits, float[rows, length, {bands}] "cross_queries.0",
        float[rows, 1, past, 2] "present.0.decoder.key", float[rows, 1, past, 2] "present.0.decoder.value"
    ) {{
        axis = Constant<value_ints = [1]>()
        one = Constant<value_int = 1>()
        minus = Constant<value_int = -1>()
        shape = Shape(input_ids)
        length = Gather(shape, one)
        last = Sub(length, one)
        first = Sub(num_logits_to_keep, one)
        back = Range(first, minus, minus)
        places = Sub(last, back)
        tokens = Gather<axis = 1>(input_ids, places)
        own = Gather(table, tokens)
        mean = ReduceMean<axes = [1, 2, 3], keepdims = 0>("past_key_values.0.encoder.value")
        column = Unsqueeze(mean, axis)
        loud = Mul(column, weights)
        wide = Unsqueeze(loud, axis)
        inputs = Shape<start = 0, end = 1>(mean)
        rest = Constant<value_ints = [-1, {vocab}]>()
        folded_shape = Concat<axis = 0>(inputs, rest)
        folded = Reshape(own, folded_shape)
        sum = Add(folded, wide)
        own_shape = Shape(own)
        logits = Reshape(sum, own_shape)
        "cross_queries.0" = Gather(queries, input_ids)
        "present.0.decoder.key" = Identity("past_key_values.0.decoder.key")
        "present.0.decoder.value" = Identity("past_key_values.0.decoder.value")
    }}"""


def token_names(words: Sequence[str]) -> list[str]:
    """The vocabulary by id: bytes, words, special tokens, times."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    return [*letters, *map(written, words), *SPECIAL, *TIMES]


def written(word: str) -> str:
    """A word as the byte-level vocabulary writes it."""
    ((piece, _),) = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False).pre_tokenize_str(word)
    return str(piece)


def make_whisper(
    folder: Path,
    follow: Mapping[str, Mapping[str, float]],
    *,
    words: Sequence[str] = (),
    bands: Mapping[str, int] | None = None,
    loud: Mapping[str, float] | None = None,
    generation: Mapping[str, Any] | None = None,
    **config: Any,
) -> Path:
    """Write a bundle.

    Args:
        folder: where to.
        follow: a token to the logits of those that may follow; others have ``NEVER``.
        words: tokens of texts.
        bands: a token to the band of the spectrum that it attends to.
        loud: how much more a token is likely the louder the sound is.
        generation: settings of generation_config.json; None leaves one out.
        config: settings of config.json.
    """
    names = token_names(words)
    place = {name: index for index, name in enumerate(names)}
    table = np.full((len(names), len(names)), NEVER, dtype=np.float32)
    for before, after in follow.items():
        for name, logit in after.items():
            table[place[written(before)], place[written(name)]] = logit
    weights = np.zeros((1, len(names)), dtype=np.float32)
    for name, weight in (loud or {}).items():
        weights[0, place[written(name)]] = weight
    queries = np.zeros((len(names), BANDS), dtype=np.float32)
    for name, band in (bands or {}).items():
        queries[place[written(name)], band] = 8
    sizes = {"vocab": len(names), "bands": BANDS, "steps": STEPS, "frames": 2 * STEPS}
    save_graph(folder / "onnx" / "encoder_model.onnx", _ENCODER.format(**sizes), {})
    save_graph(
        folder / "onnx" / "decoder_model.onnx", _DECODER.format(**sizes),
        {"table": table, "weights": weights, "queries": queries, "num_logits_to_keep": np.array(1)},
    )  # fmt: skip
    _write_tokenizer(folder, names)
    end, start = place["<|endoftext|>"], place["<|startoftranscript|>"]
    special = {"eos_token_id": end, "pad_token_id": end, "bos_token_id": end, "decoder_start_token_id": start}
    defaults = {
        **special, "no_timestamps_token_id": place["<|notimestamps|>"], "return_timestamps": False,
        "is_multilingual": True, "lang_to_id": {name: place[name] for name in ("<|en|>", "<|de|>", "<|zh|>")},
        "task_to_id": {name: place[f"<|{name}|>"] for name in ("transcribe", "translate")},
        "prev_sot_token_id": place["<|startofprev|>"], "alignment_heads": [[0, 0]], "max_length": POSITIONS,
        "num_beams": 1,
    }  # fmt: skip
    model = {
        **special, "architectures": ["WhisperForConditionalGeneration"], "model_type": "whisper",
        "is_encoder_decoder": True, "vocab_size": len(names), "d_model": BANDS, "decoder_layers": 1,
        "max_source_positions": STEPS, "max_target_positions": POSITIONS, "median_filter_width": 3,
    }  # fmt: skip
    contents: dict[str, Mapping[str, Any]] = {
        "config.json": {**model, **config},
        "generation_config.json": {**defaults, **(generation or {})},
        "preprocessor_config.json": {
            "feature_extractor_type": "WhisperFeatureExtractor", "feature_size": BANDS, "chunk_length": 1,
            "sampling_rate": RATE, "hop_length": 160, "n_fft": 400,
        },
    }  # fmt: skip
    for name, content in contents.items():
        kept = {key: value for key, value in content.items() if value is not None}
        (folder / name).write_text(json.dumps(kept), encoding="utf-8")
    return folder


def _write_tokenizer(folder: Path, names: Sequence[str]) -> None:
    first = names.index(SPECIAL[0])
    backend = tokenizers.Tokenizer(models.BPE({name: place for place, name in enumerate(names[:first])}, []))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens(list(SPECIAL))
    backend.add_tokens([tokenizers.AddedToken(name, normalized=False, special=False) for name in TIMES])
    backend.save(str(folder / "tokenizer.json"))
    settings = {"eos_token": SPECIAL[0], "clean_up_tokenization_spaces": False}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
