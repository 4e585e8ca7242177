"""The graphs of a generating model: what is traced, on which examples, and what their tensors are called."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
import torch
from transformers import PreTrainedModel
from transformers.cache_utils import EncoderDecoderCache

from torchless.errors import ExportError
from torchless.generation.decoder import QUERIES
from torchless.generation.memory import KEPT
from torchless.quantize.half import is_cache

from .architectures import adapted
from .attention import UnsupportedAttentionError
from .cached_attention import IMPLEMENTATION, Pair, Recorder, Step, attending, stepping
from .decoder import FROM_LAST, CausalDecoder
from .seq2seq import Seq2SeqDecoder, Seq2SeqEncoder, SpeechDecoder, SpeechEncoder

# Odd sizes that no model uses for something else, so that no axis can be taken for a constant.
_BATCH, _BEAMS, _LENGTH, _TOTAL, _CAPACITY, _ENCODED, _SAMPLES = 3, 2, 5, 11, 13, 7, 5237


@dataclass(frozen=True)
class Plan:
    """How one graph is traced.

    Attributes:
        role: what the bundle calls it.
        module: the flat module.
        inputs: example tensors by argument; lists of them for caches.
        axes: names of the axes that vary, like ``inputs``.
        input_names: the graph's, in the order of ``inputs``.
        output_names: the graph's.
    """

    role: str
    module: torch.nn.Module
    inputs: dict[str, Any]
    axes: dict[str, Any]
    input_names: tuple[str, ...]
    output_names: tuple[str, ...]


# What models raise that want more than ids, a mask and a cache, or an attention with other parts.
_RUN_ERRORS = (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError)

Sizes = list[tuple[int, int, int]]
"""Heads, numbers per head of keys, and of values, by layer."""


def plans(model: PreTrainedModel) -> list[Plan]:
    """The graphs of a causal or an encoder-decoder model.

    Raises:
        ExportError: the model cannot be run over a cache of keys and values, with the reason.
    """
    if (getattr(model.config, "rope_parameters", None) or {}).get("rope_type") == "dynamic":
        raise ExportError(
            f"{type(model).__name__} has rope scaling 'dynamic': the angles of cached keys would change as a text grows"
        )
    grown, cross = layer_sizes(model)
    if not model.config.is_encoder_decoder:
        return [_causal(model, grown)]
    return [_encoder(model, cross), _decoder(model, grown, cross)]


def hears(model: PreTrainedModel) -> bool:
    """Whether the model's input is a sound."""
    return model.main_input_name != "input_ids"


def sound_shape(model: PreTrainedModel) -> tuple[int, ...] | None:
    """The shape of one input of a model that hears: mels and frames; None where it is any number of samples."""
    config = model.config
    if model.main_input_name == "input_values":
        return None
    return int(config.num_mel_bins), 2 * int(config.max_source_positions)


def aligned_layers(model: PreTrainedModel) -> list[int]:
    """The decoder's layers of which some head tells when a word was said."""
    heads = getattr(model.generation_config, "alignment_heads", None) or ()
    return sorted({int(layer) for layer, _ in heads})


def layer_sizes(model: PreTrainedModel) -> tuple[Sizes, Sizes]:
    """The cache's sizes, of the self-attention and of the cross-attention, found by running the model once."""
    step = Step()
    grown, cross = Recorder(step), Recorder(step)
    ids = torch.ones((1, 2), dtype=torch.int64, device=model.device)
    arguments: dict[str, Any] = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    if hears(model):
        arguments = {model.main_input_name: torch.ones((1, *(sound_shape(model) or (_SAMPLES,))), device=model.device)}
    if model.config.is_encoder_decoder:
        arguments |= {"decoder_input_ids": ids, "past_key_values": EncoderDecoderCache(grown, cross)}
    else:
        arguments |= {"past_key_values": grown}
    step.recorder = grown
    try:
        with attending(model, IMPLEMENTATION), adapted(model), stepping(step), torch.inference_mode():
            model(**arguments)
    except (UnsupportedAttentionError, *_RUN_ERRORS) as error:
        raise ExportError(f"{type(model).__name__} cannot be given a cache: {error}") from error
    if not grown.kept or set(step.present) != set(grown.kept):
        raise ExportError(
            f"{type(model).__name__} does not attend through transformers' attention interface with a cache of keys "
            "and values: generation with it cannot be exported"
        )
    # Keys may be widened on their way to the attention, which is what the decoder's cache holds.
    return _sizes(step.present), _sizes(cross.kept)


def _sizes(kept: dict[int, Pair]) -> Sizes:
    layers = sorted(kept)
    if layers != list(range(len(layers))):
        raise ExportError(f"only layers {layers} keep keys and values: a cache of another kind cannot be exported")
    return [(key.shape[1], key.shape[3], value.shape[3]) for key, value in map(kept.__getitem__, layers)]


def _causal(model: PreTrainedModel, sizes: Sizes) -> Plan:
    batch, length = torch.export.Dim("batch"), torch.export.Dim("length")
    positions = torch.arange(_TOTAL - _LENGTH, _TOTAL).expand(_BATCH, -1).contiguous()
    past, past_axes = _cache(sizes, _BATCH, _CAPACITY, batch, torch.export.Dim("capacity"))
    return Plan(
        role="model",
        module=CausalDecoder(model).eval(),
        inputs={
            "input_ids": torch.ones((_BATCH, _LENGTH), dtype=torch.int64),
            "attention_mask": torch.ones((_BATCH, _TOTAL), dtype=torch.int64),
            "position_ids": positions,
            "past_key_values": past,
            FROM_LAST: torch.zeros(2, dtype=torch.int64),
        },
        axes={
            "input_ids": {0: batch, 1: length},
            "attention_mask": {0: batch, 1: torch.export.Dim("total")},
            "position_ids": {0: batch, 1: length},
            "past_key_values": past_axes,
            FROM_LAST: {0: torch.export.Dim("kept")},
        },
        input_names=(
            "input_ids", "attention_mask", "position_ids", *_names("past_key_values.{}.", len(sizes)), FROM_LAST,
        ),
        output_names=("logits", *_names("present.{}.", len(sizes))),
    )  # fmt: skip


def _encoder(model: PreTrainedModel, sizes: Sizes) -> Plan:
    outputs = tuple(_names("present.{}.encoder.", len(sizes)))
    if hears(model):
        shape = sound_shape(model)
        axes: dict[int, Any] = {0: torch.export.Dim("batch")}
        if shape is None:
            axes[1] = torch.export.Dim("samples", min=_SAMPLES // 2)
        return Plan(
            role="encoder_model",
            module=SpeechEncoder(model).eval(),
            inputs={"sound": torch.zeros((_BATCH, *(shape or (_SAMPLES,))))},
            axes={"sound": axes},
            input_names=(model.main_input_name,),
            output_names=outputs,
        )
    axes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("encoder_length")}
    ones = torch.ones((_BATCH, _ENCODED), dtype=torch.int64)
    return Plan(
        role="encoder_model",
        module=Seq2SeqEncoder(model).eval(),
        inputs={"input_ids": ones, "attention_mask": ones.clone()},
        axes={"input_ids": axes, "attention_mask": axes},
        input_names=("input_ids", "attention_mask"),
        output_names=outputs,
    )


def _decoder(model: PreTrainedModel, sizes: Sizes, cross_sizes: Sizes) -> Plan:
    rows, length, batch = torch.export.Dim("rows"), torch.export.Dim("length"), torch.export.Dim("batch")
    shape = sound_shape(model) if hears(model) else None
    # Of sounds of one length all encodings have one.
    encoded, encoded_axis = (_ENCODED, torch.export.Dim("encoder_length")) if shape is None else (shape[1] // 2, None)
    count = _BATCH * _BEAMS
    past, past_axes = _cache(sizes, count, _CAPACITY, rows, torch.export.Dim("capacity"))
    cross, cross_axes = _cache(cross_sizes, _BATCH, encoded, batch, encoded_axis)
    aligned = aligned_layers(model) if hears(model) else []
    inputs = {
        "input_ids": torch.ones((count, _LENGTH), dtype=torch.int64),
        "encoder_attention_mask": torch.ones((_BATCH, encoded), dtype=torch.int64),
        "decoder_attention_mask": torch.ones((count, _TOTAL), dtype=torch.int64),
        "past_key_values": past,
        "encoder_key_values": cross,
        FROM_LAST: torch.zeros(2, dtype=torch.int64),
    }
    axes = {
        "input_ids": {0: rows, 1: length},
        "encoder_attention_mask": {0: batch, 1: encoded_axis},
        "decoder_attention_mask": {0: rows, 1: torch.export.Dim("total")},
        "past_key_values": past_axes,
        "encoder_key_values": cross_axes,
        FROM_LAST: {0: torch.export.Dim("kept")},
    }
    if hears(model):
        del inputs["encoder_attention_mask"], axes["encoder_attention_mask"]
    return Plan(
        role="decoder_model",
        module=(SpeechDecoder if hears(model) else Seq2SeqDecoder)(model, aligned).eval(),
        inputs=inputs,
        axes=axes,
        input_names=(
            *(name for name in inputs if name.endswith(("_ids", "_mask"))),
            *_names("past_key_values.{}.decoder.", len(sizes)),
            *_names("past_key_values.{}.encoder.", len(cross_sizes)),
            FROM_LAST,
        ),
        output_names=(
            "logits", *_names("present.{}.decoder.", len(sizes)), *(f"{QUERIES}{layer}" for layer in aligned)
        ),
    )  # fmt: skip


def _names(pattern: str, layers: int) -> list[str]:
    return [pattern.format(layer) + kind for layer in range(layers) for kind in ("key", "value")]


def _cache(
    sizes: Sizes, rows: int, length: int, rows_axis: Any, length_axis: Any
) -> tuple[list[torch.Tensor], list[dict[int, Any]]]:
    tensors = [torch.zeros(rows, heads, length, head) for heads, key, value in sizes for head in (key, value)]
    axes = {0: rows_axis} | ({} if length_axis is None else {2: length_axis})
    return tensors, [axes] * len(tensors)


def finish(model: ir.Model, plan: Plan) -> None:
    """Let the number of wanted logits be an input that need not be given, and caches keep their size.

    ONNX Runtime lets a default be replaced by a value of the same shape only: hence a count instead of positions.
    """
    graph = model.graph
    for before, after in zip(_cached(graph.inputs), _cached(graph.outputs), strict=False):
        if ".encoder." not in str(after.name):
            after.shape = before.shape
    places = next((value for value in graph.inputs if value.name == FROM_LAST), None)
    if places is None:
        return
    count = ir.Value(name=KEPT, type=ir.TensorType(ir.DataType.INT64), shape=ir.Shape([]))
    count.const_value = ir.tensor(np.array(1, dtype=np.int64), name=KEPT)
    minus = ir.Value(name=f"{KEPT}_step", const_value=ir.tensor(np.array(-1, dtype=np.int64), name=f"{KEPT}_step"))
    minus.type, minus.shape = ir.TensorType(ir.DataType.INT64), ir.Shape([])
    first = ir.node("Add", [count, minus])
    descending = ir.node("Range", [first.outputs[0], minus, minus])
    for node in (first, descending):
        node.outputs[0].type = ir.TensorType(ir.DataType.INT64)
    first.outputs[0].shape, descending.outputs[0].shape = ir.Shape([]), places.shape
    places.replace_all_uses_with(descending.outputs[0])
    graph.inputs[graph.inputs.index(places)] = count
    graph.register_initializer(minus)
    graph.initializers[KEPT] = count
    graph.insert_before(graph[0], [first, descending])


def _cached(values: Iterable[ir.Value]) -> Sequence[ir.Value]:
    return [value for value in values if is_cache(str(value.name))]
