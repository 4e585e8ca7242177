"""Write a checkpoint folder that any Transformers release can load."""

import json
from pathlib import Path

from transformers import PreTrainedModel, PreTrainedTokenizerFast

TOKENIZERS = {
    "bert": "BertTokenizerFast",
    "distilbert": "DistilBertTokenizerFast",
    "roberta": "RobertaTokenizerFast",
    "bart": "BartTokenizerFast",
    "t5": "T5TokenizerFast",
    "llama": "PreTrainedTokenizerFast",
}


def save(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Save config.json, model.safetensors in float16, tokenizer.json and tokenizer_config.json.

    A model that generates also gets its generation_config.json.
    """
    folder.mkdir(parents=True, exist_ok=True)
    model.half().save_pretrained(folder)  # type: ignore[no-untyped-call]
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.backend_tokenizer.save(str(folder / "tokenizer.json"))
    # The tokenizer's own save names a class that Transformers 4 lacks, so the file is written here.
    kind = model.config.model_type
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
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")
