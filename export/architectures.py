"""What single architectures need to be traced over a cache: each entry applies where a model has such parts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from inspect import signature
from typing import Any
from unittest.mock import patch

import torch
from transformers import PreTrainedModel
from transformers.models.openai.modeling_openai import Attention as OpenAIAttention

from .cached_attention import attention, current_step


@contextmanager
def adapted(model: PreTrainedModel) -> Iterator[None]:
    """Change what has to be changed in the model's classes inside the block."""
    kinds: set[Any] = {type(part) for part in model.modules()}
    with ExitStack() as stack:
        for kind in kinds:
            if "past_seen_tokens" in signature(getattr(kind, "compute_bias", adapted)).parameters:
                stack.enter_context(patch.object(kind, "compute_bias", _whole_bias(kind.compute_bias)))
        if OpenAIAttention in kinds:
            stack.enter_context(_openai_gpt(model))
        yield


def _whole_bias(compute: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    """T5's bias by relative position, for all keys: the layer is only shown the new ones."""

    def compute_bias(
        self: Any, query_length: int, key_length: int, device: Any = None, past_seen_tokens: int = 0, **options: Any
    ) -> torch.Tensor:
        return compute(
            self, query_length, past_seen_tokens + key_length, device, past_seen_tokens=past_seen_tokens, **options
        )

    return compute_bias


@contextmanager
def _openai_gpt(model: PreTrainedModel) -> Iterator[None]:
    """OpenAI GPT, which has no cache in transformers: its layers hand their keys and values to one."""
    layers: list[Any] = [part for part in model.modules() if isinstance(part, OpenAIAttention)]
    for index, layer in enumerate(layers):
        layer.layer_idx = index

    def attend(
        self: Any, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, *arguments: Any, **options: Any
    ) -> list[torch.Tensor]:
        step, keys = current_step(), k.transpose(2, 3)
        step.layer = self.layer_idx
        if step.recorder is not None:
            step.recorder.update(keys, v, self.layer_idx)
        output, _ = attention(self, q, keys, v, None, None if self.scale else 1.0)
        return [output.transpose(1, 2)]

    with patch.object(OpenAIAttention, "_attn", attend):
        yield
