"""Models of one pass over the text: their inputs, and the flat module that is traced."""

from __future__ import annotations

import inspect
from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from .checkpoint import Checkpoint
from .recipes import Recipe

Inputs = dict[str, NDArray[np.int64]]


class Encoder(torch.nn.Module):
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


def input_names(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> tuple[str, ...]:
    """The graph's inputs: token types only where the model tells them apart.

    A configuration that does not say how many types there are leaves it to the tokenizer whether it gives them.
    """
    names = ("input_ids", "attention_mask")
    if "token_type_ids" not in inspect.signature(model.forward).parameters:
        return names
    types = getattr(model.config, "type_vocab_size", None)
    told_apart = "token_type_ids" in tokenizer.model_input_names if types is None else types > 1
    return (*names, "token_type_ids") if told_apart else names


def sample_inputs(checkpoint: Checkpoint, batch: int, length: int, seed: int = 0) -> Inputs:
    """Random token ids with padded rows and both token types.

    The first row is full; each further one is shorter, padded on the tokenizer's side.
    """
    model, tokenizer = checkpoint.model, checkpoint.tokenizer
    rng = np.random.default_rng([seed, batch, length])
    pad = _pad_id(checkpoint)
    vocabulary = np.setdiff1d(np.arange(model.config.vocab_size), [pad, *tokenizer.all_special_ids])
    input_ids = rng.choice(vocabulary, size=(batch, length)).astype(np.int64)
    lengths = np.maximum(1, length - np.arange(batch) * -(-length // (batch + 1)))
    attention_mask = (np.arange(length) < lengths[:, None]).astype(np.int64)
    token_type_ids = (np.arange(length) >= lengths[:, None] // 2).astype(np.int64) * attention_mask
    if tokenizer.padding_side == "left":
        attention_mask, token_type_ids = attention_mask[:, ::-1].copy(), token_type_ids[:, ::-1].copy()
    inputs = {
        "input_ids": np.where(attention_mask == 1, input_ids, pad),
        "attention_mask": attention_mask,
        "token_type_ids": token_type_ids,
    }
    return {name: inputs[name] for name in input_names(model, tokenizer)}


def run_torch(checkpoint: Checkpoint, inputs: Mapping[str, NDArray[np.int64]]) -> dict[str, NDArray[np.float32]]:
    """The checkpoint's own outputs in float32."""
    module = Encoder(checkpoint.model, checkpoint.recipe)
    with torch.inference_mode():
        outputs = module(**as_tensors(inputs, checkpoint.model.device))
    return {name: tensor.float().cpu().numpy() for name, tensor in zip(module.fields, outputs, strict=True)}


def as_tensors(inputs: Mapping[str, NDArray[np.int64]], device: torch.device) -> dict[str, torch.Tensor]:
    """The arrays on the model's device."""
    return {name: torch.from_numpy(array).to(device) for name, array in inputs.items()}


def _pad_id(checkpoint: Checkpoint) -> int:
    for source in (checkpoint.tokenizer, checkpoint.config):
        if getattr(source, "pad_token_id", None) is not None:
            return int(source.pad_token_id)
    return 0
