"""Attention that emits ONNX Runtime's fused operator while a model is traced.

transformers calls attention and its mask through two registries. The functions registered here under
:data:`IMPLEMENTATION` put ``com.microsoft::MultiHeadAttention`` into the graph, so no pattern has to be found
afterwards. They only work inside ``torch.onnx.export(dynamo=True)``: in torch they return zeros.

Reference: ONNX Runtime's contrib operators, MultiHeadAttention version 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.masking_utils import bidirectional_mask_function, eager_mask

IMPLEMENTATION = "torchless"
OPERATOR = "MultiHeadAttention"


class UnsupportedAttentionError(Exception):
    """The attention has a part that the operator cannot express; the model is to be traced instead."""


def attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    **options: Any,
) -> tuple[torch.Tensor, None]:
    """One MultiHeadAttention node.

    Args:
        module: the attention layer, as transformers passes it.
        query: ``(batch, heads, length, head)``.
        key: ``(batch, heads, keys, head)``.
        value: ``(batch, heads, keys, value)``.
        attention_mask: what :func:`mask` made: added to the scores, ``(batch or 1, heads or 1, length, keys)``; None
            where every key is attended.
        scaling: factor of the scores; ``1 / sqrt(head)`` where None.
        **options: the rest of the call; any that would change the result is refused.

    Returns:
        ``(batch, length, heads, value)``, and None for the weights, which the operator does not give.

    Raises:
        UnsupportedAttentionError: a part that the operator cannot express.
    """
    _check(module, query, key, attention_mask, options)
    bias = options.get("position_bias")
    if bias is not None:
        attention_mask = bias if attention_mask is None else bias + attention_mask
    batch, heads, length, head = query.shape
    attributes: dict[str, Any] = {"num_heads": heads}
    if scaling is not None and not math.isclose(scaling, head**-0.5):
        attributes["scale"] = float(scaling)
    (output,) = torch.onnx.ops.symbolic_multi_out(
        f"com.microsoft::{OPERATOR}",
        without_trailing_none(flat(query), flat(key), flat(value), None, None, attention_mask),
        attributes,
        dtypes=[query.dtype],
        shapes=[(batch, length, heads * value.shape[-1])],
        version=1,
    )
    return output.view(batch, length, heads, value.shape[-1]), None


def mask(
    *,
    attention_mask: torch.Tensor | None = None,
    mask_function: Callable[..., Any],
    q_length: int,
    dtype: torch.dtype = torch.float32,
    **options: Any,
) -> torch.Tensor | None:
    """The additive mask for :func:`attention`, ``(batch, 1, length, keys)``; None where every key is attended.

    The operator would also take the padding as ``(batch, keys)``, but then widens it in every layer; made once for all
    layers it was up to 5 % faster on BERT-base on a CPU.
    """
    if mask_function is not bidirectional_mask_function:
        additive: torch.Tensor | None = eager_mask(
            attention_mask=attention_mask, mask_function=mask_function, q_length=q_length, dtype=dtype, **options
        )
        return additive
    if attention_mask is None:
        return None
    padded = (attention_mask == 0)[:, None, None, :].to(dtype) * torch.finfo(dtype).min
    return padded.expand(-1, -1, q_length, -1)


def supported(model: PreTrainedModel) -> bool:
    """Whether the model calls its attention through the registry."""
    return bool(model._supports_attention_backend or model._can_set_attn_implementation())


def _check(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    attention_mask: torch.Tensor | None,
    options: dict[str, Any],
) -> None:
    if query.shape[1] != key.shape[1]:
        raise UnsupportedAttentionError(f"{query.shape[1]} query heads share {key.shape[1]} key heads")
    if attention_mask is None and getattr(module, "is_causal", False):
        raise UnsupportedAttentionError("the mask is causal and implied")
    for name in ("softcap", "s_aux", "head_mask"):
        if options.get(name) is not None:
            raise UnsupportedAttentionError(f"the attention takes {name}")


def flat(heads: torch.Tensor) -> torch.Tensor:
    """``(batch, heads, length, head)`` to ``(batch, length, heads * head)``."""
    return heads.transpose(1, 2).flatten(2)


def without_trailing_none(*inputs: torch.Tensor | None) -> tuple[torch.Tensor | None, ...]:
    """A node's inputs, without the optional ones at the end that are not given."""
    count = max(index for index, value in enumerate(inputs) if value is not None) + 1
    return inputs[:count]


AttentionInterface.register(IMPLEMENTATION, attention)
AttentionMaskInterface.register(IMPLEMENTATION, mask)
