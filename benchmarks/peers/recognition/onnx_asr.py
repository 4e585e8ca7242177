"""onnx-asr on Optimum's export."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import onnx_asr as library  # type: ignore[import-not-found]
import onnxruntime as ort
from optimum.exporters.onnx import main_export

from ..recognition_worker import NEW_TOKENS, THREADS, Works
from .transformers import quiet

_PROMPT = 4  # tokens
_QUANTIZATION: dict[str, str | None] = {"fp32": None}


def prepare(checkpoint: Path, folder: Path, precision: str) -> None:
    """Export with the past merged, and write the two files of the vocabulary that it reads."""
    quiet()
    main_export(str(checkpoint), output=folder, task="automatic-speech-recognition-with-past", do_validation=False)
    tokenizer = json.loads((checkpoint / "tokenizer.json").read_text(encoding="utf-8"))
    added = {token["content"]: token["id"] for token in tokenizer["added_tokens"]}
    for name, content in (("vocab", tokenizer["model"]["vocab"]), ("added_tokens", added)):
        (folder / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")


def load(checkpoint: Path, folder: Path, precision: str) -> Works:
    """The model; its greedy search goes on to a length that only its own method takes."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = THREADS
    model: Any = library.load_model(
        "whisper", folder, quantization=_QUANTIZATION[precision], sess_options=options,
        providers=["CPUExecutionProvider"],
    )  # fmt: skip
    model.asr._decoding = partial(model.asr._decoding, max_length=_PROMPT + NEW_TOKENS)

    def speech(clips: Any) -> list[str]:
        texts: list[str] = model.recognize(list(clips), language="en")
        return texts

    return {"speech": speech}
