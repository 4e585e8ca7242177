"""Models of one pass over a text: their inputs, and the flat module that is traced."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel

from .checkpoint import Checkpoint
from .readers import Inputs, Reader, lengths
from .recipes import Output, Recipe


class TextEncoder(torch.nn.Module):
    """A model with named tensors in and a tuple of tensors out, in the recipe's order."""

    def __init__(self, model: PreTrainedModel, recipe: Recipe) -> None:
        super().__init__()
        self.model = model
        self.fields = tuple(output.name for output in recipe.outputs)

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, token_type_ids: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, ...]:
        """All inputs are int64 ``(batch, length)``."""
        types = {} if token_type_ids is None else {"token_type_ids": token_type_ids}
        result = self.model(input_ids=input_ids, attention_mask=attention_mask, return_dict=True, **types)
        return tuple(result[field] for field in self.fields)


class TextReader(Reader):
    """Token ids with padded rows and both token types; a length counts tokens.

    The longest input checks the model's limit. It comes first, as some architectures change for good to another
    attention at their first short one. Texts shorter than two special tokens and a word fail in torch for some.
    """

    shapes = ((1, 1024), (2, 200), (1, 67), (2, 18), (3, 5), (1, 2), (1, 1))
    traced = (3, 11)
    recorded = (2, 9)
    short = 2

    def input_names(self, checkpoint: Checkpoint) -> tuple[str, ...]:
        """Token types only where the model tells them apart.

        A configuration that does not say how many types there are leaves it to the tokenizer whether it gives them.
        """
        model, names = checkpoint.model, ("input_ids", "attention_mask")
        if "token_type_ids" not in inspect.signature(model.forward).parameters:
            return names
        types = getattr(model.config, "type_vocab_size", None)
        told_apart = "token_type_ids" in checkpoint.tokenizer.model_input_names if types is None else types > 1
        return (*names, "token_type_ids") if told_apart else names

    def sample(self, checkpoint: Checkpoint, batch: int, length: int, seed: int = 0) -> Inputs:
        """Random ordinary tokens, padded on the tokenizer's side."""
        model, tokenizer = checkpoint.model, checkpoint.tokenizer
        rng = np.random.default_rng([seed, batch, length])
        pad = _pad_id(checkpoint)
        vocabulary = np.setdiff1d(np.arange(model.config.vocab_size), [pad, *tokenizer.all_special_ids])
        input_ids = rng.choice(vocabulary, size=(batch, length)).astype(np.int64)
        ends = lengths(batch, length)[:, None]
        attention_mask = (np.arange(length) < ends).astype(np.int64)
        token_type_ids = (np.arange(length) >= ends // 2).astype(np.int64) * attention_mask
        if tokenizer.padding_side == "left":
            attention_mask, token_type_ids = attention_mask[:, ::-1].copy(), token_type_ids[:, ::-1].copy()
        inputs = {
            "input_ids": np.where(attention_mask == 1, input_ids, pad),
            "attention_mask": attention_mask,
            "token_type_ids": token_type_ids,
        }
        return {name: inputs[name] for name in self.input_names(checkpoint)}

    def module(self, checkpoint: Checkpoint) -> torch.nn.Module:
        """The model behind its token ids."""
        return TextEncoder(checkpoint.model, checkpoint.recipe).eval()

    def axes(self, checkpoint: Checkpoint) -> dict[str, dict[int, Any]]:
        """All inputs are ``(batch, length)``."""
        axes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("length")}
        return dict.fromkeys(self.input_names(checkpoint), axes)

    def attended(self, checkpoint: Checkpoint, output: Output, inputs: Inputs) -> NDArray[np.bool_] | None:
        """The tokens that are not padding."""
        return inputs["attention_mask"] == 1 if output.per_token else None

    def cases(self, checkpoint: Checkpoint, longest: int | None) -> list[tuple[int, int]]:
        """The shapes, within the model's limit in tokens."""
        return list(dict.fromkeys((batch, min(length, longest or length)) for batch, length in self.shapes))

    def reference(self, longest: int | None) -> tuple[int, int]:
        """The reference's shape, within the model's limit."""
        batch, length = self.recorded
        return batch, min(length, longest or length)


def _pad_id(checkpoint: Checkpoint) -> int:
    for source in (checkpoint.tokenizer, checkpoint.config):
        if getattr(source, "pad_token_id", None) is not None:
            return int(source.pad_token_id)
    return 0
