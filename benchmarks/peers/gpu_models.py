"""The checkpoints of benchmarks/gpu.py: real sizes, random weights, and no token that ends a text before its time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import models, recognition_models
from .recognition_inputs import TOKENS

MODELS = {
    "bert": recognition_models.MODELS["bert"],
    "vit": recognition_models.MODELS["vit"],
    "gpt2": models.MODELS["gpt2"],
    "bart": models.MODELS["bart"],
    "whisper": "Whisper-small 242M",
}
TASKS = {"bert": "token-classification", "vit": "image-classification", "gpt2": "text-generation"}
_WHISPER = {
    "d_model": 768, "encoder_layers": 12, "decoder_layers": 12, "encoder_attention_heads": 12,
    "decoder_attention_heads": 12, "encoder_ffn_dim": 3072, "decoder_ffn_dim": 3072,
}  # fmt: skip
_LESS_WHISPER = {
    "d_model": 64, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 2, "decoder_attention_heads": 2,
    "encoder_ffn_dim": 128, "decoder_ffn_dim": 128,
}  # fmt: skip
_MELS, _FRAMES, _START = 80, 3000, 50258


def write(model: str, folder: Path, *, small: bool) -> None:
    """Write a checkpoint."""
    if model == "whisper":
        _write_whisper(folder, small=small)
    else:
        (models if model in models.MODELS else recognition_models).write(model, folder, small=small)
    for name in ("config.json", "generation_config.json"):
        path = folder / name
        if path.is_file():
            content = json.loads(path.read_text(encoding="utf-8"))
            ends = dict.fromkeys(("eos_token_id", "forced_bos_token_id", "forced_eos_token_id"))
            path.write_text(json.dumps({**content, **ends}), encoding="utf-8")


def inputs(model: str, batch: int, length: int) -> dict[str, NDArray[Any]]:
    """What the encoder, or the decoder-only model, is given: arrays by name."""
    rng = np.random.default_rng(1000 * batch + length)
    if model == "vit":
        return {"pixel_values": rng.standard_normal((batch, 3, 224, 224), dtype=np.float32)}
    if model == "whisper":
        return {"input_features": rng.standard_normal((batch, _MELS, _FRAMES), dtype=np.float32)}
    ids = rng.integers(TOKENS.start, TOKENS.stop, (batch, length))
    found = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
    return {**found, "token_type_ids": np.zeros_like(ids)} if model == "bert" else found


def _write_whisper(folder: Path, *, small: bool) -> None:
    import torch
    import transformers
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel

    library: Any = transformers
    torch.manual_seed(0)
    sizes = _LESS_WHISPER if small else _WHISPER
    config = library.WhisperConfig(
        **sizes, vocab_size=51865, num_mel_bins=_MELS, init_std=0.08, decoder_start_token_id=_START,
        begin_suppress_tokens=None, suppress_tokens=None,
    )  # fmt: skip
    network = library.WhisperForConditionalGeneration(config).eval()
    network.generation_config.update(decoder_start_token_id=_START, max_length=448)
    network.save_pretrained(folder)
    library.WhisperFeatureExtractor(feature_size=_MELS).save_pretrained(folder)
    words = {f"w{index}": index for index in range(config.vocab_size)}
    backend = Tokenizer(WordLevel(words, unk_token="w0"))
    library.PreTrainedTokenizerFast(tokenizer_object=backend, model_max_length=448, unk_token="w0").save_pretrained(
        folder
    )
