"""Write a checkpoint folder that any Transformers release can load."""

import json
from pathlib import Path

from transformers import PreTrainedModel, PreTrainedTokenizerFast

TOKENIZERS = {
    "bert": "BertTokenizerFast",
    "distilbert": "DistilBertTokenizerFast",
    "roberta": "RobertaTokenizerFast",
}


def save(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Save config.json, model.safetensors in float16, tokenizer.json and tokenizer_config.json."""
    folder.mkdir(parents=True, exist_ok=True)
    model.half().save_pretrained(folder)  # type: ignore[no-untyped-call]
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.backend_tokenizer.save(str(folder / "tokenizer.json"))
    # The tokenizer's own save names a class that Transformers 4 lacks, so the file is written here.
    config: dict[str, object] = {
        "tokenizer_class": TOKENIZERS[model.config.model_type],
        "model_max_length": tokenizer.model_max_length,
        **{name: str(token) for name, token in tokenizer.special_tokens_map.items()},
    }
    if model.config.model_type == "roberta":
        mask = tokenizer.added_tokens_decoder[tokenizer.mask_token_id]
        config["mask_token"] = {"__type": "AddedToken", **mask.__getstate__()}
        config["add_prefix_space"] = False
    else:
        config["do_lower_case"] = tokenizer.backend_tokenizer.normalizer.lowercase
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")
