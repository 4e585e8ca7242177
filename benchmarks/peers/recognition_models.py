"""Checkpoints that read, hear and see, at real sizes with random weights: speed does not depend on their values."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from .recognition_inputs import TOKENS, clip, clouds

MODELS = {
    "bert": "BERT-base 109M, token classification",
    "wav2vec2": "Wav2Vec2-base 95M, CTC",
    "wav2vec2-layer-norm": "Wav2Vec2-base with the layer norms of the large models, CTC",
    "whisper-tiny": "Whisper-tiny 38M",
    "whisper-base": "Whisper-base 73M",
    "vit": "ViT-base 86M, patches of 16, 224 x 224",
    "features": "Features alone",
}
# Of Whisper, which faster-whisper and onnx-asr need; it is not part of this repository.
TOKENIZER = Path(__file__).parents[3] / "shared/data/tokenizers/whisper"

_LABELS = 9
# Weights are spread widely enough that texts depend on the sound.
_WAV2VEC2: dict[str, Any] = {
    "vocab_size": 32, "layerdrop": 0.0, "apply_spec_augment": False, "pad_token_id": 0,
}  # fmt: skip
_WHISPER: dict[str, Any] = {
    "vocab_size": 51865, "num_mel_bins": 80, "init_std": 0.08, "max_source_positions": 1500,
    "max_target_positions": 448,
}  # fmt: skip
_LESS_WHISPER = {
    "d_model": 64, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 2, "decoder_attention_heads": 2,
    "encoder_ffn_dim": 128, "decoder_ffn_dim": 128,
}  # fmt: skip
# Large enough that no scheme leaves all weights as they are.
_LESS = {"hidden_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 256}
_LESS_WAV2VEC2 = {**_LESS, "conv_dim": (64,) * 7}


def _whisper(width: int, layers: int, heads: int) -> dict[str, Any]:
    return {
        **_WHISPER,
        **{"d_model": width, "encoder_ffn_dim": 4 * width, "decoder_ffn_dim": 4 * width},
        **{f"{part}_layers": layers for part in ("encoder", "decoder")},
        **{f"{part}_attention_heads": heads for part in ("encoder", "decoder")},
    }


# Model to its configuration: class, arguments, and those of a small model of the same kind.
_CONFIGURATIONS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "bert": (
        "BertForTokenClassification",
        {"num_labels": _LABELS},
        _LESS,
    ),
    "wav2vec2": ("Wav2Vec2ForCTC", {**_WAV2VEC2, "feat_extract_norm": "group"}, _LESS_WAV2VEC2),
    "wav2vec2-layer-norm": (
        "Wav2Vec2ForCTC",
        {**_WAV2VEC2, "feat_extract_norm": "layer", "do_stable_layer_norm": True, "conv_bias": True},
        _LESS_WAV2VEC2,
    ),
    "whisper-tiny": ("WhisperForConditionalGeneration", _whisper(384, 4, 6), _LESS_WHISPER),
    "whisper-base": ("WhisperForConditionalGeneration", _whisper(512, 6, 8), _LESS_WHISPER),
    "vit": (
        "ViTForImageClassification",
        {"num_labels": 1000},
        _LESS,
    ),
}
_DIRECTIONS = 12
_SOT, _END, _EN, _TRANSLATE, _TRANSCRIBE, _NO_TIMESTAMPS = 50258, 50257, 50259, 50358, 50359, 50363


def write(model: str, folder: Path, *, small: bool) -> None:
    """Write a checkpoint: configuration, weights from a fixed seed, and what it hears or sees with."""
    import torch
    import transformers

    library: Any = transformers
    if model == "features":
        library.WhisperFeatureExtractor().save_pretrained(folder / "whisper")
        library.ViTImageProcessor().save_pretrained(folder / "vit")
        return
    name, arguments, less = _CONFIGURATIONS[model]
    model_class: Any = getattr(library, name)
    torch.manual_seed(0)
    config = model_class.config_class(**{**arguments, **(less if small else {})})
    network = model_class(config).eval()
    for parameter, values in network.named_parameters():
        if parameter.endswith("bias"):  # what begins as zero, an exporter may leave out
            torch.nn.init.normal_(values, std=0.02)
    if model.startswith("whisper"):
        _keep_to_words(network)
        _write_whisper(network, library, folder)
    else:
        _spread(
            network.lm_head if "lm_head" in dict(network.named_children()) else network.classifier, _states(network)
        )
        {"bert": _write_words, "vit": _write_sight}.get(model, _write_letters)(library, folder)
    network.save_pretrained(folder)


def _states(network: Any) -> Any:
    """What the last layer is given for a few inputs: a tensor (rows, width)."""
    import numpy as np
    import torch

    rng = np.random.default_rng(2)
    kind = network.config.model_type
    with torch.no_grad():
        if kind == "bert":
            ids = torch.from_numpy(rng.integers(TOKENS.start, TOKENS.stop, (8, 64)))
            return network.bert(ids).last_hidden_state.flatten(0, 1)
        if kind == "vit":
            pixels = [np.asarray(clouds(rng, 224, 224), np.float32) / 127.5 - 1 for _ in range(2 * _DIRECTIONS)]
            return network.vit(torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2)).last_hidden_state[:, 0]
        heard = [network.wav2vec2(torch.from_numpy(clip(rng, 5))[None]).last_hidden_state[0] for _ in range(4)]
        return torch.cat(heard)


def _spread(last: Any, states: Any) -> None:
    """Let answers follow what the states of inputs do not share, and not what they do, which is nearly everything."""
    import torch

    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        mean = states.mean(dim=0)
        _, sizes, directions = torch.linalg.svd(states - mean, full_matrices=False)
        mixture = torch.randn(len(last.bias), _DIRECTIONS, generator=generator)
        scale = len(states) ** 0.5 / sizes[:_DIRECTIONS, None]
        last.weight.copy_(mixture @ (scale * directions[:_DIRECTIONS]))
        last.bias.copy_(-last.weight @ mean)


def _keep_to_words(network: Any) -> None:
    """Make every special token improbable, the end above all, so that nobody has to be kept from ending.

    The logit of a token is its embedding times the decoder's output, which here has a constant part: the embeddings of
    special tokens point away from it.
    """
    import torch

    decoder = network.model.decoder
    with torch.no_grad():
        constant = decoder.layer_norm.bias.fill_(0.2)
        decoder.embed_tokens.weight[_END:] -= 2.5 * constant


def _write_whisper(network: Any, library: Any, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(TOKENIZER / name, folder)
    library.WhisperFeatureExtractor().save_pretrained(folder)
    names = {token["content"]: token["id"] for token in _added(folder)}
    network.generation_config = library.GenerationConfig(
        bos_token_id=_END, eos_token_id=_END, pad_token_id=_END, decoder_start_token_id=_SOT, max_length=448,
        is_multilingual=True, lang_to_id={name: id for name, id in names.items() if _EN <= id < _TRANSLATE},
        task_to_id={"transcribe": _TRANSCRIBE, "translate": _TRANSLATE}, no_timestamps_token_id=_NO_TIMESTAMPS,
        return_timestamps=False, suppress_tokens=None, begin_suppress_tokens=None,
    )  # fmt: skip
    network.config.suppress_tokens = network.config.begin_suppress_tokens = None


def _added(folder: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))["added_tokens"]
    return found


def _write_words(library: Any, folder: Path) -> None:
    """Numbered words, as many as BERT has."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    special = {0: "[PAD]", 100: "[UNK]", 101: "[CLS]", 102: "[SEP]", 103: "[MASK]"}
    words = {special.get(index, f"w{index}"): index for index in range(30522)}
    backend = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    roles = {"pad_token": "[PAD]", "unk_token": "[UNK]", "mask_token": "[MASK]"}
    library.PreTrainedTokenizerFast(tokenizer_object=backend, model_max_length=512, **roles).save_pretrained(folder)


def _write_sight(library: Any, folder: Path) -> None:
    library.ViTImageProcessor().save_pretrained(folder)


def _write_letters(library: Any, folder: Path) -> None:
    """The symbols of wav2vec2-base-960h, and its extractor's numbers; clips are of one length, and need no mask."""
    folder.mkdir(parents=True, exist_ok=True)
    symbols = ["<pad>", "<s>", "</s>", "<unk>", "|", *"ETAONIHSRDLUMWCFGYPBVK'XJQZ"]
    vocabulary = folder / "vocab.json"
    vocabulary.write_text(json.dumps({symbol: index for index, symbol in enumerate(symbols)}), encoding="utf-8")
    library.Wav2Vec2Processor(
        library.Wav2Vec2FeatureExtractor(do_normalize=True, return_attention_mask=False),
        library.Wav2Vec2CTCTokenizer(str(vocabulary)),
    ).save_pretrained(folder)
