"""onnx-asr on Optimum's export, in fp32 and in its dynamic int8."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import onnx
import onnx_asr as library  # type: ignore[import-not-found]
import onnxruntime as ort
from optimum.exporters.onnx import main_export
from optimum.onnxruntime import ORTQuantizer
from optimum.onnxruntime.configuration import AutoQuantizationConfig

from ..recognition_worker import NEW_TOKENS, THREADS, Works
from .transformers import quiet

_PROMPT = 4  # tokens
# Of the names of the files that it opens, before the ending.
_QUANTIZATION: dict[str, str | None] = {"fp32": None, "int8": "int8"}
_GRAPHS = ("encoder_model.onnx", "decoder_model_merged.onnx")


def prepare(checkpoint: Path, folder: Path, precision: str) -> None:
    """Export with the past merged; for int8, quantize both graphs. Write the vocabulary's two files that it reads."""
    quiet()
    main_export(str(checkpoint), output=folder, task="automatic-speech-recognition-with-past", do_validation=False)
    if precision == "int8":
        _quantize(folder)
    tokenizer = json.loads((checkpoint / "tokenizer.json").read_text(encoding="utf-8"))
    added = {token["content"]: token["id"] for token in tokenizer["added_tokens"]}
    for name, content in (("vocab", tokenizer["model"]["vocab"]), ("added_tokens", added)):
        (folder / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")


def _quantize(folder: Path) -> None:
    """Per channel for VNNI, without the convolutions, which would be slower; the fp32 files are removed."""
    for name in _GRAPHS:
        graph = onnx.load(folder / name, load_external_data=False).graph
        scheme = AutoQuantizationConfig.avx512_vnni(
            is_static=False,
            per_channel=True,
            nodes_to_exclude=[node.name for node in graph.node if node.op_type == "Conv"],
        )
        quantizer = ORTQuantizer.from_pretrained(folder, file_name=name)
        quantizer.quantize(save_dir=folder, quantization_config=scheme, file_suffix=_QUANTIZATION["int8"])
    for name in (*_GRAPHS, "decoder_model.onnx", "decoder_with_past_model.onnx"):
        (folder / name).unlink(missing_ok=True)


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
