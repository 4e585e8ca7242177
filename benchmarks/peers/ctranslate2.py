"""CTranslate2, fp32 and int8."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import ctranslate2  # type: ignore[import-not-found]

from .worker import THREADS

_PRECISIONS = {"fp32": "float32", "int8": "int8"}


def prepare(checkpoint: Path, folder: Path, precision: str) -> None:
    """Convert."""
    converter = ctranslate2.converters.TransformersConverter(str(checkpoint))
    converter.convert(str(folder), quantization=_PRECISIONS[precision], force=True)


class Engine:
    """A Generator for a causal model, a Translator for an encoder-decoder."""

    def __init__(self, checkpoint: Path, folder: Path, precision: str) -> None:
        config = json.loads((checkpoint / "config.json").read_text(encoding="utf-8"))
        tokenizer = json.loads((checkpoint / "tokenizer.json").read_text(encoding="utf-8"))
        vocabulary: dict[str, int] = tokenizer["model"]["vocab"]
        self._words = sorted(vocabulary, key=vocabulary.__getitem__)
        self._seq2seq = bool(config.get("is_encoder_decoder"))
        kind = ctranslate2.Translator if self._seq2seq else ctranslate2.Generator
        self._model = kind(str(folder), compute_type=_PRECISIONS[precision], inter_threads=1, intra_threads=THREADS)

    def inputs(self, tokens: list[list[int]]) -> Any:
        """It takes tokens as strings."""
        return [[self._words[index] for index in row] for row in tokens]

    def generate(self, inputs: Any, beams: int, new: int) -> Any:
        """Greedy or beam search; the prompt of a causal model is forwarded at once."""
        if self._seq2seq:
            return self._model.translate_batch(
                inputs, beam_size=beams, min_decoding_length=new, max_decoding_length=new
            )
        return self._model.generate_batch(
            inputs, beam_size=beams, min_length=new, max_length=new, include_prompt_in_result=False
        )

    def tokens(self, result: Any, new: int) -> list[list[int]]:
        """The best hypothesis of each row."""
        if self._seq2seq:
            index = {word: number for number, word in enumerate(self._words)}
            return [[index[word] for word in row.hypotheses[0]] for row in result]
        return [list(row.sequences_ids[0]) for row in result]
