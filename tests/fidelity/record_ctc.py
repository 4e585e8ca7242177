"""Record what transformers 4.57.6 makes of CTC models: how it cuts, collapses, writes down and times.

A part of ``make fixtures``: see :mod:`tests.fidelity.record`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from transformers.pipelines.automatic_speech_recognition import chunk_iter, rescale_stride

from . import ctc_cases as cases

# Logits of the two best tokens of a frame must not be nearer, or rounding decides between them.
MARGIN = 1e-4


class _Whole:
    """A feature extractor that keeps the samples."""

    sampling_rate = cases.RATE

    def __call__(self, samples: Any, **_: Any) -> dict[str, Any]:
        return {"samples": samples}


def rows() -> Iterator[dict[str, Any]]:
    """All that is recorded, each row with its kind."""
    for cut in cases.CUTS:
        chunks = chunk_iter(np.arange(cut[0]), _Whole(), *cut[1:])
        found = [[*map(int, one["samples"][[0, -1]]), list(one["stride"]), one["is_last"]] for one in chunks]
        yield {"kind": "cut", "cut": cut, "chunks": found}
    for samples, left, right, ratio in cases.RESCALED:
        yield {"kind": "rescaled", "of": [samples, left, right, ratio],
               "stride": list(rescale_stride([(samples, left, right)], 1 / ratio)[0])}  # fmt: skip
    for name in cases.VOCABULARIES:
        yield from _decoded(name)
    for name in cases.CHECKPOINTS:
        yield from _answers(name)


def _decoded(name: str) -> Iterator[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        cases.write_tokenizer(Path(folder), **cases.VOCABULARIES[name])
        kind = getattr(transformers, cases.VOCABULARIES[name].get("kind", "Wav2Vec2CTCTokenizer"))
        tokenizer = kind.from_pretrained(folder)
    words = "Phoneme" not in type(tokenizer).__name__
    for row, ids in enumerate(cases.ids(name)):
        found = tokenizer.decode(ids, output_char_offsets=True, **({"output_word_offsets": True} if words else {}))
        yield {
            "kind": "decoded", "vocabulary": name, "row": row, "blank": tokenizer.pad_token_id, "text": found.text,
            "chars": _offsets(found.char_offsets, "char"),
            "words": _offsets(found.word_offsets, "word") if words else None,
        }  # fmt: skip


def _offsets(found: list[dict[str, Any]], key: str) -> list[list[Any]]:
    return [[one[key], int(one["start_offset"]), int(one["end_offset"])] for one in found]


def _answers(name: str) -> Iterator[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        cases.save(name, Path(folder))
        recognize = transformers.pipeline("automatic-speech-recognition", folder, dtype=torch.float32, device="cpu")
    recognize.model.register_forward_hook(_check_margin)
    for options in cases.OPTIONS:
        for sound in cases.SOUNDS:
            answer = cases.compact(recognize(cases.sound(sound), **options))
            yield {"kind": "answer", "checkpoint": name, "sound": sound, "options": options, **answer}
    for stride in cases.STRIDES:
        clip = {"raw": cases.sound("short"), "sampling_rate": cases.RATE, "stride": stride}
        answer = cases.compact(recognize(clip, return_timestamps="char"))
        yield {"kind": "answer", "checkpoint": name, "sound": "short", "stride": stride,
               "options": {"return_timestamps": "char"}, **answer}  # fmt: skip


def _check_margin(_model: Any, _inputs: Any, output: Any) -> None:
    best = output.logits.topk(2, dim=-1).values
    margin = float((best[..., 0] - best[..., 1]).min())
    if margin < MARGIN:
        raise ValueError(f"two tokens are only {margin} apart: choose another seed")
