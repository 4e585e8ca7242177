"""Checkpoints of real sizes with random weights: speed does not depend on their values."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

MODELS = {
    "gpt2": "GPT-2 124M",
    "qwen2": "Qwen2 494M",
    "bart": "BART-large-cnn 406M",
    "t5": "T5-base 223M",
    "marian": "Marian (opus-mt) 74M",
}

# What the pipelines' defaults would add to a plain search is turned off: an end that is forced at the last step.
# Published configurations have normalize_before, and CTranslate2 reads it.
_PLAIN = {"forced_eos_token_id": None, "normalize_before": False}
_LESS = {
    "d_model": 128, "encoder_layers": 2, "decoder_layers": 2, "encoder_ffn_dim": 256, "decoder_ffn_dim": 256,
    "encoder_attention_heads": 4, "decoder_attention_heads": 4, "init_std": 0.15,
}  # fmt: skip

# Model to its configuration: class, arguments, and those of a small model of the same kind. Weights are spread widely
# enough that tokens depend on the prompt.
_CONFIGURATIONS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "gpt2": (
        "GPT2LMHeadModel",
        {"vocab_size": 50257, "pad_token_id": 50256, "initializer_range": 0.05},
        {"n_layer": 2, "n_embd": 128, "n_head": 4, "initializer_range": 0.15},
    ),
    "qwen2": (
        "Qwen2ForCausalLM",
        {"vocab_size": 151936, "hidden_size": 896, "intermediate_size": 4864, "num_hidden_layers": 24,
         "num_attention_heads": 14, "num_key_value_heads": 2, "max_position_embeddings": 32768, "rope_theta": 1e6,
         "tie_word_embeddings": True, "use_sliding_window": False, "initializer_range": 0.05,
         **dict.fromkeys(("bos_token_id", "eos_token_id", "pad_token_id"), 151643)},
        {"hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 2, "num_attention_heads": 4,
         "initializer_range": 0.15},
    ),
    "bart": (
        "BartForConditionalGeneration",
        {**_PLAIN, "vocab_size": 50264, "init_std": 0.05},
        _LESS,
    ),
    "t5": (
        "T5ForConditionalGeneration",
        {"vocab_size": 32128, "d_model": 768, "d_ff": 3072, "num_layers": 12, "num_heads": 12,
         "decoder_start_token_id": 0},
        {"d_model": 128, "d_ff": 256, "d_kv": 32, "num_layers": 2, "num_heads": 4},
    ),
    "marian": (
        "MarianMTModel",
        {**_PLAIN, "vocab_size": 58101, "d_model": 512, "encoder_layers": 6, "decoder_layers": 6,
         "encoder_attention_heads": 8, "decoder_attention_heads": 8, "encoder_ffn_dim": 2048, "decoder_ffn_dim": 2048,
         "max_position_embeddings": 512, "activation_function": "swish", "scale_embedding": True, "init_std": 0.05,
         "eos_token_id": 0, "pad_token_id": 58100, "decoder_start_token_id": 58100},
        _LESS,
    ),
}  # fmt: skip

# Special tokens by id; -1 is the last one.
_SPECIAL: dict[str, dict[int, str]] = {
    "gpt2": {-1: "<|endoftext|>"},
    "qwen2": {151643: "<|endoftext|>"},
    "bart": {0: "<s>", 1: "<pad>", 2: "</s>", 3: "<unk>"},
    "t5": {0: "<pad>", 1: "</s>", 2: "<unk>"},
    "marian": {0: "</s>", 1: "<unk>", -1: "<pad>"},
}
_ROLES: dict[str, dict[str, str]] = {
    **dict.fromkeys(
        ("gpt2", "qwen2"), dict.fromkeys(("bos_token", "eos_token", "unk_token", "pad_token"), "<|endoftext|>")
    ),
    "bart": {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"},
    "t5": {"eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"},
    "marian": {"eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"},
}


def vocabulary(model: str) -> int:
    """Number of tokens."""
    size: int = _CONFIGURATIONS[model][1]["vocab_size"]
    return size


def write(model: str, folder: Path, *, small: bool, changes: Mapping[str, Any] | None = None) -> None:
    """Write a checkpoint: configuration, weights from a fixed seed, and a tokenizer whose tokens are numbered words.

    Args:
        model: its name.
        folder: which is made.
        small: of a few layers, narrow.
        changes: of the configuration.
    """
    import torch
    import transformers

    name, arguments, less = _CONFIGURATIONS[model]
    model_class: Any = getattr(transformers, name)
    torch.manual_seed(0)
    config = model_class.config_class(**{**arguments, **(less if small else {}), **(changes or {})})
    network = model_class(config).eval()
    for parameter, values in network.named_parameters():
        if parameter.endswith("bias"):  # what begins as zero, an exporter may leave out
            torch.nn.init.normal_(values, std=0.02)
    network.save_pretrained(folder)
    _write_tokenizer(model, config.vocab_size, folder)


def _write_tokenizer(model: str, size: int, folder: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    fast: Any = PreTrainedTokenizerFast
    words = [f"w{index}" for index in range(size)]
    for index, token in _SPECIAL[model].items():
        words[index] = token
    backend = Tokenizer(
        models.WordLevel({word: index for index, word in enumerate(words)}, unk_token=_ROLES[model]["unk_token"])
    )
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    fast(tokenizer_object=backend, model_max_length=512, **_ROLES[model]).save_pretrained(folder)
