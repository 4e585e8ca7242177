"""Tiny tokenizers, graphs and bundles whose answers can be worked out by hand.

A graph looks up a row of numbers for each token id, so a test chooses logits by choosing words.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.parser
import tokenizers
from onnx import numpy_helper
from tokenizers import decoders, models, pre_tokenizers, processors

from torchless.manifest import FILE_NAME, FileSpec, GraphSpec, Manifest, Reference
from torchless.session import Session

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
PAD, UNK, CLS, SEP, MASK = range(5)

ARCHITECTURES = {
    "text-classification": "BertForSequenceClassification",
    "token-classification": "BertForTokenClassification",
    "question-answering": "BertForQuestionAnswering",
    "fill-mask": "BertForMaskedLM",
    "feature-extraction": "BertModel",
}

_INPUTS = "{ids}[batch, length] input_ids, {ids}[batch, length] attention_mask"
# The sum over a text's own tokens; one row per token; one number per token for starts and one for ends.
_GRAPHS = {
    "text-classification": """({inputs}) => ({floats}[batch, width] logits) {{
        rows = Gather(table, input_ids)
        mask = Cast<to = {code}>(attention_mask)
        axis = Constant<value_ints = [2]>()
        wide = Unsqueeze(mask, axis)
        kept = Mul(rows, wide)
        length = Constant<value_ints = [1]>()
        logits = ReduceSum<keepdims = 0>(kept, length)
    }}""",
    "token-classification": """({inputs}) => ({floats}[batch, length, width] logits) {{
        logits = Gather(table, input_ids)
    }}""",
    "feature-extraction": """({inputs}) => ({floats}[batch, length, width] last_hidden_state) {{
        last_hidden_state = Gather(table, input_ids)
    }}""",
    "question-answering": """({inputs}) => (
        {floats}[batch, length] start_logits, {floats}[batch, length] end_logits
    ) {{
        rows = Gather(table, input_ids)
        zero = Constant<value_int = 0>()
        one = Constant<value_int = 1>()
        start_logits = Gather<axis = 2>(rows, zero)
        end_logits = Gather<axis = 2>(rows, one)
    }}""",
}
_GRAPHS["fill-mask"] = _GRAPHS["token-classification"]


def parse_graph(text: str, initializers: Mapping[str, np.ndarray[Any, Any]] | None = None) -> onnx.ModelProto:
    """A model from ONNX text of its signature and nodes."""
    model = onnx.parser.parse_model(f'<ir_version: 10, opset_import: ["": 17]> graph {text}')
    for name, value in (initializers or {}).items():
        model.graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
    onnx.checker.check_model(model)
    return model


def save_graph(path: Path, text: str, initializers: Mapping[str, np.ndarray[Any, Any]] | None = None) -> Path:
    """Write :func:`parse_graph`'s model."""
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(parse_graph(text, initializers), path)
    return path


def task_graph(
    path: Path, task: str, table: np.ndarray[Any, Any], *, ids: str = "int64", dtype: str = "float32"
) -> Path:
    """A graph of a task that looks its outputs up in ``table`` (vocabulary, width)."""
    floats, code = ("float16", 10) if dtype == "float16" else ("float", 1)
    text = _GRAPHS[task].format(inputs=_INPUTS.format(ids=ids), floats=floats, code=code)
    return save_graph(path, text, {"table": table.astype(dtype)})


def vocabulary(words: Iterable[str]) -> dict[str, int]:
    """The special tokens, then the words, numbered."""
    return {token: index for index, token in enumerate(dict.fromkeys((*SPECIAL, *words)))}


def word_pieces(words: Iterable[str]) -> tokenizers.Tokenizer:
    """A tokenizer of BERT's kind: ``[CLS] text [SEP]`` or ``[CLS] text [SEP] text [SEP]``, pieces marked ``##``."""
    tokenizer = tokenizers.Tokenizer(models.WordPiece(vocabulary(words), unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", CLS), ("[SEP]", SEP)],
    )
    tokenizer.add_special_tokens(list(SPECIAL))
    return tokenizer


def write_tokenizer(folder: Path, words: Iterable[str], **config: Any) -> Path:
    """``tokenizer.json`` and ``tokenizer_config.json``; a setting of None is left out."""
    folder.mkdir(parents=True, exist_ok=True)
    word_pieces(words).save(str(folder / "tokenizer.json"))
    names = ("pad", "unk", "cls", "sep", "mask")
    settings = {f"{name}_token": token for name, token in zip(names, SPECIAL, strict=True)} | config
    kept = {name: value for name, value in settings.items() if value is not None}
    (folder / "tokenizer_config.json").write_text(json.dumps(kept), encoding="utf-8")
    return folder


def make_bundle(
    folder: Path,
    task: str,
    rows: Mapping[str, Sequence[float]],
    labels: Sequence[str] = (),
    *,
    words: Iterable[str] = (),
    manifest: bool = False,
    max_length: int | None = None,
    tokenizer: Mapping[str, Any] | None = None,
    dtype: str = "float32",
    **config: Any,
) -> Path:
    """A bundle whose graph looks its outputs up by token.

    Args:
        folder: where to write it.
        task: decides the graph.
        rows: logits (or hidden state, or start and end logits) of tokens; those of other tokens are 0.
        labels: names of the classes.
        words: further words of the vocabulary.
        manifest: whether to write ``torchless.json``.
        max_length: the model's limit in tokens.
        tokenizer: settings of ``tokenizer_config.json``.
        dtype: of the graph's floating-point tensors.
        config: settings of ``config.json``.
    """
    words = [word for word in (*rows, *words) if word not in SPECIAL]
    settings = {} if max_length is None or manifest else {"model_max_length": max_length}
    write_tokenizer(folder, words, **settings, **(tokenizer or {}))
    vocab = vocabulary(words)
    table = np.zeros((len(vocab), len(next(iter(rows.values())))), dtype=np.float32)
    for token, row in rows.items():
        table[vocab[token]] = row
    task_graph(folder / "onnx" / "model.onnx", task, table, dtype=dtype)
    content = {"model_type": "bert", "architectures": [ARCHITECTURES[task]]}
    if labels:
        content["id2label"] = {str(index): label for index, label in enumerate(labels)}
    (folder / "config.json").write_text(json.dumps(content | config), encoding="utf-8")
    if manifest:
        write_manifest(folder, task, max_length=max_length)
    return folder


def file_spec(folder: Path, file: str) -> FileSpec:
    """What a manifest says of a file."""
    content = (folder / file).read_bytes()
    return FileSpec(file, len(content), hashlib.sha256(content).hexdigest())


def graph_spec(folder: Path, file: str) -> GraphSpec:
    """What a manifest says of a graph."""
    session = Session(folder / file)
    return GraphSpec(file_spec(folder, file), (), session.inputs, session.outputs)


def reference(
    folder: Path, ids: Sequence[Sequence[int]], *, shift: float = 0.0, indices: Sequence[int] | None = None
) -> Reference:
    """What ``onnx/model.onnx`` gives for token ids, with every number ``shift`` away from it."""
    feeds = {"input_ids": np.array(ids), "attention_mask": np.ones_like(ids)}
    found = Session(folder / "onnx" / "model.onnx").run(feeds)
    outputs: dict[str, dict[str, Any]] = {}
    for name, value in found.items():
        flat = (value.ravel() if indices is None else value.ravel()[list(indices)]) + shift
        outputs[name] = {"dtype": str(value.dtype), "shape": list(value.shape), "values": flat.tolist()}
        if indices is not None:
            outputs[name]["indices"] = list(indices)
    inputs = {
        name: {"dtype": "int64", "shape": list(np.shape(value)), "values": np.ravel(value).tolist()}
        for name, value in feeds.items()
    }
    return Reference("model", inputs, outputs, {"fp32": 1e-3, "fp16": 1e-2})


def write_manifest(folder: Path, task: str, **fields: Any) -> Manifest:
    """``torchless.json`` for the graphs of a folder; ``fields`` replace those found."""
    variants = {path.stem.partition("_")[2] or "fp32": f"onnx/{path.name}" for path in folder.glob("onnx/*.onnx")}
    graphs = {dtype: graph_spec(folder, file) for dtype, file in sorted(variants.items())}
    found = {"model_type": "bert", "graphs": {"model": graphs}, "dtype": {"cpu": "fp32", "cuda": "fp32"}}
    manifest = Manifest(task=task, **(found | fields))
    (folder / FILE_NAME).write_text(manifest.to_json(), encoding="utf-8")
    return manifest


def edit_json(path: Path, **changes: Any) -> None:
    """Set keys of a JSON file; a value of None removes one."""
    content = json.loads(path.read_text(encoding="utf-8")) | changes
    kept = {key: value for key, value in content.items() if value is not None}
    path.write_text(json.dumps(kept), encoding="utf-8")
