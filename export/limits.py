"""The longest input that a checkpoint takes."""

from __future__ import annotations

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from torchless.tokenizer import length_limit


def max_length(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> int | None:
    """The longest input in tokens, special tokens included; None where neither model nor tokenizer sets a limit.

    What a language model continues is limited by its positions alone.
    """
    positions = declared_positions(model) if model.can_generate() else _positions(model)
    if positions is not None and model.can_generate() and not model.config.is_encoder_decoder:
        return positions
    limits = [limit for limit in (positions, length_limit(tokenizer.model_max_length)) if limit is not None]
    return min(limits, default=None)


def declared_positions(model: PreTrainedModel) -> int | None:
    """The positions that the configuration says the model was made for; those of a generating model are meant so.

    What hears counts those of its texts apart. Angles of "longrope" change for all positions once a text is longer than
    the model was first trained for, those of keys that are cached already too: such a model ends there.
    """
    declared = [getattr(model.config, name, None) for name in ("max_target_positions", "max_position_embeddings")]
    count = next((count for count in declared if isinstance(count, int) and count > 0), None)
    scaling = getattr(model.config, "rope_parameters", None) or {}
    if scaling.get("rope_type") == "longrope":
        original = scaling.get("original_max_position_embeddings")
        return min(limit for limit in (count, original) if limit is not None)
    return count


def _positions(model: PreTrainedModel) -> int | None:
    """The number of positions that the model has embeddings for, or was made for where it rotates by position.

    Where the position embedding has a padding index, positions start after it (RoBERTa and its descendants).
    """
    declared = declared_positions(model)
    if declared is None:
        return None
    sizes = [
        module.num_embeddings - (0 if module.padding_idx is None else module.padding_idx + 1)
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Embedding)
        and "position" in name.rsplit(".", 1)[-1]
        and module.num_embeddings >= declared
    ]
    if sizes:
        return min(declared, *sizes)
    rotary = any("rotary" in type(module).__name__.lower() for module in model.modules())
    return declared if rotary else None
