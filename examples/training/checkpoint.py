"""Write a checkpoint folder that any Transformers release can load."""

import json
from pathlib import Path
from typing import Any

from transformers import (
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    ViTImageProcessorPil,
    Wav2Vec2CTCTokenizer,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2Processor,
)

TOKENIZERS = {
    "bert": "BertTokenizerFast",
    "distilbert": "DistilBertTokenizerFast",
    "roberta": "RobertaTokenizerFast",
    "bart": "BartTokenizerFast",
    "t5": "T5TokenizerFast",
    "llama": "PreTrainedTokenizerFast",
}


def save(model: PreTrainedModel, companion: Any, folder: Path) -> None:
    """Save config.json, model.safetensors in float16, and the files of what makes the model's inputs.

    Those are tokenizer.json and tokenizer_config.json for text, preprocessor_config.json for sound and pictures, and
    for a model that writes what it hears also vocab.json and a tokenizer_config.json. A model that generates gets its
    generation_config.json.
    """
    folder.mkdir(parents=True, exist_ok=True)
    model.half().save_pretrained(folder)  # type: ignore[no-untyped-call]
    if isinstance(companion, PreTrainedTokenizerFast):
        _save_tokenizer(companion, model.config.model_type, folder)
    elif isinstance(companion, Wav2Vec2Processor):
        _write(folder / "preprocessor_config.json", companion.feature_extractor.to_dict())
        _save_characters(companion.tokenizer, folder)
    else:
        _write(folder / "preprocessor_config.json", companion.to_dict())


def load_companion(folder: Path) -> Any:
    """What makes the inputs of a saved model."""
    if (folder / "tokenizer.json").exists():
        return AutoTokenizer.from_pretrained(folder)
    content = json.loads((folder / "preprocessor_config.json").read_text())
    if "image_processor_type" in content:
        return ViTImageProcessorPil.from_pretrained(folder)
    extractor = Wav2Vec2FeatureExtractor.from_pretrained(folder)
    if not (folder / "vocab.json").exists():
        return extractor
    characters = Wav2Vec2CTCTokenizer.from_pretrained(folder)
    return Wav2Vec2Processor(extractor, characters)  # type: ignore[no-untyped-call]


def _save_tokenizer(tokenizer: PreTrainedTokenizerFast, kind: str, folder: Path) -> None:
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.backend_tokenizer.save(str(folder / "tokenizer.json"))
    # The tokenizer's own save names a class that Transformers 4 lacks, so the file is written here.
    config: dict[str, object] = {
        "tokenizer_class": TOKENIZERS[kind],
        "model_max_length": tokenizer.model_max_length,
        **{name: str(token) for name, token in tokenizer.special_tokens_map.items()},
    }
    if kind in ("roberta", "bart"):
        mask = tokenizer.added_tokens_decoder[tokenizer.mask_token_id]
        config["mask_token"] = {"__type": "AddedToken", **mask.__getstate__()}
        config["add_prefix_space"] = False
    elif kind == "t5":
        config["extra_ids"] = 0
    elif kind == "llama":
        config["model_input_names"] = ["input_ids", "attention_mask"]
    else:
        config["do_lower_case"] = tokenizer.backend_tokenizer.normalizer.lowercase
    _write(folder / "tokenizer_config.json", config)


def _save_characters(tokenizer: Wav2Vec2CTCTokenizer, folder: Path) -> None:
    _write(folder / "vocab.json", tokenizer.get_vocab())
    config = {
        "tokenizer_class": "Wav2Vec2CTCTokenizer",
        "do_lower_case": False,
        "word_delimiter_token": tokenizer.word_delimiter_token,
        **{name: str(token) for name, token in tokenizer.special_tokens_map.items()},
    }
    _write(folder / "tokenizer_config.json", config)


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n")
