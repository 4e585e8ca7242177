"""A seeded Whisper checkpoint with a tokenizer of its own, sounds and options: torchless against transformers 4.57.6.

Used by the tests, and by :mod:`tests.fidelity.record_whisper` in the environment of the reference: the same files come
out in both, as NumPy draws the weights and the vocabulary is spelled out.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

RATE = 16000
LANGUAGES = ("en", "de", "zh", "ja")
WORDS = (
    " the", " and", " is", " to", " of", " you", " I", " don", "'t", " well", " house", " red", " train", " leaves",
    " nine", "ing", "er", "ed", ",", ".", "?", "!", " -", ' "', '"', " (", ")", " über", " schön", " Straße", "é",
    "東京", "は", "日本", "です", "。", "、", "今日", "🤗",
)  # fmt: skip
SPECIAL = (
    "<|endoftext|>", "<|startoftranscript|>", *(f"<|{code}|>" for code in LANGUAGES), "<|translate|>",
    "<|transcribe|>", "<|startoflm|>", "<|startofprev|>", "<|nospeech|>", "<|notimestamps|>",
)  # fmt: skip
TIMES = tuple(f"<|{step * 0.02:.2f}|>" for step in range(1501))
POSITIONS = 96

# Seconds, seed of the sound.
SOUNDS = {"second": (1.0, 1), "five": (5.0, 2), "uneven": (7.3213, 3), "window": (30.0, 4), "beyond": (30.004, 5),
          "long": (75.0, 6)}  # fmt: skip

# Sounds, and the options of a call; those that 4.57 takes in generate_kwargs are there.
_SKIPPING = {"temperature": 0.0, "logprob_threshold": -0.9, "no_speech_threshold": 7e-5}
_GREEDY = {"num_beams": 1}
CALLS: tuple[tuple[tuple[str, ...], dict[str, Any], dict[str, Any]], ...] = (
    (("second", "five", "uneven", "window"), {}, _GREEDY),
    (("second", "five", "window"), {}, {}),  # 5 beams
    (("five", "window"), {}, {"num_beams": 3, "length_penalty": 0.5, "max_new_tokens": 20}),
    (("five", "window"), {}, {**_GREEDY, "language": "de"}),
    (("five",), {}, {**_GREEDY, "language": "Japanese", "task": "translate"}),
    (("five",), {}, {**_GREEDY, "task": "transcribe"}),
    (("five", "window"), {}, {**_GREEDY, "max_new_tokens": 9, "no_repeat_ngram_size": 2}),
    (("second", "five", "uneven", "window", "beyond", "long"), {"return_timestamps": True}, _GREEDY),
    (("five", "window", "long"), {"return_timestamps": True}, {}),
    (("five", "long"), {"return_timestamps": True}, {**_GREEDY, "language": "<|en|>", "task": "translate"}),
    (("second", "five", "uneven", "window", "long"), {"return_timestamps": "word"}, {**_GREEDY, "language": "en"}),
    (("five", "window", "long"), {"return_timestamps": "word"}, {"language": "de"}),
    (("five", "long"), {"return_timestamps": True}, {**_GREEDY, "prompt": "the red train, 今日"}),
    (("five", "window"), {}, {**_GREEDY, "prompt": "the red train leaves"}),
    (("window", "long"), {"return_timestamps": True}, {**_GREEDY, "condition_on_prev_tokens": True}),
    (("long",), {"return_timestamps": True}, {**_GREEDY, "condition_on_prev_tokens": True, "prompt": "nine"}),
    (("long",), {"return_timestamps": True},
     {**_GREEDY, "condition_on_prev_tokens": True, "prompt": "nine", "prompt_condition_type": "all-segments"}),
    (("long",), {"return_timestamps": "word"}, {**_GREEDY, "condition_on_prev_tokens": True, "language": "en"}),
    (("long",), {"return_timestamps": True}, {"condition_on_prev_tokens": True, "num_beams": 2}),
    (("long",), {"chunk_length_s": 30.0}, _GREEDY),
    (("long", "five"), {"chunk_length_s": 30.0, "return_timestamps": True}, _GREEDY),
    (("long",), {"chunk_length_s": 20.0, "stride_length_s": [4.0, 2.0], "return_timestamps": True}, _GREEDY),
    (("long",), {"chunk_length_s": 12.0}, {}),
    (("long",), {"chunk_length_s": 30.0, "return_timestamps": "word"}, {**_GREEDY, "language": "en"}),
    (("long",), {"chunk_length_s": 10.0, "stride_length_s": 2.0, "return_timestamps": "word"}, {"language": "de"}),
    (("five", "window", "long"), {"return_timestamps": True}, {**_GREEDY, **_SKIPPING}),
    (("five", "window"), {"return_timestamps": True}, _SKIPPING),
    # Drawn at this temperature, the most probable token comes: what fails with beams is tried again without.
    (("second", "window", "long"), {"return_timestamps": True},
     {"num_beams": 3, "temperature": [0.0, 1e-6], "logprob_threshold": -0.9, "compression_ratio_threshold": 3.0}),
    (("long",), {"return_timestamps": "word"},
     {"num_beams": 2, "temperature": [0.0, 1e-6], "logprob_threshold": -0.9, "condition_on_prev_tokens": True,
      "language": "de"}),
)  # fmt: skip


def byte_characters() -> dict[int, str]:
    """The character that stands for each byte in a byte-level vocabulary."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in shown]
    return {byte: chr(byte) for byte in shown} | {byte: chr(256 + place) for place, byte in enumerate(hidden)}


def vocabulary() -> tuple[dict[str, int], list[tuple[str, str]]]:
    """The tokens of texts, and the merges that make them."""
    letters = byte_characters()
    tokens = list(letters.values())
    merges: list[tuple[str, str]] = []
    for word in WORDS:
        characters = [letters[byte] for byte in word.encode()]
        left = characters[0]
        for right in characters[1:]:
            if (left, right) not in merges:
                merges.append((left, right))
            left += right
            if left not in tokens:
                tokens.append(left)
    return {token: place for place, token in enumerate(tokens)}, merges


def ids() -> dict[str, int]:
    """The ids of special tokens and times."""
    first = len(vocabulary()[0])
    return {token: first + place for place, token in enumerate((*SPECIAL, *TIMES))}


def write_tokenizer(folder: Path, **settings: Any) -> None:
    """The files of a Whisper tokenizer as repositories on the hub have them."""
    tokens, merges = vocabulary()
    added = [
        {"id": place, "content": token, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
         "special": token in SPECIAL}
        for token, place in ids().items()
    ]  # fmt: skip
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    backend = {
        "version": "1.0", "truncation": None, "padding": None, "normalizer": None, "added_tokens": added,
        "pre_tokenizer": level, "decoder": level, "post_processor": None,
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": "",
                  "end_of_word_suffix": "", "fuse_unk": False, "byte_fallback": False, "vocab": tokens,
                  "merges": [" ".join(pair) for pair in merges]},
    }  # fmt: skip
    config = {
        "tokenizer_class": "WhisperTokenizer", "bos_token": SPECIAL[0], "eos_token": SPECIAL[0],
        "unk_token": SPECIAL[0], "pad_token": SPECIAL[0], "additional_special_tokens": list(SPECIAL),
        "clean_up_tokenization_spaces": True, "model_max_length": 1024, **settings,
        "added_tokens_decoder": {str(one["id"]): {name: one[name] for name in one if name != "id"} for one in added},
    }  # fmt: skip
    contents: dict[str, Any] = {"tokenizer.json": backend, "tokenizer_config.json": config, "vocab.json": tokens}
    for name, content in contents.items():
        (folder / name).write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    lines = ["#version: 0.2", *(" ".join(pair) for pair in merges), ""]
    (folder / "merges.txt").write_text("\n".join(lines), encoding="utf-8")


def save(folder: Path, seed: int = 3, **generation: Any) -> Path:
    """Write the checkpoint: the same weights wherever this runs."""
    import torch
    import transformers

    known = ids()
    end = known["<|endoftext|>"]
    special = {"bos_token_id": end, "eos_token_id": end, "pad_token_id": end,
               "decoder_start_token_id": known["<|startoftranscript|>"]}  # fmt: skip
    config = transformers.WhisperConfig(
        vocab_size=max(known.values()) + 1, d_model=64, encoder_layers=2, decoder_layers=2, encoder_attention_heads=4,
        decoder_attention_heads=4, encoder_ffn_dim=128, decoder_ffn_dim=128, max_target_positions=POSITIONS,
        begin_suppress_tokens=None, suppress_tokens=None, **special,
    )  # fmt: skip
    model = transformers.WhisperForConditionalGeneration(config).eval()
    with torch.no_grad():
        fill(model, seed, known)
    defaults = {
        **special, "max_length": POSITIONS, "is_multilingual": True, "return_timestamps": False,
        "lang_to_id": {f"<|{code}|>": known[f"<|{code}|>"] for code in LANGUAGES},
        "task_to_id": {"transcribe": known["<|transcribe|>"], "translate": known["<|translate|>"]},
        "no_timestamps_token_id": known["<|notimestamps|>"], "prev_sot_token_id": known["<|startofprev|>"],
        "alignment_heads": [[0, 1], [1, 0], [1, 3]], "max_initial_timestamp_index": 50,
        "suppress_tokens": [*range(33, 40), *range(end + 1, known["<|notimestamps|>"])],
        "begin_suppress_tokens": [220, end],
    }  # fmt: skip
    model.generation_config = transformers.GenerationConfig(**{**defaults, **generation})
    model.save_pretrained(folder)
    write_tokenizer(folder)
    transformers.WhisperFeatureExtractor().save_pretrained(folder)
    return folder


def fill(model: Any, seed: int, known: dict[str, int]) -> None:
    """Weights under which what is heard changes what is written, times are told, and texts end."""
    import torch

    rng = np.random.default_rng(seed)
    for name, parameter in sorted(model.named_parameters()):
        if name.endswith("bias") or ("embed_positions" in name and "encoder" in name):
            continue  # positions of the encoder are sines
        noise = rng.standard_normal(tuple(parameter.shape), dtype=np.float32)
        spread = 0.02
        if "layer_norm" in name:
            parameter.copy_(torch.from_numpy(1 + 0.1 * noise))
            continue
        if "conv" in name:
            spread = 0.1
        elif "embed_positions" in name:
            spread = 0.8
        elif "embed_tokens" in name:
            spread = 0.35
        elif "encoder_attn" in name:
            spread = 0.3
        elif parameter.ndim == 2:
            spread = 0.15
        parameter.copy_(torch.from_numpy(noise * spread))
    embedded = model.model.decoder.embed_tokens.weight
    times = list(range(known["<|0.00|>"], known["<|30.00|>"] + 1))
    embedded[times] *= 0.5
    words = list(range(256, known["<|endoftext|>"]))
    embedded[words] *= 1.4
    embedded[known["<|endoftext|>"]] *= 2.2


def sound(name: str) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Tones that change several times a second, with bursts of noise; float32 (samples,)."""
    seconds, seed = SOUNDS[name]
    length = round(seconds * RATE)
    rng = np.random.default_rng(seed)
    samples = np.zeros(length)
    for start in np.arange(0, seconds, 0.3):
        begin, end = round(start * RATE), min(length, round((start + rng.uniform(0.1, 0.8)) * RATE))
        time = np.arange(end - begin) / RATE
        tone = np.sin(2 * np.pi * rng.uniform(80, 3500) * time) * rng.uniform(0.05, 0.4)
        samples[begin:end] += tone + rng.standard_normal(end - begin) * rng.choice([0.0, 0.01, 0.2])
    return (samples * 0.3).astype(np.float32)


def compact(answer: dict[str, Any]) -> dict[str, Any]:
    """An answer with chunks of few letters: ``[text, start, end]``."""
    chunks = [[one["text"], *one["timestamp"]] for one in answer.get("chunks", [])]
    return {"text": answer["text"], **({"chunks": chunks} if "chunks" in answer else {})}
