"""Small random checkpoints of every architecture that the export is tried on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import transformers
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

WORDS = ["the", "a", "of", "to", "and", "in", "is", "it", "film", "good", "bad", "great", "dog", "cat", "city", "was"]
WORDS += ["company", "not", "very", "##s", "##ed", "##ing", "##ly"]
LETTERS = [*"abcdefghijklmnopqrstuvwxyz0123456789.,!?'-"]
VOCABULARY = 128

HEADS = {
    "text-classification": "AutoModelForSequenceClassification",
    "token-classification": "AutoModelForTokenClassification",
    "question-answering": "AutoModelForQuestionAnswering",
    "fill-mask": "AutoModelForMaskedLM",
    "feature-extraction": "AutoModel",
    "text-generation": "AutoModelForCausalLM",
    "text2text-generation": "AutoModelForSeq2SeqLM",
}

_SIZES = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 64,
}
_ROBERTA_SIZES = {**_SIZES, "max_position_embeddings": 66, "type_vocab_size": 1}
_GPT_SIZES = {"vocab_size": VOCABULARY, "n_embd": 40, "n_layer": 2, "n_head": 5, "n_positions": 64}
_GROUPED_SIZES = {**_SIZES, "num_key_value_heads": 2}
_BART_SIZES = {
    "vocab_size": VOCABULARY,
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 64,
    "decoder_ffn_dim": 64,
    "max_position_embeddings": 64,
    "decoder_start_token_id": 3,
    "forced_eos_token_id": 3,
}
_T5_SIZES = {
    "vocab_size": VOCABULARY,
    "d_model": 32,
    "d_kv": 16,
    "d_ff": 64,
    "num_layers": 2,
    "num_heads": 4,
    "relative_attention_num_buckets": 16,
    "relative_attention_max_distance": 24,
    "decoder_start_token_id": 0,
}

# Model type to the configuration's arguments.
ARCHITECTURES: dict[str, dict[str, object]] = {
    "bert": _SIZES,
    "distilbert": {
        "vocab_size": VOCABULARY,
        "dim": 32,
        "n_layers": 2,
        "n_heads": 4,
        "hidden_dim": 64,
        "max_position_embeddings": 64,
    },
    "roberta": _ROBERTA_SIZES,
    "albert": {**_SIZES, "embedding_size": 16},
    "electra": {**_SIZES, "embedding_size": 16},
    "xlm-roberta": _ROBERTA_SIZES,
    "camembert": _ROBERTA_SIZES,
    "mpnet": {**_SIZES, "max_position_embeddings": 66},
    "deberta": {
        **_SIZES,
        "relative_attention": True,
        "pos_att_type": ["c2p", "p2c"],
        "position_biased_input": False,
        "type_vocab_size": 0,
    },
    "deberta-v2": {
        **_SIZES,
        "relative_attention": True,
        "pos_att_type": ["p2c", "c2p"],
        "position_biased_input": False,
        "type_vocab_size": 0,
        "share_att_key": True,
        "position_buckets": 16,
        "norm_rel_ebd": "layer_norm",
    },
    "modernbert": {**_SIZES, "local_attention": 8, "global_attn_every_n_layers": 2},
    "rembert": {**_SIZES, "input_embedding_size": 16, "output_embedding_size": 24},
    "convbert": {**_SIZES, "embedding_size": 16},
    "squeezebert": {**_SIZES, "embedding_size": 32},
    "mobilebert": {**_SIZES, "embedding_size": 16, "intra_bottleneck_size": 16, "true_hidden_size": 16},
    "roformer": {**_SIZES, "embedding_size": 32},
    "xlm": {"vocab_size": VOCABULARY, "emb_dim": 32, "n_layers": 2, "n_heads": 4, "max_position_embeddings": 64},
    "flaubert": {"vocab_size": VOCABULARY, "emb_dim": 32, "n_layers": 2, "n_heads": 4, "max_position_embeddings": 64},
    "xlnet": {"vocab_size": VOCABULARY, "d_model": 32, "n_layer": 2, "n_head": 4, "d_inner": 64},
    "funnel": {"vocab_size": VOCABULARY, "d_model": 32, "block_sizes": [1, 1], "n_head": 4, "d_head": 8, "d_inner": 64},
    "longformer": {**_SIZES, "max_position_embeddings": 66, "attention_window": 16},
    "big_bird": {**_SIZES, "attention_type": "original_full"},
    "nystromformer": {**_SIZES, "segment_means_seq_len": 64, "num_landmarks": 32},
    "ernie": {**_SIZES, "use_task_id": False},
    "megatron-bert": _SIZES,
    "ibert": _ROBERTA_SIZES,
    "esm": {**_ROBERTA_SIZES, "mask_token_id": 4, "pad_token_id": 1},
    "layoutlm": _SIZES,
    "data2vec-text": _ROBERTA_SIZES,
    "roberta-prelayernorm": _ROBERTA_SIZES,
    "xmod": {**_ROBERTA_SIZES, "languages": ["en_XX"], "default_language": "en_XX"},
    "gpt2": _GPT_SIZES,
    "openai-gpt": _GPT_SIZES,
    "ctrl": {**_GPT_SIZES, "dff": 64},
    "llama": _GROUPED_SIZES,
    "qwen2": {**_GROUPED_SIZES, "num_hidden_layers": 1},
    "qwen3": {**_GROUPED_SIZES, "head_dim": 16},
    "mistral": {**_GROUPED_SIZES, "num_hidden_layers": 1, "sliding_window": 5},
    "gemma2": {
        **_GROUPED_SIZES,
        "head_dim": 16,
        "query_pre_attn_scalar": 24,
        "attn_logit_softcapping": 1.5,
        "final_logit_softcapping": 2.0,
        "sliding_window": 6,
    },
    "opt": {**_SIZES, "ffn_dim": 64, "word_embed_proj_dim": 16},
    "gpt_neox": {**_SIZES, "rotary_pct": 0.5},
    "phi3": {**_GROUPED_SIZES, "intermediate_size": 48},
    "bart": _BART_SIZES,
    "mbart": {**_BART_SIZES, "encoder_layers": 1, "decoder_layers": 1},
    "pegasus": {**_BART_SIZES, "decoder_layers": 1},
    "marian": {**_BART_SIZES, "encoder_layers": 1, "decoder_start_token_id": 0},
    "t5": _T5_SIZES,
    "mt5": {**_T5_SIZES, "num_layers": 1},
}

# The sizes of the base checkpoints, in place of those above.
_BASE = {
    "vocab_size": 30522,
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "max_position_embeddings": 512,
}
BASE_SIZES: dict[str, dict[str, object]] = {
    "bert": _BASE,
    "distilbert": {
        "vocab_size": 30522,
        "dim": 768,
        "n_layers": 6,
        "n_heads": 12,
        "hidden_dim": 3072,
        "max_position_embeddings": 512,
    },
    "roberta": {**_BASE, "vocab_size": 50265, "max_position_embeddings": 514},
}

# Families whose special tokens come in RoBERTa's order, with positions that start after the padding index 1.
_ROBERTA_LIKE = {"roberta", "xlm-roberta", "camembert", "mpnet", "longformer", "ibert", "esm", "data2vec-text"}
_ROBERTA_LIKE |= {"roberta-prelayernorm", "xmod"}


def checkpoint(
    folder: Path, model_type: str, task: str, labels: int = 3, scale: float = 0.15, **overrides: object
) -> Path:
    """Save a random checkpoint of an architecture with a task's head, and a small tokenizer."""
    tokenizer = tokenizer_for(model_type)
    config = transformers.AutoConfig.for_model(
        model_type, **{**ARCHITECTURES[model_type], "pad_token_id": tokenizer.pad_token_id, **overrides}
    )
    if "classification" in task:
        config.num_labels = labels
    model = getattr(transformers, HEADS[task]).from_config(config)
    fill(model, scale=scale)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def generating(folder: Path, model_type: str, seed: int = 0, scale: float = 0.4, **overrides: object) -> Path:
    """Save a random checkpoint that generates, whose token ids 0 to 4 are special."""
    tokenizer = tokenizer_for("bert")
    special = {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3}
    config = transformers.AutoConfig.for_model(model_type, **{**ARCHITECTURES[model_type], **special, **overrides})
    task = "text2text-generation" if config.is_encoder_decoder else "text-generation"
    model = getattr(transformers, HEADS[task]).from_config(config)
    if overrides.get("tie_word_embeddings") is False:  # a wish that T5's configuration does not keep
        model.lm_head.weight = torch.nn.Parameter(model.lm_head.weight.clone())
    spread(model, seed, scale)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def whole(folder: Path, model_type: str) -> Path:
    """Save a random checkpoint that generates, of the size that its configuration has by default."""
    config = transformers.AutoConfig.for_model(model_type)
    task = "text2text-generation" if config.is_encoder_decoder else "text-generation"
    model = getattr(transformers, HEADS[task]).from_config(config)
    fill(model, scale=0.03)
    model.save_pretrained(folder)
    tokenizer_for("bert").save_pretrained(folder)
    return folder


def spread(model: transformers.PreTrainedModel, seed: int, scale: float) -> None:
    """Weights with which a model does not say one word for ever: words and what is attended to count less."""
    rng = np.random.default_rng(seed)
    words = model.get_input_embeddings().weight
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            noise = torch.from_numpy(rng.standard_normal(tuple(parameter.shape))).to(parameter.dtype)
            if parameter.dim() < 2 or parameter.shape[0] == 1:
                parameter.add_(0.1 * noise)
            else:
                attended = "encoder_attn.out_proj" in name or "EncDecAttention.o" in name
                factor = 0.5 if parameter is words else 0.4 if attended else 1.0
                parameter.copy_(factor * scale * noise)
        for name, buffer in model.named_buffers():
            if name == "final_logits_bias":
                buffer.copy_(torch.from_numpy(0.3 * rng.standard_normal(tuple(buffer.shape))))


def fill(model: torch.nn.Module, seed: int = 0, scale: float = 0.15) -> None:
    """Spread the weights: at the usual 0.02 the outputs are so alike that errors hide."""
    rng = np.random.default_rng(seed)
    with torch.no_grad():
        for _, parameter in sorted(model.named_parameters()):
            noise = scale * rng.standard_normal(tuple(parameter.shape))
            parameter.add_(torch.from_numpy(noise).to(parameter.dtype))


def tokenizer_for(model_type: str) -> transformers.PreTrainedTokenizerFast:
    """A WordPiece tokenizer with BERT's or RoBERTa's special tokens, and 64 tokens at most."""
    if model_type in _ROBERTA_LIKE:
        special = {"cls": "<s>", "pad": "<pad>", "sep": "</s>", "unk": "<unk>", "mask": "<mask>"}
        pair = "<s> $A </s> </s> $B </s>"
    else:
        special = {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}
        pair = "[CLS] $A [SEP] $B:1 [SEP]:1"
    tokens = [*special.values(), *WORDS, *LETTERS, *(f"##{letter}" for letter in LETTERS)]
    tokens += [f"[unused{index}]" for index in range(VOCABULARY - len(tokens))]
    vocabulary = {token: index for index, token in enumerate(tokens)}
    backend = Tokenizer(models.WordPiece(vocabulary, unk_token=special["unk"]))
    backend.normalizer = normalizers.BertNormalizer()
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.post_processor = processors.TemplateProcessing(
        single=f"{special['cls']} $A {special['sep']}",
        pair=pair,
        special_tokens=[(special[name], vocabulary[special[name]]) for name in ("cls", "sep")],
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=backend, model_max_length=64, **{f"{name}_token": token for name, token in special.items()}
    )
