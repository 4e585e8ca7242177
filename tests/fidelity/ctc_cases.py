"""Seeded CTC checkpoints, sounds and options on which torchless is held against transformers 4.57.6.

Used by the tests, and by :mod:`tests.fidelity.record_ctc` in the environment of the reference: NumPy draws the weights,
so that they are the same in both.
"""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np

RATE = 16000
SMALL = {
    "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64,
    "num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 4, "conv_dim": [24] * 5,
    "conv_kernel": [10, 3, 3, 2, 2], "conv_stride": [5, 2, 2, 2, 2], "num_feat_extract_layers": 5,
    "layerdrop": 0.0, "apply_spec_augment": False,
}  # fmt: skip
STANDARD = {
    **SMALL, "conv_dim": [16] * 7, "conv_kernel": [10, 3, 3, 3, 3, 2, 2], "conv_stride": [5, 2, 2, 2, 2, 2, 2],
    "num_feat_extract_layers": 7,
}  # fmt: skip
LAYER = {"feat_extract_norm": "layer", "do_stable_layer_norm": True, "conv_bias": True}
LETTERS = ["<pad>", "<s>", "</s>", "<unk>", "|", *"ETAONIHSR'"]
LOWER = [*"abcdefgh", "|", "ch", "[UNK]", "[PAD]"]

# Architecture, configuration, vocabulary by id, tokenizer's and feature extractor's settings, seed of the weights.
CHECKPOINTS: dict[str, dict[str, Any]] = {
    "wav2vec2-layer": {
        "architecture": "Wav2Vec2ForCTC", "config": {**SMALL, **LAYER}, "vocab": LETTERS,
        "tokenizer": {}, "extractor": {"return_attention_mask": True}, "seed": 6,
    },
    "wav2vec2-group": {
        "architecture": "Wav2Vec2ForCTC", "config": STANDARD, "vocab": LOWER,
        "tokenizer": {"pad_token": "[PAD]", "unk_token": "[UNK]", "do_lower_case": True},
        "extractor": {"return_attention_mask": False}, "seed": 55,
    },
    "hubert": {
        "architecture": "HubertForCTC", "config": SMALL, "vocab": LETTERS,
        "tokenizer": {"do_lower_case": True}, "extractor": {"return_attention_mask": False}, "seed": 1,
    },
    "wavlm": {
        "architecture": "WavLMForCTC", "config": {**STANDARD, **LAYER}, "vocab": LETTERS,
        "tokenizer": {"replace_word_delimiter_char": "_"}, "extractor": {"return_attention_mask": True}, "seed": 22,
    },
}  # fmt: skip

# Seconds, seed of the sound.
SOUNDS = {"short": (1.0, 1), "uneven": (0.73213, 2), "long": (5.3311, 3), "silence": (0.6, None), "least": (0.0251, 4)}
OPTIONS: tuple[dict[str, Any], ...] = (
    {},
    {"return_timestamps": "char"},
    {"return_timestamps": "word"},
    {"chunk_length_s": 2.0, "return_timestamps": "word"},
    {"chunk_length_s": 2.0, "stride_length_s": [0.5, 0.25], "return_timestamps": "char"},
    {"chunk_length_s": 1.5, "stride_length_s": 0, "return_timestamps": "word"},
    {"chunk_length_s": 30, "stride_length_s": [4, 2]},
)
# Samples that are only context at the ends of a clip that came in live.
STRIDES = ((4000, 0), (1000, 3333), (0, 2001))

# Samples, chunk length, left and right stride.
CUTS = ((1000, 300, 50, 50), (1000, 300, 50, 30), (250, 300, 50, 50), (300, 300, 50, 50), (301, 300, 50, 50),
        (700, 300, 100, 100), (701, 300, 100, 0), (999, 100, 0, 99), (5, 300, 0, 0))  # fmt: skip
# Samples, left and right stride, samples per frame.
RESCALED = ((160000, 16000, 16000, 320), (32000, 5440, 0, 320), (4123, 1000, 333, 320), (399, 100, 0, 320),
            (16000, 40, 120, 80), (24000, 0, 23999, 80), (160, 80, 80, 320))  # fmt: skip

# Settings of tokenizers of characters, of one of phonemes, and of one language of several.
VOCABULARIES: dict[str, dict[str, Any]] = {
    "plain": {"vocab": LETTERS},
    "lower": {"vocab": LOWER, "pad_token": "[PAD]", "unk_token": "[UNK]", "do_lower_case": True},
    "underscores": {"vocab": LETTERS, "replace_word_delimiter_char": "_", "word_delimiter_token": "'"},
    "cleaned": {"vocab": ["<pad>", "|", "n't", "'", ".", "!", "a", "s"], "clean_up_tokenization_spaces": True},
    "added": {"vocab": ["a", "b", "|", "<pad>"], "bos_token": "<begin>", "eos_token": None},
    "language": {"vocab": {"eng": dict(zip(LETTERS, range(15), strict=True)), "deu": {"<pad>": 0, "|": 1, "ß": 2}},
                 "target_lang": "deu"},
    "phonemes": {"vocab": ["<pad>", "<s>", "|", "tʃ", "aː", "n", "<unk>"], "kind": "Wav2Vec2PhonemeCTCTokenizer",
                 "do_phonemize": False},
    "phonemes in words": {"vocab": ["<pad>", "<s>", "|", "tʃ", "aː", "n"], "kind": "Wav2Vec2PhonemeCTCTokenizer",
                          "do_phonemize": False, "word_delimiter_token": "|"},
}  # fmt: skip


def sound(name: str) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Tones that change several times a second, with bursts of noise; float32 (samples,)."""
    seconds, seed = SOUNDS[name]
    length = round(seconds * RATE)
    if seed is None:
        return np.zeros(length, dtype=np.float32)
    rng = np.random.default_rng(seed)
    time = np.arange(length) / RATE
    samples = np.zeros(length)
    for start in np.arange(0, seconds, 0.15):
        within = (time >= start) & (time < start + rng.uniform(0.05, 0.4))
        tone = np.sin(2 * np.pi * rng.uniform(80, 3500) * time) * rng.uniform(0.05, 0.4)
        samples += within * (tone + rng.standard_normal(length) * rng.choice([0.0, 0.01, 0.2]))
    return (samples * 0.3).astype(np.float32)


def compact(answer: dict[str, Any]) -> dict[str, Any]:
    """An answer with chunks of few letters: ``[text, start, end]``, times to 6 digits."""
    chunks = [[one["text"], *(float(f"{time:.6g}") for time in one["timestamp"])] for one in answer.get("chunks", [])]
    return {"text": answer["text"], **({"chunks": chunks} if "chunks" in answer else {})}


def ids(name: str) -> list[list[int]]:
    """Token ids of frames, with runs, blanks, delimiters at the ends, and ids that the vocabulary lacks."""
    vocab = VOCABULARIES[name]["vocab"]
    size = len(vocab["deu"] if isinstance(vocab, dict) else vocab)
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    rows = [np.repeat(rng.integers(0, size + 2, 40), rng.integers(1, 4, 40)).tolist() for _ in range(6)]
    return [[0], [size - 1] * 3, [0] * 5, [2, 2, 0, 2, 1, 1], *rows]


def write_tokenizer(folder: Path, vocab: Any, kind: str = "Wav2Vec2CTCTokenizer", **settings: Any) -> None:
    """The files of a CTC tokenizer as repositories on the hub have them."""
    folder.mkdir(parents=True, exist_ok=True)
    numbered = vocab if isinstance(vocab, dict) else {token: index for index, token in enumerate(vocab)}
    (folder / "vocab.json").write_text(json.dumps(numbered, ensure_ascii=False), encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": kind, **settings}), encoding="utf-8")


def save(name: str, folder: Path) -> Path:
    """Write a checkpoint: the same weights wherever this runs."""
    import torch
    import transformers

    spec = CHECKPOINTS[name]
    architecture = getattr(transformers, spec["architecture"])
    blank = next(index for index, token in enumerate(spec["vocab"]) if "pad" in token.lower())
    config = architecture.config_class(**spec["config"], vocab_size=len(spec["vocab"]), pad_token_id=blank)
    model = architecture(config).eval()
    with torch.no_grad():
        fill(model, spec["seed"], blank)
    model.save_pretrained(folder)
    write_tokenizer(folder, spec["vocab"], **spec["tokenizer"])
    transformers.Wav2Vec2FeatureExtractor(do_normalize=True, **spec["extractor"]).save_pretrained(folder)
    return folder


def fill(model: Any, seed: int, blank: int) -> None:
    """Weights under which what is heard changes what is written: not one token for all frames."""
    import torch

    rng = np.random.default_rng(seed)
    for name, parameter in sorted(model.named_parameters()):
        values = rng.standard_normal(tuple(parameter.shape)).astype(np.float32)
        if parameter.ndim > 1:
            values *= (2.0 if "lm_head" in name else 1.2) / np.sqrt(max(values[0].size, 1))
        elif name.endswith("bias"):
            values *= 0.1
        else:
            values = 1 + values * 0.1
        parameter.copy_(torch.from_numpy(values))
    model.lm_head.bias[blank] += 1.0
