"""Attention over a key/value cache, as ONNX Runtime's fused operators, while a decoder is traced.

Self-attention becomes ``com.microsoft::GroupQueryAttention``: past and present may be one buffer, rows may have
different lengths, and one graph serves the prompt and every step after it. Cross-attention becomes
``com.microsoft::MultiHeadAttention`` over keys and values that the encoder's graph made once; the beams of an input
are queries of one row, so that these are never repeated.

Reference: ONNX Runtime's contrib operators GroupQueryAttention and MultiHeadAttention, version 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.cache_utils import Cache, EncoderDecoderCache
from transformers.masking_utils import bidirectional_mask_function

from .attention import UnsupportedAttentionError, flat, without_trailing_none
from .attention import attention as bidirectional_attention
from .attention import mask as bidirectional_mask

IMPLEMENTATION = "torchless_cached"
OPERATOR = "GroupQueryAttention"

Pair = tuple[torch.Tensor, torch.Tensor]
"""Keys and values of a layer, each ``(batch, key heads, length, head)``."""


@dataclass
class Step:
    """What the attention layers of one traced call share.

    Attributes:
        past: keys and values by layer, as they were before this call; None where only the layers' sizes or the cross
            keys and values are wanted, and what a decoder's attention gives means nothing.
        lengths: int32 ``(rows,)``: the tokens of each row after this call, less one.
        total: int32 scalar: the longest row after this call.
        past_length: tokens before this call, where all rows have as many.
        encoder: cross keys and values by layer; None for a decoder-only model.
        input_ids: ``(rows, length)``.
        present: keys and values after this call, filled layer by layer; the new ones alone where ``past`` is None.
        layer: the layer whose keys and values were just handed to the cache.
        queries: of the cross-attention by layer, each ``(rows, length, heads * head)``; their products
            with the keys are the scores.
        recorder: who is given the keys and values of layers that know no cache.
    """

    past: list[Pair] | None = None
    lengths: torch.Tensor | None = None
    total: torch.Tensor | None = None
    past_length: int = 0
    input_ids: torch.Tensor | None = None
    encoder: list[Pair] | None = None
    present: dict[int, Pair] = field(default_factory=dict)
    layer: int | None = None
    queries: dict[int, torch.Tensor] = field(default_factory=dict)
    recorder: Recorder | None = None


_STEP: ContextVar[Step] = ContextVar("step")


def current_step() -> Step:
    """The step that is being traced."""
    return _STEP.get()


class HandedThrough(Cache):
    """A cache that keeps nothing: the operator itself joins past and new keys and values."""

    def __init__(self, step: Step) -> None:
        super().__init__(layers=[])
        self._step = step

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, layer_idx: int, *args: Any, **kwargs: Any
    ) -> Pair:
        """Remember the layer, whose attention follows."""
        self._step.layer = layer_idx
        return key_states, value_states

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Tokens before this call."""
        return self._step.past_length

    def get_query_offset(self, layer_idx: int = 0) -> int:
        """Tokens before this call."""
        return self._step.past_length

    def get_mask_sizes(self, query_length: int, layer_idx: int = 0) -> tuple[int, int]:
        """Keys in all, and their offset."""
        return self._step.past_length + query_length, 0

    @property
    def is_compileable(self) -> bool:
        """Never: no mask is to be made for a compiled step."""
        return False

    @property
    def is_sliding(self) -> list[bool]:
        """No layer holds a window only."""
        return [False] * len(self._step.past or ())


class Recorder(HandedThrough):
    """Keeps the keys and values that it is handed, by layer."""

    def __init__(self, step: Step) -> None:
        super().__init__(step)
        self.kept: dict[int, Pair] = {}

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, layer_idx: int, *args: Any, **kwargs: Any
    ) -> Pair:
        """Keep them."""
        self.kept[layer_idx] = key_states, value_states
        return super().update(key_states, value_states, layer_idx)


class _CrossLayer:
    """The cross keys and values of a layer, under the names by which models read them."""

    def __init__(self, pair: Pair) -> None:
        self.keys, self.values = pair


class Crossed(EncoderDecoderCache):
    """A cache whose cross-attention is complete."""

    def __init__(self, step: Step) -> None:
        cross = HandedThrough(step)
        super().__init__(HandedThrough(step), cross)
        layers: Any = [_CrossLayer(pair) for pair in step.encoder or ()]
        cross.layers = layers
        self.is_updated = dict.fromkeys(range(len(layers)), True)


def attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    **options: Any,
) -> tuple[torch.Tensor, None]:
    """One attention node over the cache; see :func:`.attention.attention` for the arguments.

    Raises:
        UnsupportedAttentionError: a part that the operators cannot express.
    """
    step = current_step()
    if options.get("head_mask") is not None:
        raise UnsupportedAttentionError("the attention takes head_mask")
    layer, step.layer = step.layer, None
    if step.past is None:
        if layer is None:
            return bidirectional_attention(module, query, key, value, attention_mask, scaling, **options)
        step.present[layer] = key, value
        return query.transpose(1, 2), None
    if layer is not None:
        return _self_attention(step, layer, query, key, value, attention_mask, scaling, options), None
    if step.encoder is None:
        raise UnsupportedAttentionError(f"{type(module).__name__} attends without handing keys to the cache")
    if options.get("position_bias") is not None and getattr(module, "has_relative_attention_bias", False):
        raise UnsupportedAttentionError("the cross-attention is biased by position")
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    step.queries[getattr(module, "layer_idx", -1)] = flat(query if scale == 1 else query * scale)
    return _cross_attention(step, query, key, value, attention_mask, scaling), None


def mask(
    *,
    attention_mask: torch.Tensor | None = None,
    mask_function: Callable[..., Any],
    q_length: int,
    dtype: torch.dtype = torch.float32,
    use_vmap: bool = False,
    **options: Any,
) -> torch.Tensor | None:
    """None for causal attention, which the operator masks by the rows' lengths; the encoder's padding otherwise."""
    if mask_function is bidirectional_mask_function:
        step = current_step()
        if step.past is not None and step.encoder is None:
            raise UnsupportedAttentionError(
                "a token attends to what follows it, as in an encoder: is_decoder is not set"
            )
        queries = q_length if step.past is None else 1  # widened to all beams of an input where it is used
        return bidirectional_mask(
            attention_mask=attention_mask, mask_function=mask_function, q_length=queries, dtype=dtype, **options
        )
    if use_vmap:
        raise UnsupportedAttentionError("the causal mask is changed by another")
    return None


def _self_attention(
    step: Step,
    layer: int,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None,
    options: dict[str, Any],
) -> torch.Tensor:
    rows, heads, length, head = query.shape
    key_heads = key.shape[1]
    if value.shape[-1] != head:
        raise UnsupportedAttentionError(f"values of {value.shape[-1]} numbers beside keys of {head}")
    if head % 8:
        raise UnsupportedAttentionError(f"heads of {head} numbers: the operator wants a multiple of 8")
    attributes: dict[str, Any] = {"num_heads": heads, "kv_num_heads": key_heads}
    if scaling is not None and not math.isclose(scaling, head**-0.5):
        attributes["scale"] = float(scaling)
    if options.get("sliding_window") is not None:
        attributes["local_window_size"] = int(options["sliding_window"])
    if options.get("softcap"):
        attributes["softcap"] = float(options["softcap"])
    past_key, past_value = (step.past or [])[layer]
    bias = _sum(options.get("position_bias"), attention_mask)
    sink = options.get("s_aux")
    capacity = past_key.shape[2]
    shape = (rows, key_heads, capacity + length, head)
    output, present_key, present_value = torch.onnx.ops.symbolic_multi_out(
        f"com.microsoft::{OPERATOR}",
        without_trailing_none(
            flat(query), flat(key), flat(value), past_key, past_value, step.lengths, step.total,
            None, None, None, bias, sink,
        ),
        attributes,
        dtypes=[query.dtype, query.dtype, query.dtype],
        shapes=[(rows, length, heads * head), shape, shape],
        version=1,
    )  # fmt: skip
    step.present[layer] = present_key, present_value
    return output.view(rows, length, heads, head)


def _cross_attention(
    step: Step,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None,
) -> torch.Tensor:
    rows, heads, length, head = query.shape
    width = heads * head
    inputs = key.shape[0]
    folded = rows * length // inputs  # queries of one input: its beams, each with its new tokens
    batch = _dimensions(key, 0, 1)
    query = _reshape(flat(query), torch.cat([batch, torch.tensor([-1, width])]), (inputs, folded, width))
    if attention_mask is not None:
        attention_mask = attention_mask.expand(-1, -1, folded, -1)
    attributes: dict[str, Any] = {"num_heads": heads}
    if scaling is not None and not math.isclose(scaling, head**-0.5):
        attributes["scale"] = float(scaling)
    (output,) = torch.onnx.ops.symbolic_multi_out(
        "com.microsoft::MultiHeadAttention",
        without_trailing_none(query, key, value, None, None, attention_mask),
        attributes,
        dtypes=[query.dtype],
        shapes=[(inputs, folded, heads * value.shape[-1])],
        version=1,
    )
    assert step.input_ids is not None
    shape = torch.cat([_dimensions(step.input_ids, 0, 2), torch.tensor([-1])])
    output = _reshape(output, shape, (rows, length, heads * value.shape[-1]))
    return output.view(rows, length, heads, value.shape[-1])


def _dimensions(tensor: torch.Tensor, start: int, end: int) -> torch.Tensor:
    """Sizes of a tensor's axes, int64 ``(end - start,)``, read when the graph runs."""
    return torch.onnx.ops.symbolic(
        "Shape", (tensor,), {"start": start, "end": end}, dtype=torch.int64, shape=(end - start,), version=18
    )


def _reshape(tensor: torch.Tensor, target: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
    """A reshape whose sizes torch need not prove."""
    return torch.onnx.ops.symbolic("Reshape", (tensor, target), dtype=tensor.dtype, shape=shape, version=18)


def _sum(first: torch.Tensor | None, second: torch.Tensor | None) -> torch.Tensor | None:
    if first is None or second is None:
        return second if first is None else first
    return first + second


@contextmanager
def attending(model: PreTrainedModel, implementation: str) -> Iterator[None]:
    """Let the model and its parts attend by a registered implementation inside the block."""
    configurations: dict[int, Any] = {
        id(part.config): part.config for part in model.modules() if hasattr(getattr(part, "config", None), "model_type")
    }
    before = [(config, config._attn_implementation) for config in configurations.values()]
    try:
        for config, _ in before:
            config._attn_implementation_internal = implementation
        yield
    finally:
        for config, implementation in before:
            config._attn_implementation_internal = implementation


@contextmanager
def stepping(step: Step) -> Iterator[None]:
    """Make a step known to the attention layers inside the block."""
    token = _STEP.set(step)
    try:
        yield
    finally:
        _STEP.reset(token)


AttentionInterface.register(IMPLEMENTATION, attention)
AttentionMaskInterface.register(IMPLEMENTATION, mask)
