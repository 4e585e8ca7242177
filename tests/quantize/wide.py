"""Random models of every architecture, wide enough that each of their products is worth quantizing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock

from tests.export import media, models
from torchless.export import export

_WIDTHS = ("hidden_size", "n_embd", "d_model", "dim", "emb_dim", "word_embed_proj_dim", "embedding_size")
_INNER = ("intermediate_size", "hidden_dim", "d_ff", "encoder_ffn_dim", "decoder_ffn_dim", "d_inner", "dff", "ffn_dim")
_LAYERS = ("num_hidden_layers", "n_layer", "n_layers", "encoder_layers", "decoder_layers", "num_layers")
_SIZES = {
    **dict.fromkeys(_WIDTHS, 128), **dict.fromkeys(_INNER, 256), **dict.fromkeys(_LAYERS, 1),
    "vocab_size": 640, "n_head": 4, "num_key_value_heads": 4, "head_dim": 32, "d_kv": 32,
}  # fmt: skip
_WIDE = {"hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 1}
_SEES: dict[str, dict[str, Any]] = {
    **dict.fromkeys(("vit", "deit", "beit"), _WIDE),
    "swin": {"embed_dim": 128, "depths": [1, 1], "num_heads": [4, 4], "mlp_ratio": 1.0},
    "convnext": {"hidden_sizes": [64, 64, 64, 128], "depths": [1, 1, 1, 1]},
    "resnet": {},
    "mobilenet_v2": {},
}
_HEARS: dict[str, dict[str, Any]] = {
    **{name: {**_WIDE, "conv_dim": (32,) * 7} for name in media.WAVE_MODELS},
    "whisper": {"d_model": 128, "encoder_ffn_dim": 256, "decoder_ffn_dim": 256, "vocab_size": 640},
    "moonshine": {"vocab_size": 1024},
    "spectrograms": _WIDE,
}

ENCODERS = ("bert", "distilbert", "roberta", "albert", "deberta-v2", "xlnet")
MORE_ENCODERS = (
    "electra",
    "xlm-roberta",
    "camembert",
    "mpnet",
    "deberta",
    "modernbert",
    "rembert",
    "xlm",
    "mobilebert",
)
MORE_ENCODERS += (
    "ernie",
    "data2vec-text",
    "roberta-prelayernorm",
    "xmod",
    "esm",
    "convbert",
    "squeezebert",
    "roformer",
)
MORE_ENCODERS += ("flaubert", "big_bird", "megatron-bert", "layoutlm", "ibert")
DECODERS = ("gpt2", "openai-gpt", "ctrl", "llama", "qwen3")
MORE_DECODERS = ("qwen2", "mistral", "gemma2", "opt", "gpt_neox", "phi3")
SEQ2SEQ = ("bart", "t5")
MORE_SEQ2SEQ = ("marian", "mt5", "mbart", "pegasus")
MEDIA = ("wav2vec2", "whisper", "vit", "convnext", "swin")
MORE_MEDIA = ("hubert", "wavlm", "moonshine", "spectrograms", "deit", "beit", "resnet", "mobilenet_v2")
# Their rows are no multiple of a block: a larger share of a weight's bytes remains.
UNEVEN = {"moonshine": 0.12}
NAMES = (*ENCODERS, *DECODERS, *SEQ2SEQ, *MEDIA)
MORE = (*MORE_ENCODERS, *MORE_DECODERS, *MORE_SEQ2SEQ, *MORE_MEDIA)


class WideModels:
    """Gives bundles by the architecture's name, exported when first asked for.

    Args:
        folder: where they are kept, the same for all processes of a run.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def bundle(self, name: str) -> Path:
        folder = self._folder / f"wide-{name}"
        with FileLock(f"{folder}.lock"):
            if not folder.exists():
                torch.manual_seed(0)
                source = _maker(name)(folder.with_name(f"wide-{name}-checkpoint"))
                export(source, folder)
        return folder


def _maker(name: str) -> Callable[[Path], Path]:
    """What saves the checkpoint of an architecture."""
    if name in (*ENCODERS, *MORE_ENCODERS):
        task = "fill-mask" if name in ("roberta", "albert") else "text-classification"
        return lambda folder: models.checkpoint(folder, name, task, scale=0.05, **_sizes(models.ARCHITECTURES[name]))
    if name in models.ARCHITECTURES:
        return lambda folder: models.generating(folder, name, scale=0.1, **_sizes(models.ARCHITECTURES[name]))
    if name in media.WAVE_MODELS:
        task = "automatic-speech-recognition" if name == "wav2vec2" else "audio-classification"
        return lambda folder: media.waves(folder, name, task, "layer", masked=True, **_HEARS[name])
    if name in _HEARS:
        return lambda folder: getattr(media, name)(folder, **_HEARS[name])
    return lambda folder: media.images(folder, name, **_SEES[name])


def _sizes(arguments: Mapping[str, object]) -> dict[str, object]:
    """A configuration's sizes, widened."""
    return {key: _SIZES[key] for key in arguments if key in _SIZES}
