"""Decoder-only language models: the flat module that is traced, over a cache of keys and values."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from transformers import PreTrainedModel

from .cached_attention import HandedThrough, Pair, Step, stepping

FROM_LAST = "logits_from_last"
"""The traced module's input: which positions' logits are wanted, counted back from each row's last token."""


class CausalDecoder(torch.nn.Module):
    """A language model that takes new tokens and its cache, and gives the logits of each row's last ones."""

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model = model
        self._takes_cache = "past_key_values" in inspect.signature(model.forward).parameters

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        position_ids: torch.Tensor,
        past_key_values: Sequence[torch.Tensor],
        logits_from_last: torch.Tensor,
    ) -> tuple[torch.Tensor, ...]:
        """Decode.

        Args:
            input_ids: int64 ``(batch, length)``, rows padded on the right.
            attention_mask: int64 ``(batch, total)``; how many ones a row has is how many tokens it has after this call.
            position_ids: int64 ``(batch, length)``, counted from 0 in each row.
            past_key_values: keys and values by layer, in turn, each ``(batch, key heads, capacity, head)``.
            logits_from_last: int64 ``(kept,)``.

        Returns:
            Logits ``(batch, kept, vocab)``, then the keys and values, as given.
        """
        step = new_step(input_ids, attention_mask, past_key_values)
        last = last_tokens(step, position_ids[:, 0], logits_from_last)
        cache: dict[str, Any] = {"past_key_values": HandedThrough(step), "use_cache": True} if self._takes_cache else {}
        with stepping(step), kept_logits(self.model, last):
            result = self.model(
                input_ids=input_ids,
                attention_mask=attention_mask if self._takes_cache else None,
                position_ids=position_ids,
                return_dict=True,
                **cache,
            )
        return result.logits, *(tensor for layer in sorted(step.present) for tensor in step.present[layer])


def new_step(input_ids: torch.Tensor, attention_mask: torch.Tensor, past: Sequence[torch.Tensor]) -> Step:
    """What the attention layers of a traced call share."""
    total = attention_mask.shape[1]
    return Step(
        past=pairs(past),
        lengths=(attention_mask.sum(dim=1) - 1).to(torch.int32),
        total=torch.scalar_tensor(total, dtype=torch.int32),
        past_length=total - input_ids.shape[1],
        input_ids=input_ids,
    )


def pairs(tensors: Sequence[torch.Tensor]) -> list[Pair]:
    """Keys and values, which follow each other, by layer."""
    return list(zip(tensors[::2], tensors[1::2], strict=True))


def last_tokens(step: Step, past: torch.Tensor | int, from_last: torch.Tensor) -> torch.Tensor:
    """Places among the new tokens of the wanted logits, int64 ``(batch, kept)``.

    Args:
        step: has the rows' lengths after this call.
        past: tokens before this call, of each row or of all.
        from_last: how far before each row's last token.
    """
    assert step.lengths is not None
    places: torch.Tensor = (step.lengths.to(torch.int64) - past)[:, None] - from_last[None, :]
    return places.clamp(min=0)


@contextmanager
def kept_logits(model: PreTrainedModel, places: torch.Tensor) -> Iterator[None]:
    """Let only the hidden states at ``places`` reach the output embedding, whose product is the largest of a call."""

    def choose(_: torch.nn.Module, arguments: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        hidden = arguments[0]
        shape = (hidden.shape[0], places.shape[1], hidden.shape[2])
        indices = places[:, :, None]
        kept = torch.onnx.ops.symbolic(
            "GatherND", (hidden, indices), {"batch_dims": 1}, dtype=hidden.dtype, shape=shape, version=13
        )
        return kept, *arguments[1:]

    generator: Any = model
    head: Any = generator.get_output_embeddings()
    handle = head.register_forward_pre_hook(choose)
    try:
        yield
    finally:
        handle.remove()
