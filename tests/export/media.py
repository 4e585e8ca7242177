"""Small random checkpoints of the architectures that hear and see."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import transformers

from tests.export.models import fill, spread, tokenizer_for

CHARACTERS = ["<pad>", "<s>", "</s>", "<unk>", "|", *"ETAONIHSRDLUMWCFGYPBVK'XJQZ"]
_WAVES: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "conv_dim": (16,) * 7,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 4,
    "vocab_size": len(CHARACTERS),
    "num_labels": 5,
}
_PATCHES: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "image_size": 32,
    "patch_size": 8,
    "num_labels": 7,
}
_WHISPER: dict[str, Any] = {
    "vocab_size": 128,
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 64,
    "decoder_ffn_dim": 64,
    "num_mel_bins": 80,
    "max_source_positions": 60,
    "max_target_positions": 40,
    "decoder_start_token_id": 2,
    "pad_token_id": 0,
    "bos_token_id": 2,
    "eos_token_id": 3,
    "suppress_tokens": None,
    "begin_suppress_tokens": None,
}
_MOONSHINE: dict[str, Any] = {
    "vocab_size": 128,
    "hidden_size": 72,
    "intermediate_size": 96,
    "encoder_num_hidden_layers": 2,
    "decoder_num_hidden_layers": 2,
    "encoder_num_attention_heads": 4,
    "decoder_num_attention_heads": 4,
    "pad_head_dim_to_multiple_of": 8,
    "pad_token_id": 0,
    "bos_token_id": 2,
    "decoder_start_token_id": 2,
    "eos_token_id": 3,
}
# The heads that tell when a word was said.
ALIGNMENT_HEADS = [[0, 1], [1, 0], [1, 2]]

WAVE_MODELS = ("wav2vec2", "hubert", "wavlm")
# Model type to image size and the configuration's arguments.
IMAGE_MODELS: dict[str, tuple[int, dict[str, Any]]] = {
    "vit": (32, _PATCHES),
    "deit": (32, _PATCHES),
    "beit": (32, {**_PATCHES, "use_relative_position_bias": True}),
    "swin": (64, {"image_size": 64, "patch_size": 4, "embed_dim": 16, "depths": [2, 2], "num_heads": [2, 4],
                  "window_size": 4, "num_labels": 7}),
    "convnext": (64, {"hidden_sizes": [8, 16, 16, 32], "depths": [1, 1, 2, 1], "num_labels": 7}),
    "resnet": (64, {"embedding_size": 8, "hidden_sizes": [16, 16, 32, 32], "depths": [1, 1, 1, 1],
                    "layer_type": "basic", "num_labels": 7}),
    "mobilenet_v2": (64, {"image_size": 64, "depth_multiplier": 0.35, "num_labels": 7}),
}  # fmt: skip


def waves(folder: Path, model_type: str, task: str, norm: str, *, masked: bool, **overrides: Any) -> Path:
    """Save a model that reads samples: with layer norms, for padded batches, or with a group norm over time."""
    sizes = {**_WAVES, "feat_extract_norm": norm, "do_stable_layer_norm": norm == "layer", **overrides}
    config = transformers.AutoConfig.for_model(model_type, **sizes)
    heads = {"automatic-speech-recognition": "AutoModelForCTC"}
    model = getattr(transformers, heads.get(task, "AutoModelForAudioClassification")).from_config(config)
    fill(model, scale=0.1)
    model.save_pretrained(folder)
    transformers.Wav2Vec2FeatureExtractor(return_attention_mask=masked).save_pretrained(folder)
    if task == "automatic-speech-recognition":
        vocabulary = {character: index for index, character in enumerate(CHARACTERS)}
        (folder / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
        transformers.Wav2Vec2CTCTokenizer(folder / "vocab.json").save_pretrained(folder)
    return folder


def spectrograms(folder: Path, **overrides: Any) -> Path:
    """Save an audio spectrogram transformer."""
    sizes = {**_PATCHES, "max_length": 64, "num_mel_bins": 32, "num_labels": 5, **overrides}
    del sizes["image_size"], sizes["patch_size"]
    model = transformers.ASTForAudioClassification(transformers.ASTConfig(**sizes))
    fill(model, scale=0.1)
    model.save_pretrained(folder)
    transformers.ASTFeatureExtractor(max_length=64, num_mel_bins=32).save_pretrained(folder)
    return folder


def whisper(folder: Path, **overrides: Any) -> Path:
    """Save a Whisper that hears 1.2 seconds."""
    model = transformers.WhisperForConditionalGeneration(transformers.WhisperConfig(**{**_WHISPER, **overrides}))
    model.generation_config = transformers.GenerationConfig(
        pad_token_id=0, eos_token_id=3, decoder_start_token_id=2, alignment_heads=ALIGNMENT_HEADS
    )
    _save_seq2seq(folder, model)
    extractor = transformers.WhisperFeatureExtractor(chunk_length=1)
    extractor.n_samples, extractor.nb_max_frames = 120 * 160, 120
    extractor.save_pretrained(folder)
    return folder


def moonshine(folder: Path, **overrides: Any) -> Path:
    """Save a Moonshine, whose heads are widened to a multiple of 8 on their way to the attention."""
    config = transformers.MoonshineConfig(**{**_MOONSHINE, **overrides})
    _save_seq2seq(folder, transformers.MoonshineForConditionalGeneration(config))
    transformers.Wav2Vec2FeatureExtractor(do_normalize=False, return_attention_mask=True).save_pretrained(folder)
    return folder


def _save_seq2seq(folder: Path, model: Any) -> None:
    spread(model.model.decoder, 0, 0.4)
    fill(model.model.encoder, scale=0.1)
    model.tie_weights()
    model.save_pretrained(folder)
    tokenizer_for("bert").save_pretrained(folder)


def images(
    folder: Path, model_type: str, architecture: str = "AutoModelForImageClassification", **overrides: Any
) -> Path:
    """Save a model that sees, with its image processor."""
    size, sizes = IMAGE_MODELS[model_type]
    config = transformers.AutoConfig.for_model(model_type, architectures=[], **{**sizes, **overrides})
    kind = getattr(transformers, architecture)
    model = kind.from_config(config) if architecture.startswith("Auto") else kind(config)
    fill(model, scale=0.1)
    model.save_pretrained(folder)
    processor(model_type, size).save_pretrained(folder)
    return folder


def processor(model_type: str, size: int) -> Any:
    """The image processor of an architecture's checkpoints."""
    square = {"height": size, "width": size}
    if model_type in ("convnext", "resnet"):
        return transformers.ConvNextImageProcessor(size={"shortest_edge": size})
    if model_type == "mobilenet_v2":
        return transformers.MobileNetV2ImageProcessor(size={"shortest_edge": size + 8}, crop_size=square)
    return transformers.ViTImageProcessor(size=square)
